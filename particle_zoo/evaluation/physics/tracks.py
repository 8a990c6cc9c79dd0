"""Beams for the checks, in a sensor or in a block of silicon far from any wall."""

from __future__ import annotations

import numpy as np

from particle_zoo.simulation.particles import Particle
from particle_zoo.simulation.sensor import SensorConfig
from particle_zoo.simulation.tracks import Limits, Tracks

BLOCK_UM = 1e6


def beam(energy_kev: np.ndarray, depth_um: float) -> Tracks:
    """Particles that enter the middle of a large sensor at a right angle."""
    n = len(energy_kev)
    position = np.tile([[0.5 * BLOCK_UM], [0.5 * BLOCK_UM], [depth_um]], n)
    return Tracks(np.arange(n), position, np.tile([[0.0], [0.0], [-1.0]], n), np.asarray(energy_kev, float))


def slab(thickness_um: float, step_um: float, cut_kev: float = 1e9) -> Limits:
    """A sensor without sides; by default every knocked-out electron stays where it is."""
    return Limits((BLOCK_UM, BLOCK_UM, thickness_um), step_um, cut_kev, 0.2)


def inside(energy_kev: float, n: int) -> Tracks:
    """Particles that start in the middle of a block, along x."""
    position = np.full((3, n), 0.5 * BLOCK_UM)
    return Tracks(np.arange(n), position, np.tile([[1.0], [0.0], [0.0]], n), np.full(n, float(energy_kev)))


def block(step_um: float, path_um: float = np.inf, cut_kev: float = 1e9) -> Limits:
    """Silicon all around; tracks end after `path_um`."""
    return Limits((BLOCK_UM, BLOCK_UM, BLOCK_UM), step_um, cut_kev, 0.2, path_um)


def entering(
    rng: np.random.Generator,
    kind: Particle,
    sensor: SensorConfig,
    energy_kev: np.ndarray,
    theta_deg: np.ndarray | float,
) -> Tracks:
    """Particles into the middle of a sensor, at an angle to its normal and any azimuth."""
    n = len(energy_kev)
    width, height = sensor.width_um
    theta, phi = np.radians(np.broadcast_to(theta_deg, n)), rng.uniform(0, 2 * np.pi, n)
    position = np.stack(
        [rng.uniform(0.3, 0.7, n) * width, rng.uniform(0.3, 0.7, n) * height, np.full(n, sensor.thickness_um)]
    )
    direction = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), -np.cos(theta)])
    return Tracks(np.arange(n), position, direction, np.asarray(energy_kev, float))
