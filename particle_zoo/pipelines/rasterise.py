"""From hit lists to square images."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from particle_zoo.clusters import MASK_UNIT, Clusters
from particle_zoo.errors import InputError
from particle_zoo.pipelines.draw import boxes, squares

NEGLIGIBLE = 1e-9
"""Shares of a pixel below this are left out."""


@lru_cache(maxsize=1024)
def downscale_weights(steps: int) -> np.ndarray:
    """(steps + 1,) float32 shares of the pixels of a line that a pixel is made of where the line drops `steps` pixels.

    k repeated means of two neighbours weigh pixel i + j of the input by C(k, j) / 2^k; the seed's repeated mean of
    four neighbours is this along both axes.
    """
    from scipy.stats import binom

    weights = binom.pmf(np.arange(steps + 1), steps, 0.5)
    # Numbers near the smallest float32 would slow the drawing down.
    found: np.ndarray = np.where(weights < NEGLIGIBLE, 0, weights).astype(np.float32)
    found.flags.writeable = False
    return found


def rasterise(
    clusters: Clusters, size: int = 64, values: str = "energy", *, scaled: tuple[float, float] | None = None
) -> np.ndarray:
    """Draw every cluster on a square image of its own.

    The bounding box is centred (the odd pixel goes to the bottom right) on a square of side max(height, width, size)
    with background 0. Larger squares shrink as in the seed (003, "Downscaling"): mean of four neighbours, one pixel
    less along each axis, repeated until `size`.

    Args:
        clusters: n clusters.
        size: side of the images, px.
        values: "energy" draws the energy column, "mask" draws 1 for a hit.
        scaled: energy of a hit that becomes 0 and energy above it that becomes 1, clipped to [0, 1]; None draws energies
            as they are.

    Returns:
        (n, size, size) float32.

    Raises:
        InputError: "energy" of clusters that are masks, or another word.
    """
    if values not in ("energy", "mask"):
        raise InputError(f"values must be energy or mask; received {values!r}")
    if values == "energy" and clusters.unit == MASK_UNIT:
        raise InputError("these clusters are masks without pixel energies; use the mask (--set input=mask)")
    n = len(clusters)
    images = np.zeros((n, size, size), np.float32)
    if not n:
        return images
    box = boxes(clusters.hits, clusters.offsets, False)
    steps = np.maximum(box[2], box[3]) - size
    kernels, kernel = np.empty((0, 0), np.float32), np.full(n, -1)
    if (steps > 0).any():
        different, kernel = np.unique(np.maximum(steps, 0), return_inverse=True)
        kernels = np.zeros((len(different), int(different[-1]) + 1), np.float32)
        for i, dropped in enumerate(different):
            kernels[i, : dropped + 1] = downscale_weights(int(dropped))
        kernel = np.where(steps > 0, kernel, -1)
    number = clusters.hits.dtype.type
    floor, scale = (number(v) for v in scaled or (0, 1))
    squares(
        clusters.hits, clusters.offsets, box, images, floor, scale, scaled is not None, values == "mask", kernels, kernel
    )  # fmt: skip
    return images


def bounding_boxes(clusters: Clusters) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """First row, first column, height and width (px) of each cluster, int64."""
    top, left, height, width = boxes(clusters.hits, clusters.offsets, False)
    return top, left, height, width
