"""From what a model, or a pedestal, leaves of a frame to regions of interest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from particle_zoo.detectors.camera.finder import Finder, is_number
from particle_zoo.detectors.camera.pedestal import STEP
from particle_zoo.detectors.camera.same import Same
from particle_zoo.detectors.camera.smoothing import correlated, gaussian_kernel
from particle_zoo.detectors.camera.source import size
from particle_zoo.errors import InputError

MODES = ("absolute", "positive", "zscore")

LEAST = 0.2
"""Share of the Gaussian that must lie on pixels that count; in the corner of a frame it is a quarter."""


@dataclass(frozen=True, kw_only=True)
class RegionFinder(Finder):
    """Smoothed residuals over a threshold.

    Give it the residual of a reconstruction, or the frame minus its pedestal: that is plain pedestal subtraction, the
    baseline that shows what a reconstruction adds. A residual with the level, rows and columns of its frame taken out
    (`remove_common_mode`) has less noise after smoothing, where that of single pixels is averaged away.

    Args:
        min_area: see `Finder`.
        dilation: see `Finder`.
        merge: see `Finder`.
        binning: see `Finder`.
        mode: "absolute" (the size of each pixel's residual is smoothed: finds excess and lack), "positive" (the residual
            itself: light adds up and noise averages out; below 0 where light is lacking) or "zscore" (the same of the
            residual in units of each pixel's noise).
        smoothing: sigma of the Gaussian, px; 0 for none.

    Raises:
        InputError: an unknown mode, a smoothing below 0, or a setting of `Finder` that cannot be.
    """

    dilation: int = 10
    merge: int = 10
    mode: str = "zscore"
    smoothing: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in MODES:
            raise InputError(f"mode must be one of {', '.join(MODES)}; received {self.mode!r}")
        value = self.smoothing
        if not is_number(value) or not 0 <= value < 1000:
            raise InputError(f"smoothing must be px of 0 or more; received {value!r}")

    def score(
        self, residual: npt.ArrayLike, sigma: np.ndarray | None = None, veto: np.ndarray | None = None
    ) -> np.ndarray:
        """Weighted mean of the residual around each pixel, or block of pixels.

        Only pixels of the frame that are not vetoed have weight (normalised convolution: Knutsson and Westin, CVPR 1993,
        515). Where less than a fifth of the Gaussian lies on such pixels the score is 0.

        Args:
            residual: (rows, cols) counts above what is expected without signal.
            sigma: (rows, cols) noise of each pixel, counts; only "zscore" needs it. Noise below that of rounding counts as
                0.29.
            veto: (rows, cols) bool, pixels that do not count, such as `PedestalModel.masked`.

        Returns:
            float32, (rows, cols) divided by the binning and rounded up; in counts, or in sigmas of one pixel.

        Raises:
            InputError: another shape, values that are no numbers, or no sigma where one is needed.
        """
        image, sigma, veto = checked(residual, sigma if self.mode == "zscore" else None, veto)
        if self.mode == "zscore":
            if sigma is None:
                raise InputError("zscore divides by the noise of each pixel; give the sigma of a PedestalModel")
            image = image / np.maximum(sigma, np.float32(STEP))
        elif self.mode == "absolute":
            image = np.abs(image)
        if veto is not None:
            image = np.where(veto, np.float32(0), image)
        lost = None if veto is None else Same(veto)
        weight = _weight(lost, (image.shape[0], image.shape[1]), self.binning, float(self.smoothing))
        image = _smooth(_block_means(image, self.binning), self.smoothing / self.binning)
        return np.multiply(image, weight, out=image)


def checked(
    residual: npt.ArrayLike, sigma: np.ndarray | None, veto: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """What a score is made of, as (rows, cols) float32, float32 and bool.

    Raises:
        InputError: different shapes, or values that are no numbers.
    """
    image = np.asarray(residual, np.float32)
    if image.ndim != 2 or not image.size:
        raise InputError(f"a residual has rows and columns; received an array of shape {image.shape}")
    if sigma is not None:
        sigma = _like(image, "sigma", sigma).astype(np.float32, copy=False)
    if veto is not None:
        veto = _like(image, "veto", veto).astype(np.bool_, copy=False)
    if not np.isfinite(image).all():
        row, col = np.argwhere(~np.isfinite(image))[0]
        raise InputError(
            f"pixel (row {row}, col {col}) of the residual is {image[row, col]}; give numbers, and veto dead pixels"
        )
    return image, sigma, veto


def _like(image: np.ndarray, name: str, value: np.ndarray) -> np.ndarray:
    value = np.asarray(value)
    if value.shape != image.shape:
        raise InputError(f"{name} has {size(value.shape)}, the residual {size(image.shape)}; give those of one camera")
    return value


@lru_cache(maxsize=2)
def _weight(veto: Same | None, shape: tuple[int, int], binning: int, smoothing: float) -> np.ndarray:
    """1 over the part of the Gaussian that counts, 0 where that is too small; the same for all frames of a run."""
    counts = np.ones(shape, np.float32) if veto is None else (~veto.array).astype(np.float32)
    share = _smooth(_block_means(counts, binning), smoothing / binning)
    return np.where(share >= np.float32(LEAST), 1 / np.maximum(share, np.float32(LEAST)), np.float32(0))


def _block_means(image: np.ndarray, side: int) -> np.ndarray:
    """Sums of blocks over side^2; what a block lacks at the border counts as 0."""
    if side == 1:
        return image
    rows, cols = (-(-n // side) for n in image.shape)
    padded = np.pad(image, ((0, rows * side - image.shape[0]), (0, cols * side - image.shape[1])))
    means: np.ndarray = padded.reshape(rows, side, cols, side).mean(axis=(1, 3), dtype=np.float32)
    return means


def _smooth(image: np.ndarray, sigma: float) -> np.ndarray:
    return image.copy() if sigma == 0 else correlated(image, gaussian_kernel(sigma))
