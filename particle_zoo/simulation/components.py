"""Connected components of the pixels of many events at once."""

from __future__ import annotations

import numpy as np


def components(event: np.ndarray, row: np.ndarray, col: np.ndarray, cols: int) -> np.ndarray:
    """Number the 8-neighbour components of pixels.

    Args:
        event: (k,) event of each pixel; pixels are sorted by event, row, column, none twice.
        row: (k,) row.
        col: (k,) column.
        cols: columns of the matrix.

    Returns:
        (k,) int64; 0, 1, ... in the order of each component's first pixel.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(event)
    if not n:
        return np.empty(0, np.int64)
    # Empty columns and rows between the lines and events keep strangers apart.
    stride = cols + 2
    height = int(row.max()) + 2
    key = (event * height + row) * stride + col
    ends: list[np.ndarray] = []
    starts: list[np.ndarray] = []
    # The right neighbour can only be the next of the list.
    right = np.flatnonzero(key[1:] == key[:-1] + 1)
    starts.append(right)
    ends.append(right + 1)
    # Of the three below the first at or after the left one; a run of neighbours hangs together by itself, except
    # for left and right with a gap between them.
    below = np.searchsorted(key, key + stride - 1)
    for skip in (0, 1):
        at = np.minimum(below + skip, n - 1)
        near = np.flatnonzero((key[at] >= key + stride - 1) & (key[at] <= key + stride + 1))
        starts.append(near)
        ends.append(at[near])
    start, end = np.concatenate(starts), np.concatenate(ends)
    graph = coo_array((np.ones(len(start), np.int8), (start, end)), shape=(n, n))
    _, label = connected_components(graph, directed=False)
    # scipy numbers components in the order of their first member, but does not promise it.
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
