"""Electrons at the third GEM to light: diffusion clouds in voxels, and saturation.

The electrons of a hit fall into voxels by a multinomial law whose shares are products of three differences of error
functions. Instead of placing each electron, every voxel draws one Poisson number with the summed expectation of all hits.
Independent Poisson numbers are that multinomial with a total that fluctuates too, by sqrt(N). After two GEMs N is about
11,000 times the number n of primary electrons, and the first GEM alone spreads it by N / sqrt(n), so the variance grows by
a part in 11,000.

A voxel that expects less than `SPARSE` electrons practically never holds two, and light is proportional to the number
of voxels with one. A column of such voxels draws one number.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

TILE = 64
"""Rows and columns of the blocks that voxels are held in; small enough for the memory, large enough for few of them."""

DEPTH = 256
"""Voxels of a block along the drift."""

REACH = 5.0
"""Half width of a cloud, in its widths; 6e-7 of it are farther away."""

SPARSE = 0.05
"""In such a voxel one of 40 electrons has company, and light is lower than without by 6e-5 at most."""


@dataclass(frozen=True)
class Clouds:
    """n clouds at the third GEM: electrons (n,), position row, col (px, the first pixel is 0..1), z (mm), widths (px, mm)."""

    electrons: np.ndarray
    row: np.ndarray
    col: np.ndarray
    z: np.ndarray
    sigma_px: np.ndarray
    sigma_z: np.ndarray


def light(
    clouds: Clouds, shape: tuple[int, int], voxel_z: float, gain: float, beta: float, rng: np.random.Generator
) -> tuple[tuple[int, int], np.ndarray]:
    """Draw the electrons of all voxels and multiply them.

    Args:
        clouds: those of one event.
        shape: rows and columns of the frame; what falls beside it is lost.
        voxel_z: length of a voxel, mm.
        gain: electrons of the third GEM an electron, without saturation.
        beta: its saturation in such a voxel; 0 for none.
        rng: random generator.

    Returns:
        First row and column of the part of the frame that the clouds reach, and its (rows, cols) float64 electrons behind
        the third GEM, n gain / (1 + beta gain n) summed along z.
    """
    reach = REACH * clouds.sigma_px
    rows, cols = (
        np.stack([np.floor(np.clip(centre - reach, 0, side)), np.ceil(np.clip(centre + reach, 0, side))]).astype(
            np.int64
        )
        for centre, side in ((clouds.row, shape[0]), (clouds.col, shape[1]))
    )
    inside = (rows[1] > rows[0]) & (cols[1] > cols[0]) & (clouds.electrons > 0)
    if not inside.any():
        return (0, 0), np.zeros((0, 0))
    first = int(rows[0][inside].min()), int(cols[0][inside].min())
    last = int(rows[1][inside].max()), int(cols[1][inside].max())
    image = np.zeros((last[0] - first[0], last[1] - first[1]))
    for row, col in _tiles(rows[:, inside] - first[0], cols[:, inside] - first[1]):
        bottom, left = first[0] + row, first[1] + col
        top, right = min(bottom + TILE, last[0]), min(left + TILE, last[1])
        near = np.flatnonzero(inside & (rows[0] < top) & (rows[1] > bottom) & (cols[0] < right) & (cols[1] > left))
        across = _shares(clouds.row[near], clouds.sigma_px[near], np.arange(bottom, top + 1))
        along = _shares(clouds.col[near], clouds.sigma_px[near], np.arange(left, right + 1))
        plane = (clouds.electrons[near][:, None] * across)[:, :, None] * along[:, None, :]
        plane = plane.reshape(len(near), -1)
        if beta == 0:
            tile = gain * rng.poisson(_rounded(plane.sum(0)))
        else:
            tile = np.zeros(plane.shape[1])
            for expected in _blocks(plane, clouds.z[near] / voxel_z, clouds.sigma_z[near] / voxel_z):
                tile += _saturated(_rounded(expected), gain, beta, rng)
        image[row : row + top - bottom, col : col + right - left] = tile.reshape(top - bottom, right - left)
    return first, image


def _blocks(plane: np.ndarray, z: np.ndarray, sigma: np.ndarray) -> Iterator[np.ndarray]:
    """Expected electrons of voxels, (depth, columns), block after block along the drift.

    Args:
        plane: (n, columns) electrons of each cloud in each column.
        z: (n,) depth in voxels.
        sigma: (n,) width in voxels.
    """
    low, high = np.floor(z - REACH * sigma), np.ceil(z + REACH * sigma)
    for start in np.arange(low.min(), high.max(), DEPTH):
        stop = min(start + DEPTH, high.max())
        near = (low < stop) & (high > start)
        if near.any():
            yield _shares(z[near], sigma[near], np.arange(start, stop + 1)).T @ plane[near]


def _tiles(rows: np.ndarray, cols: np.ndarray) -> list[tuple[int, int]]:
    """First pixels of the blocks that any of n clouds reaches, in order."""
    touched: set[tuple[int, int]] = set()
    boxes = np.unique(
        np.concatenate([rows[:1] // TILE, -(-rows[1:] // TILE), cols[:1] // TILE, -(-cols[1:] // TILE)]).T, axis=0
    )
    for bottom, top, left, right in boxes.tolist():
        touched.update(itertools.product(range(bottom, top), range(left, right)))
    return [(TILE * row, TILE * col) for row, col in sorted(touched)]


def _shares(centre: np.ndarray, sigma: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(n, cells) shares of Gaussians between edges."""
    from scipy.special import ndtr

    return np.diff(ndtr((edges[None] - centre[:, None]) / sigma[:, None]), axis=1)


def _rounded(expected: np.ndarray) -> np.ndarray:
    # Sums in another order, on another processor, end in the same 24 bits, so that seeds give the same frames there.
    return np.maximum(expected, 0).astype(np.float32)


def _saturated(expected: np.ndarray, gain: float, beta: float, rng: np.random.Generator) -> np.ndarray:
    """Light of each column of a (depth, columns) block of expected electrons."""
    dense = expected > SPARSE
    lonely = rng.poisson(expected.sum(0, where=~dense, dtype=np.float64))
    electrons = rng.poisson(expected[dense])
    _, column = np.nonzero(dense)
    bright = np.bincount(column, electrons * gain / (1 + beta * gain * electrons), expected.shape[1])
    return bright + lonely * gain / (1 + beta * gain)
