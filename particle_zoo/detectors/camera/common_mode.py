"""Noise that the pixels of a row or column share."""

from __future__ import annotations

import numpy as np


def remove_common_mode(residual: np.ndarray) -> np.ndarray:
    """A frame without its common level, and then without the medians of its rows and of its columns.

    The median leaves tracks alone unless they fill half of a row or column.

    Args:
        residual: (rows, cols) pedestal-subtracted counts.

    Returns:
        (rows, cols) float32.
    """
    left = np.asarray(residual, np.float32) - np.float32(np.median(residual))
    left -= np.median(left, axis=1, keepdims=True)
    # Medians along the long way through memory are several times slower than of a transposed copy.
    left -= np.median(np.ascontiguousarray(left.T), axis=1)
    return left
