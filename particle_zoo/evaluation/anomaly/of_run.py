"""One trained detector on frames with known light, beside methods without a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import pandas as pd

from particle_zoo.detectors.camera.pedestal import STEP
from particle_zoo.detectors.camera.region_search import enlarged
from particle_zoo.errors import InputError
from particle_zoo.evaluation.anomaly import (
    Interval,
    PixelScores,
    ThresholdScan,
    difference,
    efficiency,
    event_light,
    frame_sums,
    half_efficiency,
    interval,
    measures,
    ratio,
    statistic,
    visible,
)
from particle_zoo.evaluation.anomaly.of_run_searches import Search

if TYPE_CHECKING:
    from particle_zoo.simulation.optical_tpc import SimulatedFrame

SPECIES = ("nr", "er")
"""Classes whose energies are a few values; that of a mip is what it leaves on its way."""

DRIFTS = {"z 0-15 cm": 150.0, "z 15-35 cm": 350.0, "z 35 cm and more": np.inf}
"""Upper ends of ranges of the drift, mm."""


PIXEL_BITS, PIXEL_RESAMPLES = 16, 200
"""Bins of pixel scores, 0.4 to 0.8 % wide, and resamples of their intervals: each one goes through all bins."""


@dataclass
class Judged:
    """What one method makes of frames with known light.

    Args:
        search: the method.
        scan: light and events at all thresholds.
        pixels: histograms of the scores.
        sums: rows of `frame_sums` at the threshold of the method, if it has one.
        events: rows of `event_light` at it.
    """

    search: Search
    scan: ThresholdScan = field(default_factory=ThresholdScan)
    pixels: PixelScores = field(default_factory=lambda: PixelScores(PIXEL_BITS))
    sums: list[dict[str, float]] = field(default_factory=list)
    events: list[pd.DataFrame] = field(default_factory=list)

    def add(self, frame: SimulatedFrame, truth: np.ndarray) -> None:
        """Score a frame; truth is the mask of its pixels with signal."""
        score, position = self.search.score(frame.counts), len(self.scan)
        known = {"signal": frame.signal, "truth": truth}
        reach = self.search.finder.reach(score, frame.shape)
        self.scan.add(reach, **known, instance=frame.instance, events=frame.events)
        wide = enlarged(score, self.search.finder.binning, frame.shape)
        self.pixels.add(wide, truth, frame.instance, ignore=(frame.signal > 0) & ~truth)
        if self.search.threshold is not None:
            regions = self.search.regions(frame.counts, self.search.threshold, score)
            self.sums.append(frame_sums(regions, **known))
            light = event_light(frame.events, frame.signal, frame.instance, regions.mask, position=position)
            self.events.append(light)

    @property
    def discarded(self) -> float:
        """Share of the area outside of regions at the threshold of the method."""
        table = pd.DataFrame(self.sums)
        return float(1 - table["region_pixels"].sum() / table["pixels"].sum())

    def at(self, threshold: float) -> tuple[float, pd.DataFrame, pd.DataFrame]:
        """A threshold, sums of the frames and events there."""
        return threshold, self.scan.frames(threshold), self.scan.events(threshold)


def judge(searches: Sequence[Search], frames: Iterable[SimulatedFrame], sigma: np.ndarray) -> list[Judged]:
    """All methods on the same frames, one frame in memory at a time.

    Args:
        searches: methods; the first one and its rivals.
        frames: with their truth.
        sigma: (rows, cols) noise of each pixel, counts; pixels with light above half of it are the truth of all methods.

    Raises:
        InputError: no frame, or frames of another size than a pedestal.
    """
    judged, width = [Judged(search) for search in searches], np.maximum(sigma, np.float32(STEP))
    for frame in frames:
        if frame.shape != width.shape:
            searches[0].pedestal.check(frame.shape)
        truth = frame.mask(width)
        for each in judged:
            each.add(frame, truth)
    if not len(judged[0].scan):
        raise InputError("there is no frame with light to judge on; give a data set with the split signal")
    return judged


class _Drawn(TypedDict):
    """Resamples of intervals and their seed."""

    resamples: int
    seed: int


def numbers(judged: Sequence[Judged], *, resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Everything that is reported of frames with known light, with 95 % intervals over frames.

    Args:
        judged: of `judge`; the first method has a threshold, and the others are compared with it where they discard as much
            of the area.
        resamples: of the intervals; at most 200 of those of pixel scores.
        seed: of the resamples.

    Returns:
        `frames`; `at_threshold`: by method that has one, `light.measures`, `efficiency` and the `threshold`;
        `equal_area`: `discarded`, and by method `threshold`, `retention`, `purity`, `efficiency`, `e50` by class, and
        `more_retention`, `more_efficiency`, its differences from the first method on the same resamples; `pixels`: AUROC,
        AUPR and AUPRO by method; `by_energy`, `by_class`, `by_drift`: rows of efficiencies at equal area by method.
    """
    first, drawn = judged[0], _Drawn(resamples=resamples, seed=seed)
    n, discarded = len(first.scan), first.discarded
    result: dict[str, Any] = {"frames": n, "at_threshold": {}, "pixels": {}}
    result["equal_area"] = {"discarded": discarded, "methods": {}}
    result |= {name: {} for name in ("by_energy", "by_class", "by_drift")}
    base: tuple[Any, Any] | None = None
    for each in judged:
        name = each.search.name
        if each.search.threshold is not None:
            own = {key: asdict(value) for key, value in measures(pd.DataFrame(each.sums), **drawn).items()}
            found = asdict(interval(_found(pd.concat(each.events), n), n, **drawn))
            result["at_threshold"][name] = {"threshold": each.search.threshold, "efficiency": found, **own}
        pixels = each.pixels.summary(resamples=min(resamples, PIXEL_RESAMPLES), seed=seed)
        result["pixels"][name] = {key: asdict(value) for key, value in pixels.items()}
        at = each.search.threshold if each is first else None
        threshold, frames, events = each.at(each.scan.threshold(discarded) if at is None else at)
        kept, found_of = statistic(frames, "retention"), _found(events, n)
        base = base or (kept, found_of)
        one = {
            "retention": kept,
            "purity": statistic(frames, "purity"),
            "efficiency": found_of,
            "more_retention": difference(kept, base[0]),
            "more_efficiency": difference(found_of, base[1]),
        }
        row = {key: asdict(interval(value, n, **drawn)) for key, value in one.items()}
        result["equal_area"]["methods"][name] = {"threshold": threshold, **row, "e50": _halves(events, n, drawn)}
        events = _grouped(events)
        by = {"by_energy": ("class", "energy_kev"), "by_class": ("class",), "by_drift": ("drift",)}
        for key, columns in by.items():
            rows = events[events["class"].isin(SPECIES)] if key == "by_energy" else events
            result[key][name] = efficiency(rows, columns, n_frames=n, **drawn).to_dict("records")
    return result


