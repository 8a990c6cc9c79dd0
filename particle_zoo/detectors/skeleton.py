"""Compiled walks through the pixels of each cluster: inner pixels, farthest pairs, the path along a curved track."""

from __future__ import annotations

import numba
import numpy as np

from particle_zoo.errors import InputError

ORTHOGONAL, DIAGONAL = 70, 99
"""Weights of a step: whole numbers, so that no rounding depends on the direction; 99/70 is sqrt(2) to 5e-5, and above it."""

EXACT = 16
"""Pixels up to which every pixel is tried as the start of the longest path."""

TIES = 64
"""Starts and ends as far away as the farthest that are tried at most."""

LARGEST = 2**26
"""Pixels of a bounding box up to which clusters are drawn."""

COLUMNS = ("pixels", "inner", "diameter", "skeleton_length", "end0_row", "end0_col", "end1_row", "end1_col")


@numba.njit(cache=True)
def walk(row: np.ndarray, col: np.ndarray, offsets: np.ndarray, paths: bool = True) -> np.ndarray:
    """`COLUMNS` of every cluster.

    `pixels`: different pixels. `inner`: those whose four orthogonal neighbours are hit too. `diameter`: largest distance
    between two pixel centres. `skeleton_length`: length of the longest of all shortest paths through the pixels, and its
    ends, the one of the smaller row (then column) first. Of more than `EXACT` pixels the ends are found by two sweeps, as
    of a tree, from the pixels farthest from the centre.

    Args:
        row: (n_hits,) whole rows.
        col: (n_hits,) whole columns.
        offsets: (n + 1,) bounds of the clusters.
        paths: look for the longest path too, which takes most of the time; NaN without.

    Returns:
        (n, 8) float64, lengths in px.
    """
    n = len(offsets) - 1
    found = np.empty((n, 8))
    grid = np.full(16, -1, np.int32)
    for k in range(n):
        start, stop = offsets[k], offsets[k + 1]
        top, bottom, left, right = row[start], row[start], col[start], col[start]
        for i in range(start, stop):
            top, bottom = min(top, row[i]), max(bottom, row[i])
            left, right = min(left, col[i]), max(right, col[i])
        stride = right - left + 3
        area = (bottom - top + 3) * stride
        if area > len(grid):
            grid = np.full(2 * area, -1, np.int32)
        cells = np.empty(stop - start, np.int64)
        m = 0
        for i in range(start, stop):
            cell = (row[i] - top + 1) * stride + col[i] - left + 1
            if grid[cell] < 0:
                grid[cell] = m
                cells[m] = cell
                m += 1
        inner = 0
        for i in range(m):
            c = cells[i]
            if grid[c - 1] >= 0 and grid[c + 1] >= 0 and grid[c - stride] >= 0 and grid[c + stride] >= 0:
                inner += 1
        found[k, 0] = m
        found[k, 1] = inner
        found[k, 2] = np.sqrt(_diameter(cells[:m], stride, bottom - top + 1))
        found[k, 3:] = np.nan
        if paths:
            far, a, b = _longest_path(grid, cells[:m], stride)
            first, last = min(cells[a], cells[b]), max(cells[a], cells[b])
            found[k, 3] = far / ORTHOGONAL
            found[k, 4] = first // stride - 1 + top
            found[k, 5] = first % stride - 1 + left
            found[k, 6] = last // stride - 1 + top
            found[k, 7] = last % stride - 1 + left
        for i in range(m):
            grid[cells[i]] = -1
    return found


@numba.njit(cache=True)
def _diameter(cells: np.ndarray, stride: int, height: int) -> int:
    """Largest squared distance. Of every row only the ends count."""
    low = np.full(height, 2**30, np.int64)
    high = np.full(height, -1, np.int64)
    for cell in cells:
        r, c = cell // stride - 1, cell % stride
        low[r] = min(low[r], c)
        high[r] = max(high[r], c)
    best = 0
    for i in range(height):
        if high[i] < 0:
            continue
        for j in range(i, height):
            if high[j] < 0:
                continue
            across = max(high[i] - low[j], high[j] - low[i])
            best = max(best, across * across + (j - i) * (j - i))
    return best


