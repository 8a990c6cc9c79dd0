"""The 8 symmetries of the square, one for each image of a batch."""

from __future__ import annotations

import numpy as np


def dihedral(images: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Apply symmetry `index[i]` to image i: 0-3 quarter turns counter-clockwise, 4-7 the same after a transposition.

    Args:
        images: (n, side, side, ...).
        index: (n,) integers in 0..7; 0 leaves the image as it is.

    Returns:
        A new array of the same shape.
    """
    out = np.empty_like(images)
    for symmetry in range(8):
        chosen = np.flatnonzero(index == symmetry)
        if chosen.size:
            part = images[chosen]
            if symmetry >= 4:
                part = part.swapaxes(1, 2)
            out[chosen] = np.rot90(part, symmetry % 4, axes=(1, 2))
    return out


def transposes(index: np.ndarray) -> np.ndarray:
    """(n,) bool: whether the symmetry exchanges height and width."""
    index = np.asarray(index)
    return (index % 2 == 1) ^ (index >= 4)
