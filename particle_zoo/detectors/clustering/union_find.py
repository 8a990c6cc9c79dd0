"""Compiled connected components of pixel hits in space and time, by union-find with a last-hit look-up.

Hits arrive group by group, in time order. A grid remembers the last hit of every pixel, so that the neighbours of a hit
are nine look-ups. The last hit of a pixel is enough: an older one of that pixel inside the window is within the window
of the last one too, and hangs together with it already. Window and groups cost nothing, because both only ask whether
the neighbour's index reaches back to before the first hit still open.
"""

from __future__ import annotations

import numba
import numpy as np

from particle_zoo.errors import InputError


@numba.njit(cache=True)
def components(
    row: np.ndarray,
    col: np.ndarray,
    toa: np.ndarray,
    starts: np.ndarray,
    window: int,
    rows: int,
    cols: int,
    diagonal: bool,
) -> tuple[np.ndarray, int]:
    """Number the components of n hits.

    Args:
        row: (n,) rows, 0..rows-1.
        col: (n,) columns, 0..cols-1.
        toa: (n,) times, ascending inside each group; empty where times do not matter.
        starts: (g + 1,) bounds of the groups; hits of different groups are never neighbours.
        window: neighbours are at most this far apart in time.
        rows: of the matrix.
        cols: of the matrix.
        diagonal: 8 neighbours instead of 4.

    Returns:
        (n,) int64 component of each hit, 0, 1, ... in the order of their first hits, and the number of components.
    """
    n = len(row)
    # A border of pixels that are never hit saves the tests at the edges.
    stride = cols + 2
    last = np.full((rows + 2) * stride, -1, np.int64)
    parent = np.empty(n, np.int64)
    timed = len(toa) > 0
    for group in range(len(starts) - 1):
        first = starts[group]
        for i in range(starts[group], starts[group + 1]):
            if timed:
                while toa[first] < toa[i] - window:
                    first += 1
            pixel = (row[i] + 1) * stride + col[i] + 1
            parent[i] = i
            root = i
            for down in range(-1, 2):
                for right in range(-1, 2):
                    if not diagonal and down * right != 0:
                        continue
                    j = last[pixel + down * stride + right]
                    if j < first:
                        continue
                    while parent[j] != j:
                        parent[j] = parent[parent[j]]
                        j = parent[j]
                    # The smaller index is the root, so that a parent always comes before its children.
                    if j < root:
                        parent[root] = j
                        root = j
                    else:
                        parent[j] = root
            last[pixel] = i
    count = 0
    for i in range(n):
        if parent[i] == i:
            parent[i] = -1 - count
            count += 1
        else:
            parent[i] = parent[parent[i]]
    for i in range(n):
        parent[i] = -1 - parent[i]
    return parent, count


@numba.njit(cache=True)
def by_component(component: np.ndarray, count: int, min_size: int) -> tuple[np.ndarray, np.ndarray]:
    """The hits of every component with at least `min_size` hits, component by component.

    Args:
        component: (n,) of each hit.
        count: number of components.
        min_size: smallest one to keep.

    Returns:
        (k,) positions of the hits, in their order inside each component, and (m + 1,) offsets.
    """
    sizes = np.zeros(count, np.int64)
    for number in component:
        sizes[number] += 1
    kept = 0
    total = 0
    next_place = np.empty(count, np.int64)
    offsets = np.empty(count + 1, np.int64)
    offsets[0] = 0
    for number in range(count):
        if sizes[number] >= min_size:
            next_place[number] = total
            total += sizes[number]
            kept += 1
            offsets[kept] = total
        else:
            next_place[number] = -1
    order = np.empty(total, np.int64)
    for i in range(len(component)):
        place = next_place[component[i]]
        if place >= 0:
            order[place] = i
            next_place[component[i]] = place + 1
    return order, offsets[: kept + 1]


@numba.njit(cache=True)
def above(images: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of (f, rows, cols) images at or above a threshold, in the order frame, row, column.

    Returns:
        (k,) int32 rows, (k,) int32 columns, (k,) values, (f + 1,) int64 bounds of the frames.
    """
    frames, rows, cols = images.shape
    starts = np.zeros(frames + 1, np.int64)
    # Counted first: a list that grows would cost more than looking twice.
    for frame in range(frames):
        found = 0
        for row in range(rows):
            for col in range(cols):
                found += images[frame, row, col] >= threshold
        starts[frame + 1] = starts[frame] + found
    row_of = np.empty(starts[frames], np.int32)
    col_of = np.empty(starts[frames], np.int32)
    value = np.empty(starts[frames], images.dtype)
    place = 0
    for frame in range(frames):
        for row in range(rows):
            for col in range(cols):
                if images[frame, row, col] >= threshold:
                    row_of[place] = row
                    col_of[place] = col
                    value[place] = images[frame, row, col]
                    place += 1
    return row_of, col_of, value, starts


def compiled(images: np.ndarray) -> np.ndarray:
    """Images as `above` takes them: contiguous, in the byte order of the machine, of a type it is compiled for.

    Raises:
        InputError: pixels that are no real numbers.
    """
    if images.dtype.kind not in "biuf":
        raise InputError(f"pixels are real numbers; received {images.dtype}")
    small = images.dtype.kind == "f" and images.dtype.itemsize not in (4, 8)
    return np.ascontiguousarray(images, np.float64 if small else images.dtype.newbyteorder("="))
