"""The fit of a pedestal: one pass over frames, in memory that their number does not change."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numba
import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter
from scipy.special import ndtri

from particle_zoo.detectors.camera.common_mode import remove_common_mode
from particle_zoo.detectors.camera.frames import CameraFrames
from particle_zoo.detectors.camera.pedestal import STEP, PedestalModel
from particle_zoo.detectors.camera.source import HIGHEST, counts, size
from particle_zoo.detectors.readers.format import check_count
from particle_zoo.errors import InputError

FIRST = 15
"""Most frames that are held to find medians and scales."""

OFTEN = 0.03
"""Share of frames from which outliers are the pixel's own noise."""

FEWEST = 20
"""Values below which the shape of their distribution is not tested."""

NOISY, LENIENT = 1.5, 1e3
"""Telegraph noise adds to a pixel's noise: from so many times the camera's median on, less has to be unlikely."""

BAND = 2**20
"""Pixels that are worked on at a time where that takes many temporary arrays."""

SUMS = 8
"""Sums of a pixel: d, d^2 of the kept values; e, ..., e^4 of the same after the shift of the frame; d, d^2 of the others."""


def fit(
    frames: CameraFrames | Iterable[npt.ArrayLike],
    *,
    skip_first: int,
    robust: bool,
    common_mode: bool,
    clip: float,
    minimum: int,
    max_saturated: float,
    hot_sigma: float,
    rtn_chance: float,
) -> PedestalModel:
    """`PedestalModel.fit`, which describes the arguments."""
    if isinstance(skip_first, bool) or not isinstance(skip_first, int) or skip_first < 0:
        raise InputError(f"skip_first must be a whole number of 0 or more; received {skip_first!r}")
    check_count("minimum", minimum)
    for name, value in (("clip", clip), ("hot_sigma", hot_sigma)):
        if not value > 0:
            raise InputError(f"{name} must be positive; received {value!r}")
    if not 0 < rtn_chance < 1:
        raise InputError(f"rtn_chance must be a probability between 0 and 1; received {rtn_chance!r}")
    taken = _checked(frames, skip_first, max_saturated)
    first = list(itertools.islice(taken, FIRST))
    if len(first) < min(minimum, FIRST):
        raise _too_few(len(first), skip_first, minimum)
    reference, scale = _start(first)
    limit = np.float32(clip) * scale if robust else np.full_like(scale, np.inf)
    kept = np.zeros(reference.size, np.int32)
    sums = np.zeros((SUMS, reference.size), np.float32)
    levels = []
    while first:
        # The frames that were held are let go one by one.
        residual = first.pop(0) - reference
        level = np.float32(np.median(residual))
        levels.append(level)
        if common_mode:
            residual, level = remove_common_mode(residual), np.float32(0)
        _add(residual.ravel(), level, limit.ravel(), kept, sums)
        first += itertools.islice(taken, 0 if first else 1)
    if len(levels) < minimum:
        raise _too_few(len(levels), skip_first, minimum)
    drift = np.array(levels) - np.median(levels)
    mean, sigma, rtn = _finished(kept, sums, len(levels), rtn_chance)
    mean = (reference.ravel() + mean).reshape(reference.shape).astype(np.float32)
    sigma = sigma.reshape(reference.shape)
    bright = mean - median_filter(mean, size=3, mode="nearest")
    hot = bright > hot_sigma * max(float(np.median(sigma)), STEP)
    return PedestalModel(mean, sigma, hot, rtn.reshape(hot.shape), drift, common_mode)


def _checked(
    frames: CameraFrames | Iterable[npt.ArrayLike], skip_first: int, max_saturated: float
) -> Iterator[np.ndarray]:
    """Frames one by one, of one size and not saturated."""
    shape: tuple[int, ...] | None = None
    for number, image in enumerate(itertools.islice(_single(frames), skip_first, None), skip_first):
        shape = shape or image.shape
        if image.shape != shape:
            raise InputError(
                f"frame {number} has {size(image.shape)}, those before {size(shape)}; fit frames of one camera"
            )
        share = np.count_nonzero(image == HIGHEST) / image.size
        if share > max_saturated:
            raise InputError(
                f"frame {number} is saturated: {share:.1%} of its pixels are at {HIGHEST}, at most {max_saturated:.1%} "
                f"may be; take a pedestal run without light, or skip_first frames"
            )
        yield image


def _single(frames: CameraFrames | Iterable[npt.ArrayLike]) -> Iterator[np.ndarray]:
    if isinstance(frames, CameraFrames):
        yield from frames
        return
    number = itertools.count()
    for part in frames:
        stack = np.asarray(part)
        if stack.ndim not in (2, 3):
            raise InputError(f"frames have rows and columns; received an array of shape {stack.shape}")
        for image in stack[None] if stack.ndim == 2 else stack:
            yield counts(image, f"frame {next(number)}")


def _too_few(found: int, skipped: int, minimum: int) -> InputError:
    left = f" after the first {skipped}" if skipped else ""
    return InputError(f"a pedestal needs at least {minimum} frames; received {found}{left}")