@numba.njit(cache=True)
def _longest_path(grid: np.ndarray, cells: np.ndarray, stride: int) -> tuple[int, int, int]:
    """Chamfer length and ends of the longest shortest path."""
    m = len(cells)
    distance = np.empty(m, np.int32)
    queue = np.empty(m, np.int32)
    waits = np.zeros(m, np.bool_)
    starts = np.arange(m)
    if m > EXACT:
        starts = _farthest_from_centre(cells, stride)
        # The ends of a tree are as far as possible from any of its pixels.
        ends = np.zeros(m, np.bool_)
        for start in starts:
            far = distance[_distances(grid, cells, stride, start, distance, queue, waits)]
            for i in range(m):
                if distance[i] == far:
                    ends[i] = True
        starts = np.flatnonzero(ends)[:TIES]
    best, apart, a, b = -1, -1, 0, 0
    for start in starts:
        length = distance[_distances(grid, cells, stride, start, distance, queue, waits)]
        if length < best:
            continue
        for i in range(m):
            if distance[i] != length:
                continue
            one, two = min(cells[i], cells[start]), max(cells[i], cells[start])
            down, right = two // stride - one // stride, two % stride - one % stride
            straight = down * down + right * right
            # Of equal paths the ends farthest apart, of those the first: nothing depends on the order of pixels.
            first = one < min(cells[a], cells[b]) or (one == min(cells[a], cells[b]) and two < max(cells[a], cells[b]))
            if length > best or straight > apart or (straight == apart and first):
                best, apart, a, b = int(length), int(straight), int(start), i
    return best, a, b


@numba.njit(cache=True)
def _farthest_from_centre(cells: np.ndarray, stride: int) -> np.ndarray:
    """The pixels farthest from the mean position, in whole numbers."""
    m = len(cells)
    down, right = np.int64(0), np.int64(0)
    for cell in cells:
        down += cell // stride
        right += cell % stride
    far = np.empty(m, np.int64)
    for i in range(m):
        r, c = m * (cells[i] // stride) - down, m * (cells[i] % stride) - right
        far[i] = r * r + c * c
    return np.flatnonzero(far == far.max())[:TIES]


@numba.njit(cache=True)
def _distances(
    grid: np.ndarray,
    cells: np.ndarray,
    stride: int,
    start: int,
    distance: np.ndarray,
    queue: np.ndarray,
    waits: np.ndarray,
) -> int:
    """Fill the distances from one pixel, by relaxation in a ring of waiting pixels; returns the farthest pixel."""
    m = len(cells)
    distance[:] = -1
    distance[start] = 0
    queue[0] = start
    head, waiting = 0, 1
    while waiting:
        i = queue[head]
        head = (head + 1) % m
        waiting -= 1
        waits[i] = False
        for down in range(-1, 2):
            for right in range(-1, 2):
                j = grid[cells[i] + down * stride + right]
                if j < 0:
                    continue
                reached = distance[i] + (ORTHOGONAL if down * right == 0 else DIAGONAL)
                if j != i and (distance[j] < 0 or reached < distance[j]):
                    distance[j] = reached
                    if not waits[j]:
                        queue[(head + waiting) % m] = j
                        waiting += 1
                        waits[j] = True
    end = start
    for i in range(m):
        if distance[i] > distance[end]:
            end = i
    return end


def check_extent(height: np.ndarray, width: np.ndarray) -> None:
    """Refuse clusters that no detector has, before they fill the memory.

    Args:
        height: (n,) of the bounding boxes, px.
        width: (n,) the same.

    Raises:
        InputError: a box of more than `LARGEST` pixels.
    """
    area = height.astype(np.int64) * width
    if len(area) and area.max() > LARGEST:
        i = int(area.argmax())
        raise InputError(
            f"cluster {i} extends over {height[i]} x {width[i]} px; one of its pixels is damaged, leave the cluster out"
        )