def _found(events: pd.DataFrame, n: int) -> Any:
    """Share of the events with light that are found, as a statistic of the frames."""
    seen = visible(events)
    position = seen["position"].to_numpy(np.int64)
    found = np.bincount(position, seen["found"].to_numpy(float), n)
    return ratio(found, np.bincount(position, minlength=n))


def _halves(events: pd.DataFrame, n: int, drawn: _Drawn) -> dict[str, Any]:
    """Energy at which half of the events are found, keV, by class."""
    found = {}
    for kind in SPECIES:
        own = visible(events[events["class"] == kind])
        if len(own):
            found[kind] = asdict(half_efficiency(_grouped(own), n_frames=n, **drawn))
    return found


def _grouped(events: pd.DataFrame) -> pd.DataFrame:
    """With the energies that were asked for, and a column of ranges of the drift."""
    # Deposits add up to the energy but for rounding.
    energy = [float(f"{value:.3g}") for value in events["energy_kev"]]
    return events.assign(energy_kev=energy, drift=drift_of(events["z_mm"]))


def drift_of(z_mm: pd.Series) -> pd.Series:
    """Name of the range of `DRIFTS` that each drift is in."""
    return pd.cut(z_mm, [0.0, *DRIFTS.values()], labels=list(DRIFTS), right=False).astype(str)


def counted(search: Search, frames: Iterable[np.ndarray], thresholds: Sequence[float]) -> pd.DataFrame:
    """Regions and their area in frames, at several thresholds.

    Args:
        search: the method.
        frames: (rows, cols) counts.
        thresholds: of the score.

    Returns:
        One row a frame and threshold, in this order: `threshold`, `regions`, `kept` (share of the area).
    """
    rows = []
    for frame in frames:
        score = search.score(frame)
        for threshold in thresholds:
            regions = search.regions(frame, threshold, score)
            rows.append((threshold, len(regions), float(regions.mask.mean())))
    return pd.DataFrame(rows, columns=["threshold", "regions", "kept"])


def per_frame(counts: pd.DataFrame, column: str, *, resamples: int = 1000, seed: int = 0) -> list[Interval]:
    """Mean of a column of `counted` over frames with its interval, by threshold in their order."""
    found = []
    for threshold in dict.fromkeys(counts["threshold"]):
        values = counts.loc[counts["threshold"] == threshold, column].to_numpy(float)
        found.append(interval(ratio(values, np.ones(len(values))), len(values), resamples=resamples, seed=seed))
    return found