def _start(first: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Median and scale of every pixel, float32."""
    n = len(first)
    # Whole counts, so that the float32 sums of differences to them stay exact.
    middle, outer = n // 2, n // 5
    # Blom's expected normal score of the largest value that is left.
    score = float(ndtri((n - outer - 0.375) / (n + 0.25)))
    shape = first[0].shape
    reference, scale = np.empty(shape, np.float32), np.empty(shape, np.float32)
    rows = max(BAND // shape[1], 1)
    for top in range(0, shape[0], rows):
        band = np.sort(np.stack([image[top : top + rows] for image in first]), axis=0)
        reference[top : top + rows] = band[middle]
        scale[top : top + rows] = (band[n - 1 - outer].astype(np.float32) - band[outer]) / (2 * score)
    return reference, np.maximum(scale, max(float(np.median(scale)), STEP))


@numba.njit(cache=True)
def _add(residual: np.ndarray, level: float, limit: np.ndarray, kept: np.ndarray, sums: np.ndarray) -> None:
    for i in range(len(residual)):
        d = residual[i]
        e = d - level
        if abs(e) <= limit[i]:
            kept[i] += 1
            sums[0, i] += d
            sums[1, i] += d * d
            sums[2, i] += e
            sums[3, i] += e * e
            sums[4, i] += e * e * e
            sums[5, i] += e * e * e * e
        else:
            sums[6, i] += d
            sums[7, i] += d * d


def _finished(
    kept: np.ndarray, sums: np.ndarray, n: int, rtn_chance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean against the reference, sigma, and which pixels have telegraph noise."""
    mean, sigma = np.empty(len(kept)), np.empty(len(kept), np.float32)
    often, k2 = np.empty(len(kept), np.bool_), np.empty(len(kept), np.float32)
    for start in range(0, len(kept), BAND):
        part = slice(start, start + BAND)
        s = sums[:, part].astype(np.float64)
        own = often[part] = n - kept[part] >= max(3, OFTEN * n)
        number = np.where(own, n, kept[part]).astype(np.float64)
        total, squares = np.where(own, s[0] + s[6], s[0]), np.where(own, s[1] + s[7], s[1])
        average = total / number
        mean[part] = average
        sigma[part] = np.sqrt(np.maximum(squares - number * average**2, 0) / (number - 1))
        k2[part] = omnibus(kept[part], *(s[2:6] / np.maximum(kept[part], 1)))
    noisy = sigma > NOISY * np.median(sigma)
    chance = np.where(noisy, min(rtn_chance * LENIENT, 1.0), rtn_chance)
    return mean, sigma, often | (k2 > -2 * np.log(chance))


def omnibus(n: np.ndarray, m1: np.ndarray, m2: np.ndarray, m3: np.ndarray, m4: np.ndarray) -> np.ndarray:
    """K^2 of D'Agostino and Pearson, as scipy.stats.normaltest, from sums instead of values.

    Args:
        n: number of values; below 20 the test does not hold, and 0 is returned.
        m1: mean of the values; m2, m3, m4 of their powers.
        m2: see m1.
        m3: see m1.
        m4: see m1.

    Returns:
        Skewness and kurtosis as squared standard deviations, distributed as chi-square with two degrees of freedom
        where the values are normal; 0 where all are equal.
    """
    enough = (n >= FEWEST) & (m2 - m1**2 > 1e-9)
    n = np.maximum(n, FEWEST).astype(np.float64)
    variance = np.where(enough, m2 - m1**2, 1)
    third = m3 - 3 * m1 * m2 + 2 * m1**3
    fourth = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
    k2: np.ndarray = skew_z(n, third / variance**1.5) ** 2 + kurtosis_z(n, fourth / variance**2) ** 2
    return np.where(enough, k2, 0)


def skew_z(n: np.ndarray, skewness: np.ndarray) -> np.ndarray:
    """Skewness in standard deviations of that of n normal values (D'Agostino, Biometrika 57 (1970) 679)."""
    y = skewness * np.sqrt((n + 1) * (n + 3) / (6 * (n - 2)))
    b2 = 3 * (n**2 + 27 * n - 70) * (n + 1) * (n + 3) / ((n - 2) * (n + 5) * (n + 7) * (n + 9))
    w2 = np.sqrt(2 * (b2 - 1)) - 1
    z: np.ndarray = np.arcsinh(y / np.sqrt(2 / (w2 - 1))) / np.sqrt(0.5 * np.log(w2))
    return z


def kurtosis_z(n: np.ndarray, kurtosis: np.ndarray) -> np.ndarray:
    """Kurtosis in standard deviations of that of n normal values (Anscombe and Glynn, Biometrika 70 (1983) 227)."""
    width = np.sqrt(24 * n * (n - 2) * (n - 3) / ((n + 1) ** 2 * (n + 3) * (n + 5)))
    x = (kurtosis - 3 * (n - 1) / (n + 1)) / width
    skew = 6 * (n**2 - 5 * n + 2) / ((n + 7) * (n + 9)) * np.sqrt(6 * (n + 3) * (n + 5) / (n * (n - 2) * (n - 3)))
    a = 6 + 8 / skew * (2 / skew + np.sqrt(1 + 4 / skew**2))
    below = 1 + x * np.sqrt(2 / (a - 4))
    cube = np.sign(below) * np.cbrt((1 - 2 / a) / np.maximum(np.abs(below), 1e-12))
    z: np.ndarray = (1 - 2 / (9 * a) - cube) / np.sqrt(2 / (9 * a))
    return z
