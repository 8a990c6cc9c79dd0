"""Enlarging on the host: what `particle_zoo.layers.Enlarge` does on the device, and its inverse."""

from __future__ import annotations

import numpy as np

from particle_zoo.pipelines.timepix import MAX_FACTOR


def boxes(rasters: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """First row, first column, height and width (px) of what is not 0 in channel 0 of each raster, int64."""
    hit = np.asarray(rasters[..., 0] > 0)
    found = []
    for axis in (2, 1):
        line = np.asarray(hit.any(axis=axis))
        first = line.argmax(axis=1)
        found.append((first, line.shape[1] - line[:, ::-1].argmax(axis=1) - first))
    (top, height), (left, width) = found
    return top, left, height, width


def enlarge(rasters: np.ndarray, size: int, *, max_factor: int = MAX_FACTOR) -> np.ndarray:
    """Enlarge the cluster of each raster by the largest whole factor that fits, nearest neighbour, and centre it.

    Args:
        rasters: (n, side, side, channels); channel 0 is positive on hits, and no cluster is larger than `size`.
        size: side of the images, px.
        max_factor: largest factor.

    Returns:
        (n, size, size, channels) of the same type; an odd pixel of margin is at the bottom right.
    """
    images = np.zeros((len(rasters), size, size, rasters.shape[-1]), rasters.dtype)
    for image, raster, top, left, height, width in zip(images, rasters, *boxes(rasters), strict=True):
        factor = min(max_factor, size // max(height, width))
        cluster = raster[top : top + height, left : left + width]
        row, col = (size - factor * height) // 2, (size - factor * width) // 2
        image[row : row + factor * height, col : col + factor * width] = np.kron(
            cluster, np.ones((factor, factor, 1), rasters.dtype)
        )
    return images


def reduce(image: np.ndarray, height: int, width: int, *, max_factor: int = MAX_FACTOR) -> np.ndarray:
    """The inverse of `enlarge` for one image: means over the pixels that one raster pixel became.

    Args:
        image: (size, size, channels).
        height: of the cluster in raster pixels.
        width: of the same.
        max_factor: as in `enlarge`.

    Returns:
        (height, width, channels); exactly the cluster for an enlarged one, block means for a reconstruction.
    """
    size = image.shape[0]
    factor = min(max_factor, size // max(height, width))
    row, col = (size - factor * height) // 2, (size - factor * width) // 2
    part = image[row : row + factor * height, col : col + factor * width]
    return part.reshape(height, factor, width, factor, -1).mean(axis=(1, 3), dtype=np.float64).astype(image.dtype)
