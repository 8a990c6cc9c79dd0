"""From hit lists to square images."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from particle_zoo.clusters import MASK_UNIT, Clusters
from particle_zoo.errors import InputError

CHUNK_PIXELS = 2**24
"""Large clusters are drawn at full size before they shrink; at most this many pixels at a time."""


@lru_cache(maxsize=64)
def downscale_matrix(side: int, size: int) -> np.ndarray:
    """(size, side) float32 matrix that averages neighbours and drops one pixel, `side - size` times.

    k repeated means of two neighbours weigh pixel i + j of the input by C(k, j) / 2^k; the seed's repeated mean of
    four neighbours is this along both axes.
    """
    from scipy.stats import binom

    steps = side - size
    weights = binom.pmf(np.arange(steps + 1), steps, 0.5)
    matrix = np.zeros((size, side), np.float32)
    for i in range(size):
        matrix[i, i : i + steps + 1] = weights
    matrix.flags.writeable = False
    return matrix


def rasterise(clusters: Clusters, size: int = 64, values: str = "energy") -> np.ndarray:
    """Draw every cluster on a square image of its own.

    The bounding box is centred (the odd pixel goes to the bottom right) on a square of side max(height, width, size)
    with background 0. Larger squares shrink as in the seed (003, "Downscaling"): mean of four neighbours, one pixel
    less along each axis, repeated until `size`.

    Args:
        clusters: n clusters.
        size: side of the images, px.
        values: "energy" draws the energy column, "mask" draws 1 for a hit.

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
    top, left, height, width = bounding_boxes(clusters)
    side = np.maximum(np.maximum(height, width), size)
    cluster = clusters.hit_cluster
    row = (clusters.column("row").astype(np.int64) - top[cluster]) + ((side - height) // 2)[cluster]
    col = (clusters.column("col").astype(np.int64) - left[cluster]) + ((side - width) // 2)[cluster]
    value = clusters.column("energy").astype(np.float32) if values == "energy" else np.ones(len(row), np.float32)

    fits = (side == size)[cluster]
    np.add.at(images, (cluster[fits], row[fits], col[fits]), value[fits])
    # A pixel hit twice (two times of arrival) is still one pixel of the mask.
    for large in np.unique(side[side > size]):
        matrix = downscale_matrix(int(large), size)
        members = np.flatnonzero(side == large)
        step = max(1, CHUNK_PIXELS // int(large) ** 2)
        for start in range(0, len(members), step):
            chosen = members[start : start + step]
            hits = np.flatnonzero(np.isin(cluster, chosen))
            square = np.zeros((len(chosen), large, large), np.float32)
            np.add.at(square, (np.searchsorted(chosen, cluster[hits]), row[hits], col[hits]), value[hits])
            if values == "mask":
                np.minimum(square, 1, out=square)
            images[chosen] = matrix @ square @ matrix.T
    if values == "mask":
        np.minimum(images, 1, out=images)
    return images


def bounding_boxes(clusters: Clusters) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """First row, first column, height and width (px) of each cluster, int64."""
    starts = clusters.offsets[:-1]
    row, col = (clusters.column(name).astype(np.int64) for name in ("row", "col"))
    top, left = np.minimum.reduceat(row, starts), np.minimum.reduceat(col, starts)
    return top, left, np.maximum.reduceat(row, starts) - top + 1, np.maximum.reduceat(col, starts) - left + 1
