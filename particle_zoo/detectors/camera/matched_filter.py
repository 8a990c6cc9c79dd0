"""The search for spots that knows how noisy each pixel is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from particle_zoo.detectors.camera.finder import Finder, is_number
from particle_zoo.detectors.camera.pedestal import STEP
from particle_zoo.detectors.camera.region_finder import LEAST, checked
from particle_zoo.detectors.camera.same import Same
from particle_zoo.detectors.camera.smoothing import correlated
from particle_zoo.errors import InputError

REACH = 4.0
"""Templates end at so many of their widths."""


@dataclass(frozen=True, kw_only=True)
class MatchedFilter(Finder):
    """Significance of Gaussian spots, with every pixel weighted by the inverse of its variance.

    For a template w and noise s that pixels do not share, sum(w r / s^2) / sqrt(sum(w^2 / s^2)) is the linear filter of a residual r
    with the most signal over noise (North, Proc. IEEE 51 (1963) 1016): on noise alone it has a standard deviation
    of 1 at every pixel, on a spot of that width with A counts at its top a mean of A sqrt(sum(w^2 / s^2)). The score is the largest of those
    of all widths. Noise that pixels share has to be taken out before (`remove_common_mode`).

    Args:
        min_area: see `Finder`.
        dilation: see `Finder`.
        merge: see `Finder`.
        binning: see `Finder`; templates are then steps as wide as the blocks.
        widths: sigmas of the templates, px.

    Raises:
        InputError: no width, one that is not above 0, or a setting of `Finder` that cannot be.
    """

    dilation: int = 10
    merge: int = 10
    widths: tuple[float, ...] = (3.0, 6.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        values = self.widths
        if not isinstance(values, (tuple, list)) or not values:
            raise InputError(f"widths must be a list of numbers, such as [3, 6]; received {values!r}")
        if not all(is_number(value) and 0 < value < 1000 for value in values):
            raise InputError(f"widths must be px above 0; received {values!r}")
        object.__setattr__(self, "widths", tuple(float(value) for value in values))

    def score(
        self, residual: npt.ArrayLike, sigma: np.ndarray | None = None, veto: np.ndarray | None = None
    ) -> np.ndarray:
        """Standard deviations by which a spot around each pixel, or block of pixels, stands out.

        Only pixels of the frame that are not vetoed have weight. Where less than a fifth of a template's squares lies
        on such pixels its score is 0.

        Args:
            residual: (rows, cols) counts above what is expected without signal.
            sigma: (rows, cols) noise of each pixel, counts. Noise below that of rounding counts as 0.29.
            veto: (rows, cols) bool, pixels that do not count, such as `PedestalModel.masked`.

        Returns:
            float32, (rows, cols) divided by the binning and rounded up; standard deviations.

        Raises:
            InputError: another shape, values that are no numbers, or no sigma.
        """
        image, sigma, veto = checked(residual, sigma, veto)
        if sigma is None:
            raise InputError("the matched filter weights pixels by their noise; give the sigma of a PedestalModel")
        weight, scales = _constants(Same(sigma), None if veto is None else Same(veto), self.binning, self.widths)
        image = _block_sums(image * weight, self.binning)
        best: np.ndarray | None = None
        for width, scale in zip(self.widths, scales, strict=True):
            found = correlated(image, _kernel(width / self.binning))
            found *= scale
            best = found if best is None else np.maximum(best, found, out=best)
        assert best is not None
        return best

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return super().to_dict() | {"widths": list(self.widths)}


def _weight(sigma: np.ndarray, veto: np.ndarray | None) -> np.ndarray:
    weight = 1 / np.maximum(sigma, np.float32(STEP)) ** 2
    return weight if veto is None else np.where(veto, np.float32(0), weight)


@lru_cache(maxsize=2)
def _constants(
    sigma: Same, veto: Same | None, binning: int, widths: tuple[float, ...]
) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """What is the same for all frames of a run.

    The weight of each pixel, and 1 over the standard deviation of each template's sum, 0 where too little of it counts.
    """
    lost = None if veto is None else veto.array
    weight = _weight(sigma.array, lost)
    variance = _block_sums(weight, binning)
    counted = _block_sums(np.ones_like(weight) if lost is None else (~lost).astype(np.float32), binning)
    found = []
    for width in widths:
        kernel = _kernel(width / binning) ** 2
        share = correlated(counted, kernel) / np.float32((kernel.sum() * binning) ** 2)
        # Sums of positive float32 numbers: where nothing counts they are exactly 0.
        total = np.sqrt(correlated(variance, kernel))
        enough = (share >= np.float32(LEAST)) & (total > 0)
        found.append(np.divide(1, total, out=np.zeros_like(total), where=enough))
    return weight, tuple(found)


def _kernel(width: float) -> np.ndarray:
    half = max(int(REACH * width + 0.5), 1)
    kernel: np.ndarray = np.exp(-0.5 * (np.arange(-half, half + 1) / width) ** 2)
    return kernel


def _block_sums(image: np.ndarray, side: int) -> np.ndarray:
    if side == 1:
        return image
    rows, cols = (-(-n // side) for n in image.shape)
    padded = np.pad(image, ((0, rows * side - image.shape[0]), (0, cols * side - image.shape[1])))
    sums: np.ndarray = padded.reshape(rows, side, cols, side).sum(axis=(1, 3), dtype=np.float32)
    return sums
