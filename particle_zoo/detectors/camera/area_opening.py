"""Components of a map at all thresholds at once: the area opening, and how many groups of pixels there are.

Pixels are taken from the highest downwards and joined by union-find, as in the area openings of Vincent (Mathematical
Morphology and its Applications to Signal Processing, 1993) and Meijster and Wilkinson (IEEE PAMI 24 (2002) 484).
"""

from __future__ import annotations

import numba
import numpy as np

CELL = 8
"""Shortest side of the cells in which neighbours are looked up."""


def highest(score: np.ndarray, share: float) -> tuple[np.ndarray, float]:
    """The pixels that are above the quantile 1 - share.

    Args:
        score: (rows, cols) float32.
        share: of the pixels, 0..1; pixels as high as the highest one left out are left out too.

    Returns:
        (n,) int64 their positions, row * columns + column, from the highest downwards, and the level that they are above;
        -infinity where all are taken.
    """
    flat = score.ravel()
    rank = flat.size - 1 - int(share * flat.size)
    floor = -np.inf if rank < 0 else float(np.partition(flat, rank)[rank])
    found = np.flatnonzero(flat > floor)
    return found[np.argsort(-flat[found])], floor


def opened(score: np.ndarray, pixels: int, share: float = 1.0) -> tuple[np.ndarray, float]:
    """Area opening: the highest level at which each pixel is in a component of enough pixels.

    A pixel is in a component of at least `pixels` 8-connected pixels with `score >= t` exactly where the opening is `>= t`,
    for every t above the floor.

    Args:
        score: (rows, cols) float32.
        pixels: smallest component; 1 gives the score itself.
        share: of the pixels, the highest ones, that are looked at.

    Returns:
        (rows, cols) float32, -infinity where the opening is not above the floor, and the floor.
    """
    if pixels <= 1:
        return score, -np.inf
    order, floor = highest(score, share)
    out = np.full(score.shape, -np.inf, np.float32)
    out.ravel()[order] = _opened(order, score.ravel()[order], *score.shape, pixels)
    return out, floor


def steps(score: np.ndarray, link: int, share: float = 1.0) -> tuple[np.ndarray, np.ndarray, float]:
    """The number of groups of pixels with `score >= t`, for every t above the floor.

    Pixels of a group are linked through pixels at most `link` rows and columns apart; 1 makes groups 8-connected components.

    Args:
        score: (rows, cols) float32; -infinity is never above a threshold.
        link: whole number from 1 on.
        share: of the pixels, the highest ones, that are looked at.

    Returns:
        (k,) float32 levels at which the number changes, from the highest downwards, (k,) int64 the number from each of them
        down to the next, and the floor.
    """
    order, floor = highest(score, share)
    levels = score.ravel()[order]
    counts = _groups(order, *score.shape, link)
    # Pixels of equal score pass a threshold together.
    last = np.flatnonzero(np.append(np.diff(levels) != 0, True)) if len(order) else order
    levels, counts = levels[last], counts[last]
    changes = np.flatnonzero(np.diff(counts, prepend=0) != 0)
    return levels[changes], counts[changes], floor


@numba.njit(cache=True)
def _root(parent: np.ndarray, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@numba.njit(cache=True)
def _opened(order: np.ndarray, levels: np.ndarray, rows: int, cols: int, pixels: int) -> np.ndarray:
    n = len(order)
    node = np.full(rows * cols, -1, np.int32)
    parent, count, after = np.arange(n), np.ones(n, np.int64), np.arange(n)
    out = np.full(n, -np.inf, np.float32)
    for i in range(n):
        node[order[i]] = i
        row, col = order[i] // cols, order[i] % cols
        root = i
        for r in range(max(row - 1, 0), min(row + 2, rows)):
            for c in range(max(col - 1, 0), min(col + 2, cols)):
                if node[r * cols + c] < 0:
                    continue
                other = _root(parent, node[r * cols + c])
                if other == root:
                    continue
                if count[root] + count[other] >= pixels:
                    for part in (root, other):
                        if count[part] < pixels:
                            j = part
                            while True:
                                out[j] = levels[i]
                                j = after[j]
                                if j == part:
                                    break
                if count[root] < count[other]:
                    root, other = other, root
                parent[other] = root
                count[root] += count[other]
                # Swapping two links makes one ring of two.
                after[root], after[other] = after[other], after[root]
    return out


@numba.njit(cache=True)
def _groups(order: np.ndarray, rows: int, cols: int, link: int) -> np.ndarray:
    n = len(order)
    side = max(link, CELL)
    across, down = cols // side + 1, rows // side + 1
    first, following = np.full(across * down, -1, np.int64), np.empty(n, np.int64)
    parent, counts = np.arange(n), np.empty(n, np.int64)
    groups = 0
    for i in range(n):
        groups += 1
        root = i
        row, col = order[i] // cols, order[i] % cols
        for r in range(max(row // side - 1, 0), min(row // side + 2, down)):
            for c in range(max(col // side - 1, 0), min(col // side + 2, across)):
                j = first[r * across + c]
                while j >= 0:
                    if abs(order[j] // cols - row) <= link and abs(order[j] % cols - col) <= link:
                        other = _root(parent, j)
                        if other != root:
                            # The older root stays: its trees are larger.
                            low, high = min(root, other), max(root, other)
                            parent[high] = low
                            root = low
                            groups -= 1
                    j = following[j]
        cell = row // side * across + col // side
        following[i] = first[cell]
        first[cell] = i
        counts[i] = groups
    return counts
