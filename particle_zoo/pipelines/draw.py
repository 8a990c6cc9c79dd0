"""Compiled drawing of hits on images, cluster by cluster, without Python's lock.

A call touches no memory but that of its arguments, so batches may be drawn in several threads at once, and a cluster is
drawn the same whatever else is in its batch.
"""

from __future__ import annotations

import math

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def boxes(hits: np.ndarray, offsets: np.ndarray, lit_only: bool) -> np.ndarray:
    """Bounding boxes of n clusters.

    Args:
        hits: (n_hits, k); row, column, energy, ...
        offsets: (n + 1,) of the clusters.
        lit_only: look past hits of no energy.

    Returns:
        (4, n) int64 first row, first column, height and width, px; height and width 0 where no hit is left.
    """
    n = len(offsets) - 1
    found = np.zeros((4, n), np.int64)
    for i in range(n):
        empty = True
        top = left = bottom = right = 0
        for k in range(offsets[i], offsets[i + 1]):
            if lit_only and not hits[k, 2] > 0:
                continue
            row, col = int(hits[k, 0]), int(hits[k, 1])
            if empty:
                top = bottom = row
                left = right = col
                empty = False
            else:
                top, bottom = min(top, row), max(bottom, row)
                left, right = min(left, col), max(right, col)
        if not empty:
            found[0, i], found[1, i] = top, left
            found[2, i], found[3, i] = bottom - top + 1, right - left + 1
    return found


@numba.njit(cache=True, nogil=True)
def squares(
    hits: np.ndarray,
    offsets: np.ndarray,
    box: np.ndarray,
    images: np.ndarray,
    floor: float,
    scale: float,
    clip: bool,
    mask: bool,
    kernels: np.ndarray,
    kernel: np.ndarray,
) -> None:
    """Draw n clusters on squares and shrink those that are too large, in place.

    Args:
        hits: (n_hits, k); row, column, energy, ...
        offsets: (n + 1,) of the clusters.
        box: (4, n) of `boxes`.
        images: (n, size, size) float32 of zeros to draw on.
        floor: energy that becomes 0, of the type of the hits.
        scale: energy above it that becomes 1, of the same.
        clip: whether energies are scaled at all, and clipped to [0, 1].
        mask: draw 1 for a hit instead.
        kernels: (m, w) float32 weights of the pixels of a line that a pixel of a shrunken line is made of, from the
            first on; 0 where they do not matter.
        kernel: (n,) which of them is that of each cluster; -1 where it fits.
    """
    size = images.shape[1]
    largest = 0
    for i in range(len(offsets) - 1):
        if kernel[i] >= 0:
            largest = max(largest, box[2, i], box[3, i])
    # Rows of one large cluster after its columns shrank, and which rows have hits; which pixels of a mask are drawn.
    lines = np.zeros((largest, size), np.float32)
    used = np.zeros(largest, np.bool_)
    drawn = np.zeros((largest, largest) if mask else (0, 0), np.bool_)
    for i in range(len(offsets) - 1):
        first, last = offsets[i], offsets[i + 1]
        top, left, height, width = box[0, i], box[1, i], box[2, i], box[3, i]
        side = max(height, width, size)
        down, right = (side - height) // 2 - top, (side - width) // 2 - left
        if kernel[i] < 0:
            for k in range(first, last):
                row, col = int(hits[k, 0]) + down, int(hits[k, 1]) + right
                if mask:
                    images[i, row, col] = 1
                else:
                    images[i, row, col] += _value(hits[k, 2], floor, scale, clip)
            continue
        steps = side - size
        weights = kernels[kernel[i]]
        # The outermost weights of a long line are 0.
        low = 0
        while weights[low] == 0:
            low += 1
        high = steps - low
        for k in range(first, last):
            row, col = int(hits[k, 0]) + down, int(hits[k, 1]) + right
            value = np.float32(1)
            if mask:
                # A pixel hit twice (two times of arrival) is still one pixel of the mask.
                if drawn[row, col]:
                    continue
                drawn[row, col] = True
            else:
                value = _value(hits[k, 2], floor, scale, clip)
            used[row] = True
            for j in range(max(0, col - high), min(size, col - low + 1)):
                lines[row, j] += value * weights[steps - col + j]
        for row in range(side):
            if not used[row]:
                continue
            for j in range(max(0, row - high), min(size, row - low + 1)):
                weight = weights[row - j]
                for col in range(size):
                    images[i, j, col] += weight * lines[row, col]
            used[row] = False
            lines[row] = 0
        if mask:
            for k in range(first, last):
                drawn[int(hits[k, 0]) + down, int(hits[k, 1]) + right] = False
            for row in range(size):
                for col in range(size):
                    images[i, row, col] = min(images[i, row, col], np.float32(1))


@numba.njit(cache=True, nogil=True, inline="always")
def _value(energy: float, floor: float, scale: float, clip: bool) -> np.float32:
    if not clip:
        return np.float32(energy)
    above = (energy - floor) / scale
    # In this order NaN remains.
    if above < 0:
        above = above * 0
    elif above > 1:
        above = above * 0 + 1
    return np.float32(above)


@numba.njit(cache=True, nogil=True)
def rasters(
    hits: np.ndarray,
    offsets: np.ndarray,
    box: np.ndarray,
    members: np.ndarray,
    images: np.ndarray,
    places: np.ndarray,
    timed: bool,
    limits: tuple[float, float],
    scales: tuple[float, float],
    over: float,
    root: bool,
) -> None:
    """Draw energy, time after the first hit and the map of bright pixels of some clusters in the top left corner, in place.

    Args:
        hits: (n_hits, 3 or 4); row, column, energy (keV) and time (ns). Those of no energy are no pixels.
        offsets: (n + 1,) of the clusters.
        box: (4, n) of `boxes`, of the lit hits.
        members: (m,) clusters to draw.
        images: (i, side, side, 3) float32, zeros where is drawn.
        places: (m,) number of the image of each.
        timed: whether to draw times.
        limits: energy (keV) and time (ns) above which all count alike.
        scales: energy and time that become 1.
        over: float32 energy of a bright pixel.
        root: draw the square roots of energies and times over their scales, otherwise keV and ns.
    """
    most, latest = np.float32(limits[0]), limits[1]
    for m in range(len(members)):
        i, image = members[m], images[places[m]]
        top, left = box[0, i], box[1, i]
        start = np.inf
        if timed:
            for k in range(offsets[i], offsets[i + 1]):
                if hits[k, 2] > 0:
                    start = min(start, hits[k, 3])
        for k in range(offsets[i], offsets[i + 1]):
            if not hits[k, 2] > 0:
                continue
            pixel = image[int(hits[k, 0]) - top, int(hits[k, 1]) - left]
            # A pixel hit twice has the sum of the energies and the earlier time; -1 marks one that is not finished.
            if timed:
                later = np.float32(min(hits[k, 3] - start, latest))
                pixel[1] = min(pixel[1], later) if pixel[2] < 0 else later
            pixel[0] += np.float32(min(hits[k, 2], limits[0]))
            pixel[2] = -1
        for k in range(offsets[i], offsets[i + 1]):
            if not hits[k, 2] > 0:
                continue
            pixel = image[int(hits[k, 0]) - top, int(hits[k, 1]) - left]
            if pixel[2] < 0:
                pixel[0] = min(pixel[0], most)
                pixel[2] = 1 if pixel[0] >= over else 0
                if root:
                    pixel[0] = math.sqrt(np.float64(pixel[0]) / scales[0])
                    pixel[1] = math.sqrt(np.float64(pixel[1]) / scales[1])
