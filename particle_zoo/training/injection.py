"""Light that is added to dark frames: what a model is to leave out, or what it is to meet in training."""

from __future__ import annotations

import numpy as np

from particle_zoo.errors import InputError

Rng = np.random.Generator

OBJECTS = 3.0
"""Mean number of spots and tracks a crop of `AREA` pixels."""

AREA = 256**2

TRACKS = 0.4
"""Share of tracks."""

WIDTHS = (1.5, 12.0)
"""Sigma of spots and of the width of tracks, px."""

HEIGHTS = (0.3, 60.0)
"""Brightest pixel, in sigmas of the camera's noise: from what no search finds to a heavy track."""

LENGTHS = (10.0, 300.0)
"""Of tracks, px."""

BEND = 0.15
"""Standard deviation of the angle between steps of a track."""

BANK = 96
"""Simulated events that are kept; each is turned and mirrored anew."""

ENERGIES_KEV, Z_CM = (0.5, 1.0, 2.0, 5.9, 20.0, 60.0), (5.0, 25.0, 45.0)

LARGEST = 512
"""Rows and columns of the sensor on which events are simulated."""


def gaussians(
    rows: np.ndarray, cols: np.ndarray, sigma: np.ndarray, height: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """(rows, cols) float32 sum of round Gaussians.

    Args:
        rows: (n,) centres; pixel 0 is 0..1.
        cols: (n,) centres.
        sigma: (n,) px.
        height: (n,) at the centre.
        shape: of the image.
    """
    down, along = (
        np.exp(-0.5 * ((np.arange(side)[:, None] + 0.5 - centre) / sigma) ** 2).astype(np.float32)
        for side, centre in zip(shape, (rows, cols), strict=True)
    )
    light: np.ndarray = (down * height.astype(np.float32)) @ along.T
    return light


def synthetic(shape: tuple[int, int], rng: Rng) -> np.ndarray:
    """Random Gaussian spots and short diffuse tracks; often one, sometimes none.

    Args:
        shape: rows and columns.
        rng: random generator.

    Returns:
        (rows, cols) float32, in sigmas of the camera's noise.
    """
    light = np.zeros(shape, np.float32)
    for _ in range(rng.poisson(OBJECTS * shape[0] * shape[1] / AREA)):
        sigma, height = _log_uniform(rng, WIDTHS), _log_uniform(rng, HEIGHTS)
        steps = max(1, round(_log_uniform(rng, LENGTHS) / sigma)) if rng.random() < TRACKS else 1
        angle = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, BEND, steps))
        way = sigma * np.stack([np.sin(angle), np.cos(angle)]).cumsum(1)
        # Its middle lies in the image; both ends may leave it.
        rows, cols = way - way.mean(1, keepdims=True) + rng.uniform(0, shape)[:, None]
        weight = rng.gamma(4, 0.25, steps) if steps > 1 else np.ones(1)
        light += gaussians(rows, cols, np.full(steps, sigma), height * weight, shape)
    return light


def _log_uniform(rng: Rng, limits: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(limits))))


class EventBank:
    """Simulated events of an optical TPC, as small images that are pasted anywhere.

    Recoils and electrons of several energies, and pieces of minimum-ionising particles, at several drifts, without
    vignetting.

    Args:
        seed: of the simulation.
        preset: of the digitisation.
        n: number of events.
        largest: side of the sensor, px; longer tracks are cut off.
    """

    def __init__(self, seed: int, *, preset: str = "lime", n: int = BANK, largest: int = LARGEST) -> None:
        from particle_zoo.simulation.optical_tpc import Digitiser, placement

        digitiser = Digitiser(preset, shape=(largest, largest), vignetting=False)
        species = placement.all_species(("nr", "er", "mip"), ENERGIES_KEV, Z_CM)
        self.images: list[np.ndarray] = []
        for k in range(n):
            rng = np.random.default_rng((seed, k))
            try:
                deposits = placement.draw(species[k % len(species)], rng, digitiser)
            except InputError:
                continue
            image = digitiser.digitise(deposits, rng).drawn.astype(np.float32)
            if image.any():
                self.images.append(image)

    def paste(self, shape: tuple[int, int], rng: Rng) -> np.ndarray:
        """(rows, cols) float32 counts of one to three events at random places, turned and mirrored."""
        light = np.zeros(shape, np.float32)
        for _ in range(rng.integers(1, 4)):
            image = self.images[rng.integers(len(self.images))]
            image = np.rot90(image.T if rng.random() < 0.5 else image, int(rng.integers(4)))
            start = rng.integers(0, shape) - np.array(image.shape) // 2
            low, high = np.maximum(start, 0), np.minimum(start + image.shape, shape)
            part = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
            light[low[0] : high[0], low[1] : high[1]] += image[part]
        return light
