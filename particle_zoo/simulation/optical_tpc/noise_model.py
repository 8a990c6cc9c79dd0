"""What spoils dark frames, as numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NoiseModel:
    """Shares, sizes and widths, in counts; zeros leave the camera's read noise alone, equal for all pixels.

    Args:
        kind: white, ecdf or realistic.
        level: mild, nominal or hard.
        row_sigma: RMS of an offset that a row of one frame has in common, drawn anew for each frame.
        col_sigma: the same of columns.
        drift_sigma: RMS of the slow drift of the whole baseline.
        mean_spread: RMS of the pixels' own means.
        sigma_spread: RMS of the logarithm of the pixels' widths.
        noisy_share: share of pixels with a width of `noisy_sigma`.
        noisy_sigma: lowest and highest, uniform.
        rtn_share: share of pixels with random telegraph noise.
        rtn_counts: its upper level above the lower one.
        rtn_duty: share of frames in the upper level.
        hot_share: share of pixels that are hot for part of a run; at least one pixel where it is above 0.
        hot_counts: least and most, uniform in the logarithm.
        hot_period: shortest and longest period of coming and going, frames; half of it they are on.
        shutter: whether events are cut by the rolling shutter.
    """

    kind: str
    level: str
    row_sigma: float = 0.0
    col_sigma: float = 0.0
    drift_sigma: float = 0.0
    mean_spread: float = 0.0
    sigma_spread: float = 0.0
    noisy_share: float = 0.0
    noisy_sigma: tuple[float, float] = (0.0, 0.0)
    rtn_share: float = 0.0
    rtn_counts: float = 0.0
    rtn_duty: float = 0.0
    hot_share: float = 0.0
    hot_counts: tuple[float, float] = (1.0, 1.0)
    hot_period: tuple[int, int] = (2, 2)
    shutter: bool = False
