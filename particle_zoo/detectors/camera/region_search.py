"""From pixels above a threshold to regions and what is known of them.

Few pixels of a frame are above a threshold, and those far from all others have nothing to do with them. They are split into
islands by a grid of tiles, and each island is searched in a window of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.ndimage import label, maximum_filter

from particle_zoo.detectors.camera.regions import REGION_COLUMNS, Regions

NEIGHBOURS = np.ones((3, 3), np.bool_)

TILE = 32
"""Shortest side of the tiles, in blocks; pixels in tiles that do not touch are further apart."""


class Found(NamedTuple):
    """Pixels of regions, in no order.

    Args:
        row: (p,) of the frame.
        col: (p,) of the frame.
        owner: (p,) number of the region, from 1 on.
        height: (p,) score; -infinity where only widening made a pixel part of a region.
        n: number of regions.
    """

    row: np.ndarray
    col: np.ndarray
    owner: np.ndarray
    height: np.ndarray
    n: int


def search(
    score: np.ndarray,
    above: np.ndarray,
    shape: tuple[int, ...],
    *,
    min_blocks: int,
    dilation: int,
    merge: int,
    binning: int,
    link: int,
) -> Found:
    """Components, without small ones, widened and merged; see `Finder`.

    Args:
        score: of the blocks.
        above: the same shape, bool, blocks above the threshold.
        shape: rows and columns of the frame.
        min_blocks: smallest component, blocks.
        dilation: px.
        merge: px.
        binning: side of a block, px.
        link: blocks further apart are never in one region.
    """
    nothing = np.empty(0, np.int64)
    parts = [(nothing, nothing, nothing, np.empty(0, np.float32))]
    count = 0
    for row, col in islands(above, link):
        first = np.array([row.min(), col.min()])
        blocks = np.zeros((row.max() + 1 - first[0], col.max() + 1 - first[1]), np.bool_)
        blocks[row - first[0], col - first[1]] = True
        if min_blocks > 1:
            components, _ = label(blocks, NEIGHBOURS)
            enough = np.bincount(components.ravel()) >= min_blocks
            enough[0] = False
            blocks = enough[components]
            if not blocks.any():
                continue
        heights = np.where(blocks, score[first[0] :, first[1] :][: blocks.shape[0], : blocks.shape[1]], -np.inf)
        corner, stop = first * binning, np.minimum((first + blocks.shape) * binning, shape)
        start, end = np.maximum(corner - dilation, 0), np.minimum(stop + dilation, shape)
        height = np.full(end - start, -np.inf, np.float32)
        inner = tuple(slice(a, b) for a, b in zip(corner - start, stop - start, strict=True))
        height[inner] = enlarged(heights, binning, tuple(stop - corner))
        mask = widened(height > -np.inf, 2 * dilation + 1)
        # Squares of this side touch where the gap between their pixels is at most `merge`.
        labels, more = label(widened(mask, merge + 1), NEIGHBOURS)
        inside = np.nonzero(mask)
        parts.append((inside[0] + start[0], inside[1] + start[1], labels[inside] + count, height[inside]))
        count += more
    row, col, owner, height = (np.concatenate([part[i] for part in parts]) for i in range(4))
    return Found(row, col, owner, height, count)


def islands(above: np.ndarray, link: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows and columns of blocks that may belong together."""
    row, col = np.divmod(np.flatnonzero(above), above.shape[1])
    side = max(TILE, link)
    tiles = np.zeros((above.shape[0] // side + 1, above.shape[1] // side + 1), np.bool_)
    tiles[row // side, col // side] = True
    number, count = label(tiles, NEIGHBOURS)
    island = number[row // side, col // side]
    order = np.argsort(island, kind="stable")
    bounds = np.searchsorted(island[order], np.arange(1, count + 2))
    for start, end in pairwise(bounds):
        yield row[order[start:end]], col[order[start:end]]


def measured(found: Found, intensity: np.ndarray, binning: int) -> Regions:
    """The table of regions, sorted by their light, and their labels."""
    labels: np.ndarray = np.zeros(intensity.shape, np.int32)
    if not found.n:
        return Regions(_table({name: np.empty(0) for name in REGION_COLUMNS}), labels)
    row, col, owner, height, count = found
    value = intensity[row, col].astype(np.float64)
    integral = np.bincount(owner, value, count + 1)[1:]
    rank = np.empty(count + 1, np.int64)
    rank[1 + np.argsort(-integral, kind="stable")] = np.arange(1, count + 1)
    owner = rank[owner]
    labels[row, col] = owner
    order = np.lexsort((-height, owner))
    row, col, value, height = row[order], col[order], value[order], height[order]
    first = np.searchsorted(owner[order], np.arange(1, count + 1))
    n_pixels = np.diff(first, append=len(order))
    weight = np.maximum(value, 0)
    # Without light the middle of the pixels.
    weight[np.repeat(np.add.reduceat(weight, first) == 0, n_pixels)] = 1
    total = np.add.reduceat(weight, first)
    middle = (binning - 1) // 2
    columns = {
        "row0": np.minimum.reduceat(row, first),
        "row1": np.maximum.reduceat(row, first) + 1,
        "col0": np.minimum.reduceat(col, first),
        "col1": np.maximum.reduceat(col, first) + 1,
        "n_pixels": n_pixels,
        "peak": height[first],
        "peak_row": np.minimum(row[first] // binning * binning + middle, labels.shape[0] - 1),
        "peak_col": np.minimum(col[first] // binning * binning + middle, labels.shape[1] - 1),
        "integral": np.add.reduceat(value, first),
        "row": np.add.reduceat(weight * (row + 0.5), first) / total,
        "col": np.add.reduceat(weight * (col + 0.5), first) / total,
    }
    return Regions(_table(columns), labels)


def enlarged(blocks: np.ndarray, side: int, shape: tuple[int, ...]) -> np.ndarray:
    """(rows, cols) values of blocks for all of their pixels."""
    if side == 1:
        return blocks
    return blocks.repeat(side, axis=0).repeat(side, axis=1)[: shape[0], : shape[1]]


def widened(image: np.ndarray, side: int) -> np.ndarray:
    """The highest value in a square around each pixel; nothing beyond the border."""
    if side == 1:
        return image
    # SciPy takes no truth values.
    flat, lowest = (image.view(np.uint8), 0.0) if image.dtype == np.bool_ else (image, -np.inf)
    wide: np.ndarray = maximum_filter(flat, side, mode="constant", cval=lowest)
    return wide.view(image.dtype)


def _table(columns: dict[str, np.ndarray]) -> pd.DataFrame:
    return pd.DataFrame({name: np.asarray(columns[name], dtype) for name, dtype in REGION_COLUMNS.items()})
