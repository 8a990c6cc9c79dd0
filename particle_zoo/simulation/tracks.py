"""The records that particles and their deposits travel in: columns over all events at once.

Coordinates are um: x along columns, y along rows, z from the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from particle_zoo.simulation.particles import ELECTRON
from particle_zoo.simulation.stopping import table


@dataclass(frozen=True)
class Tracks:
    """n particles: event (n,), position (3, n) um, direction (3, n), kinetic energy (n,) keV."""

    event: np.ndarray
    position: np.ndarray
    direction: np.ndarray
    energy: np.ndarray

    def __len__(self) -> int:
        return len(self.event)

    def __getitem__(self, key: np.ndarray) -> Tracks:
        return Tracks(self.event[key], self.position[:, key], self.direction[:, key], self.energy[key])


@dataclass(frozen=True)
class Deposits:
    """m point deposits: event (m,), position (3, m) um, energy (m,) keV, and kev_per_um (m,) along their track."""

    event: np.ndarray
    position: np.ndarray
    energy: np.ndarray
    kev_per_um: np.ndarray

    def __len__(self) -> int:
        return len(self.event)


@dataclass(frozen=True)
class Ends:
    """Where n tracks ended, in the order of their end: event, direction (3, n), energy left (keV), path (um)."""

    event: np.ndarray
    direction: np.ndarray
    energy: np.ndarray
    path: np.ndarray


@dataclass(frozen=True)
class Limits:
    """A box and the coarseness of the steps in it.

    Args:
        size: extent along x, y, z, um.
        step_um: longest step.
        cut_kev: electrons knocked out above this energy get a track of their own.
        stop_um: a particle of less range stops.
        path_um: tracks end after this path; to measure per length.
    """

    size: tuple[float, float, float]
    step_um: float
    cut_kev: float
    stop_um: float
    path_um: float = np.inf


@lru_cache(maxsize=64)
def limits(size: tuple[float, float, float], pitch_um: float) -> Limits:
    """Steps of a third of a pixel; electrons with a range of more than half a pixel are tracked."""
    cut_kev = float(table(ELECTRON).energy_kev(np.array(pitch_um / 2)))
    return Limits(size, pitch_um / 3, cut_kev, pitch_um / 25)


def concat_deposits(parts: list[Deposits]) -> Deposits:
    """Join deposits."""
    return Deposits(
        np.concatenate([p.event for p in parts]),
        np.concatenate([p.position for p in parts], axis=1),
        np.concatenate([p.energy for p in parts]),
        np.concatenate([p.kev_per_um for p in parts]),
    )


def concat_tracks(parts: list[Tracks]) -> Tracks:
    """Join tracks."""
    return Tracks(
        np.concatenate([p.event for p in parts]),
        np.concatenate([p.position for p in parts], axis=1),
        np.concatenate([p.direction for p in parts], axis=1),
        np.concatenate([p.energy for p in parts]),
    )
