"""Light in and outside of regions, frame by frame.

Every measure is a sum over frames divided by another one, so frames are reduced to sums (`frame_sums`) and measures come
from a table of them, with weights for resamples.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from particle_zoo.detectors.camera.regions import Regions
from particle_zoo.detectors.camera.source import size
from particle_zoo.errors import InputError
from particle_zoo.evaluation.anomaly.bootstrap import Interval, Statistic, intervals, ratio

SUMS = (
    "frames",
    "pixels",
    "region_pixels",
    "box_pixels",
    "regions",
    "true_regions",
    "signal",
    "signal_kept",
    "truth_pixels",
    "truth_kept",
    "redpix",
    "redpix_kept",
    "redpix_clipped",
    "redpix_clipped_kept",
)
"""Columns of a table of frames.

`frames` is 1; `pixels` of the frame, of the regions' masks and of their boxes; `regions` of the frame and, of these,
`true_regions` with a pixel of the truth mask; `signal` is the true light, counts, all and in the masks; `truth_pixels` those of the truth
mask; `redpix` the counts that a reconstruction listed, with negative ones, and `_clipped` with those as 0. NaN of what was not
given.
"""

MEASURES: dict[str, tuple[str, str]] = {
    "retention": ("signal_kept", "signal"),
    "retention_redpix": ("redpix_kept", "redpix"),
    "retention_redpix_clipped": ("redpix_clipped_kept", "redpix_clipped"),
    "area_kept": ("region_pixels", "pixels"),
    "area_kept_boxes": ("box_pixels", "pixels"),
    "purity": ("truth_kept", "region_pixels"),
    "purity_regions": ("true_regions", "regions"),
    "coverage": ("truth_kept", "truth_pixels"),
    "occupancy": ("truth_pixels", "pixels"),
    "regions_per_frame": ("regions", "frames"),
}
"""Measures as sums over sums.

- `retention`: share of the light that is in regions; of true light within 0..1. Against redpix, counts below 0 count as they
  are, so that it may leave 0..1, or as 0 (`_clipped`).
- `area_kept`, by masks and by boxes; 1 minus it is discarded.
- `purity`: share of the regions' pixels that are in the truth mask; `purity_regions` of regions with such a pixel.
- `coverage`: share of the truth mask that is in regions; `occupancy`: its share of the frame.
- `regions_per_frame`: false ones, where frames are pedestals.
"""

COMPLEMENTS = {"area_discarded": "area_kept", "area_discarded_boxes": "area_kept_boxes"}
"""Measures that are 1 minus another one."""


def retained(light: npt.ArrayLike, region: np.ndarray, *, clipped: bool = False) -> tuple[float, float]:
    """Light in regions, and all of it, counts.

    Args:
        light: (rows, cols) counts without pedestal.
        region: (rows, cols) bool, pixels that are kept.
        clipped: count negative light as 0.

    Raises:
        InputError: different shapes.
    """
    image = np.asarray(light)
    _same(region, light=image)
    if clipped:
        image = np.maximum(image, 0)
    return float(image[region].sum(dtype=np.float64)), float(image.sum(dtype=np.float64))


def frame_sums(
    regions: Regions,
    *,
    signal: np.ndarray | None = None,
    truth: np.ndarray | None = None,
    redpix: np.ndarray | None = None,
) -> dict[str, float]:
    """What one frame adds to the measures; rows of a table of frames.

    Args:
        regions: of the frame.
        signal: (rows, cols) true light, counts of 0 or more.
        truth: (rows, cols) bool, pixels that count as signal, by a rule to be stated with the results, such as
            `SimulatedFrame.mask`.
        redpix: (rows, cols) counts of a reconstruction's pixels, 0 elsewhere, such as of `RedPixels.rasterise`.

    Returns:
        `SUMS`.

    Raises:
        InputError: different shapes.
    """
    mask = regions.mask
    _same(mask, **{k: v for k, v in {"signal": signal, "truth": truth, "redpix": redpix}.items() if v is not None})
    found = dict.fromkeys(SUMS, np.nan) | {
        "frames": 1.0,
        "pixels": float(mask.size),
        "region_pixels": float(mask.sum()),
        "box_pixels": float(regions.boxes.sum()),
        "regions": float(len(regions)),
    }
    if signal is not None:
        found["signal_kept"], found["signal"] = retained(signal, mask)
    if truth is not None:
        found["truth_pixels"], found["truth_kept"] = float(truth.sum()), float((truth & mask).sum())
        hit = np.unique(regions.labels[truth])
        found["true_regions"] = float(np.count_nonzero(hit))
    if redpix is not None:
        found["redpix_kept"], found["redpix"] = retained(redpix, mask)
        found["redpix_clipped_kept"], found["redpix_clipped"] = retained(redpix, mask, clipped=True)
    return found


def statistic(frames: pd.DataFrame, name: str) -> Statistic:
    """A measure as a function of how often each frame counts.

    Args:
        frames: rows of `frame_sums`.
        name: of `MEASURES` or `COMPLEMENTS`.

    Raises:
        InputError: an unknown measure.
    """
    known = (*MEASURES, *COMPLEMENTS)
    if name not in known:
        raise InputError(f"measures are {', '.join(known)}; received {name!r}")
    above, below = MEASURES[COMPLEMENTS.get(name, name)]
    kept = ratio(frames[above], frames[below])
    return (lambda weights: 1 - kept(weights)) if name in COMPLEMENTS else kept


def measures(frames: pd.DataFrame, *, resamples: int = 1000, seed: int = 0) -> dict[str, Interval]:
    """All measures of a table of frames with intervals over frames; those of which nothing is known are left out.

    Args:
        frames: rows of `frame_sums`.
        resamples: how many.
        seed: of the resamples.

    Raises:
        InputError: no frame.
    """
    names = [*MEASURES, *COMPLEMENTS]
    each: list[Callable[[np.ndarray], np.ndarray]] = [statistic(frames, name) for name in names]
    found = intervals(
        lambda weights: np.column_stack([one(weights) for one in each]), len(frames), resamples=resamples, seed=seed
    )
    return {name: value for name, value in zip(names, found, strict=True) if not np.isnan(value.value)}


def _same(region: np.ndarray, **images: np.ndarray) -> None:
    for name, image in images.items():
        if np.shape(image) != region.shape:
            raise InputError(
                f"{name} has {size(np.shape(image))}, the regions {size(region.shape)}; give those of one frame"
            )
