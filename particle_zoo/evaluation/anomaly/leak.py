"""Leak: the share of light that a reconstruction of dark frames draws, and so erases from its residual."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from particle_zoo.errors import InputError

LIMIT = 0.2
"""Above this a reconstruction copies light."""

ENERGY_KEV = 5.9
"""Of the X rays of 55Fe, with which such detectors are calibrated."""

WIDTHS = (3.0, 4.5, 6.0)
"""Sigma of the spots, px: what diffusion makes of a point in a detector of 50 cm."""

CELL = 12.0
"""Side of the square that a spot has for itself, in sigmas."""

EDGE = 1e-3
"""A spot ends where its light is this part of its top, 3.7 sigmas from it."""

MOST = 16
"""Spots a frame."""


def check_room(shape: Sequence[int], sigma: float = max(WIDTHS)) -> int:
    """Side of the square that a spot has for itself, px, if a frame has room for it.

    Args:
        shape: rows and columns of the frame.
        sigma: px; by default that of the widest spot which `leak` measures.

    Raises:
        InputError: no room for one.
    """
    side = round(CELL * sigma)
    if min(shape) < side:
        raise InputError(
            f"a spot of {sigma:g} px needs a frame of {side} x {side} px; received {shape[0]} x {shape[1]}"
        )
    return side


def spots(shape: tuple[int, int], sigma: float, counts: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian spots far from each other and from the border.

    Args:
        shape: rows and columns of the frame.
        sigma: px.
        counts: light of each spot.
        rng: random generator.

    Returns:
        (rows, cols) float32 counts.

    Raises:
        InputError: no room for one.
    """
    side = check_room(shape, sigma)
    cells = [n // side for n in shape]
    light = np.zeros(shape, np.float32)
    total = cells[0] * cells[1]
    near = np.arange(side) + 0.5
    for cell in rng.choice(total, min(MOST, total), replace=False):
        row, col = (side * int(i) for i in np.divmod(cell, cells[1]))
        down, along = (np.exp(-0.5 * ((near - rng.uniform(0.45, 0.55) * side) / sigma) ** 2) for _ in range(2))
        spot = np.outer(down, along)
        light[row : row + side, col : col + side] = counts * spot / spot.sum()
    return light


def leak(
    reconstruct: Callable[[np.ndarray], np.ndarray],
    frames: Iterable[np.ndarray],
    *,
    counts: float,
    widths: Sequence[float] = WIDTHS,
    seed: int = 0,
) -> dict[str, Any]:
    """Share of the light of spots that appears in a reconstruction.

    With R the reconstruction, f a dark frame and l the light, the drawn light is d = R(f + l) - R(f). Two shares are
    taken, and the larger one counts: sum(d) / sum(l) over the pixels of the spots, which knows a blurred copy, and
    sum(d l) / sum(l^2), which knows a copy with a dark margin around it.

    Args:
        reconstruct: from counts of a frame to (rows, cols) counts above the pedestal.
        frames: (rows, cols) dark frames.
        counts: light of a spot.
        widths: sigma of the spots, px.
        seed: of their places.

    Returns:
        `leak`, that of the worst width, and `leak_by_width`.

    Raises:
        InputError: no frame, or no room for a spot.
    """
    sums = {width: np.zeros(4) for width in widths}
    n = 0
    for n, frame in enumerate(frames, 1):
        image = np.asarray(frame, np.float32)
        dark = reconstruct(image)
        for i, width in enumerate(widths):
            light = spots((image.shape[0], image.shape[1]), width, counts, np.random.default_rng((seed, n, i)))
            drawn = reconstruct(image + light).astype(np.float64) - dark
            lit = light > EDGE * light.max()
            drawn, light = drawn[lit], light[lit].astype(np.float64)
            sums[width] += drawn.sum(), light.sum(), (drawn * light).sum(), (light * light).sum()
    if not n:
        raise InputError("the leak is measured on dark frames; received none")
    # Of numpy: a reconstruction that is no number must not pass for one that draws nothing.
    shares = {
        f"{width:g}": float(np.max([drawn / light, product / square]))
        for width, (drawn, light, product, square) in sums.items()
    }
    return {"leak": float(np.max(list(shares.values()))), "leak_by_width": shares}
