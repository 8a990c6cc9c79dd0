"""From a frame to clusters: threshold, 8-neighbour components, minimum size.

The seed (003) scans the frame in Python, pixel by pixel; here a compiled labelling does it. `breadth_first` is that
scan, kept as the reference for tests and for `python -m particle_zoo.benchmark clustering`.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import pandas as pd

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.clustering.union_find import above, by_component, compiled, components
from particle_zoo.errors import InputError
from particle_zoo.pipelines.rasterise import bounding_boxes

SEED_EDGE = (40, 0, 5, 0)
"""Rows and columns the seed cuts off its frames (top, bottom, left, right): `data[40:4124, 5:2040]`."""


def cluster_image(
    frame: np.ndarray,
    *,
    threshold: float = 4000.0,
    min_size: int = 5,
    edge: tuple[int, int, int, int] | None = None,
    connectivity: int = 8,
    source: str = "frame",
    unit: str = "ADU",
) -> Clusters:
    """Find the clusters of one frame.

    Args:
        frame: (rows, cols) pixel values.
        threshold: pixels at or above it are hits.
        min_size: smallest cluster, px.
        edge: pixels ignored along the top, bottom, left and right border; coordinates stay those of the frame.
            `SEED_EDGE` is the seed's.
        connectivity: 8 or 4 neighbours.
        source: name of the frame; cluster i gets the id `source:i`.
        unit: unit of the pixel values.

    Returns:
        Clusters in the order of their first pixel, row by row; table columns height, width, size, energy_sum (pixels
        above the threshold only, as in the seed), row0, col0, source.

    Raises:
        InputError: not two-dimensional, NaN, or an edge that leaves nothing.
    """
    frame = np.asarray(frame)
    if frame.ndim != 2 or not frame.size:
        raise InputError(f"{source}: a frame has rows and columns; received shape {frame.shape}")
    if frame.dtype.kind == "f" and not np.isfinite(frame).all():
        row, col = np.argwhere(~np.isfinite(frame))[0]
        raise InputError(f"{source}: pixel (row {row}, col {col}) is {frame[row, col]}; replace bad pixels first")
    if not (isinstance(threshold, (int, float, np.number)) and np.isfinite(threshold)):
        raise InputError(f"threshold must be a number, in the unit of the frame; received {threshold!r}")
    if connectivity not in (4, 8):
        raise InputError(f"connectivity must be 4 or 8; received {connectivity}")
    top, bottom, left, right = edge or (0, 0, 0, 0)
    inside = frame[top : frame.shape[0] - bottom, left : frame.shape[1] - right]
    if min(top, bottom, left, right) < 0 or not inside.size:
        raise InputError(f"{source}: an edge of {edge} px leaves nothing of a frame of shape {frame.shape}")

    inside = compiled(inside)
    row, col, value, bounds = above(inside[None], threshold)
    nothing = np.empty(0, np.int64)
    component, count = components(row, col, nothing, bounds, 0, *inside.shape, connectivity == 8)
    order, offsets = by_component(component, count, min_size)
    hits = np.column_stack([row[order] + top, col[order] + left, value[order]]).astype(np.float32)
    return _with_metadata(hits, offsets, threshold, source, unit)


def _with_metadata(hits: np.ndarray, offsets: np.ndarray, threshold: float, source: str, unit: str) -> Clusters:
    n = len(offsets) - 1
    bare = Clusters(hits, ("row", "col", "energy"), offsets, pd.DataFrame(index=range(n)), unit)
    if not n:
        return bare.with_table(source=pd.Series(dtype=object), energy_sum=pd.Series(dtype=float))
    row0, col0, height, width = bounding_boxes(bare)
    energy = hits[:, 2].astype(np.float64)
    table = pd.DataFrame(
        {
            "id": [f"{source}:{i}" for i in range(n)],
            "label": "",
            "height": height,
            "width": width,
            "size": bare.sizes,
            "energy_sum": np.bincount(bare.hit_cluster, np.where(energy > threshold, energy, 0), n),
            "row0": row0,
            "col0": col0,
            "source": source,
        }
    )
    return Clusters(bare.hits, bare.columns, offsets, table, unit)


def breadth_first(frame: np.ndarray, threshold: float, min_size: int) -> list[list[tuple[int, int]]]:
    """The seed's algorithm: scan from the upper left, search the neighbours of every hit, keep what is large enough.

    Returns:
        Pixel lists (row, col) in the order of their first pixel.
    """
    hit = (frame >= threshold).tolist()
    rows, cols = frame.shape
    found = []
    for row in range(rows):
        for col in range(cols):
            if not hit[row][col]:
                continue
            hit[row][col] = False
            queue, pixels = deque([(row, col)]), []
            while queue:
                r, c = queue.popleft()
                pixels.append((r, c))
                for rr in range(max(r - 1, 0), min(r + 2, rows)):
                    for cc in range(max(c - 1, 0), min(c + 2, cols)):
                        if hit[rr][cc]:
                            hit[rr][cc] = False
                            queue.append((rr, cc))
            if len(pixels) >= min_size:
                found.append(pixels)
    return found
