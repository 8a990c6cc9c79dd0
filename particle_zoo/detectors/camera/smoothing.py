"""Correlation of frames with separable kernels."""

from __future__ import annotations

import numba
import numpy as np

from particle_zoo.detectors.camera.bands import in_bands

BLOCK = 512
"""Columns whose sums stay in the fastest cache."""


def gaussian_kernel(sigma: float) -> np.ndarray:
    """That of `scipy.ndimage.gaussian_filter`: float64, its sum is 1, cut off at 4 sigma."""
    half = int(4 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    return kernel / kernel.sum()


def correlated(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Correlation with the outer product of a kernel with itself; beyond the border is 0.

    As two calls of `scipy.ndimage.correlate1d` in its order and precision (sums in float64, float32 between the two axes), so
    that the result is the same; two to three times as fast, and in threads.

    Args:
        image: (rows, cols) float32.
        kernel: (odd,) float64, symmetric.

    Returns:
        (rows, cols) float32.
    """
    image = np.ascontiguousarray(image, np.float32)
    found = np.empty_like(image)
    kernel = np.ascontiguousarray(kernel, np.float64)
    in_bands(lambda first, last: _correlate(image, kernel, found, first, last), *image.shape)
    return found


@numba.njit(cache=True, nogil=True)
def _correlate(image: np.ndarray, kernel: np.ndarray, found: np.ndarray, first: int, last: int) -> None:
    rows, cols = image.shape
    half = len(kernel) // 2
    nothing, line = np.zeros(cols, np.float32), np.zeros(cols + 2 * half, np.float64)
    sums = np.empty(BLOCK, np.float64)
    for row in range(first, last):
        for start in range(0, cols, BLOCK):
            n = min(BLOCK, cols - start)
            _scale(sums, image[row, start : start + n], kernel[half])
            for k in range(half, 0, -1):
                above = image[row - k] if row >= k else nothing
                below = image[row + k] if row + k < rows else nothing
                _add(sums, above[start : start + n], below[start : start + n], kernel[half - k])
            # Between the two axes SciPy rounds to the type of its output.
            for i in range(n):
                line[half + start + i] = np.float32(sums[i])
        for start in range(0, cols, BLOCK):
            n, middle = min(BLOCK, cols - start), half + start
            _scale(sums, line[middle : middle + n], kernel[half])
            for k in range(half, 0, -1):
                _add(sums, line[middle - k : middle - k + n], line[middle + k : middle + k + n], kernel[half - k])
            for i in range(n):
                found[row, start + i] = sums[i]


# Functions of their own, with the weight in a register, are what the compiler turns into vector code.
@numba.njit(cache=True, nogil=True)
def _scale(sums: np.ndarray, values: np.ndarray, weight: float) -> None:
    for i in range(len(values)):
        sums[i] = np.float64(values[i]) * weight


@numba.njit(cache=True, nogil=True)
def _add(sums: np.ndarray, left: np.ndarray, right: np.ndarray, weight: float) -> None:
    for i in range(len(left)):
        sums[i] += (np.float64(left[i]) + np.float64(right[i])) * weight
