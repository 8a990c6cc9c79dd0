"""Primaries of an optical TPC as deposits: they begin at the origin, and are shifted from there.

He/CF4 60/40 at atmospheric pressure. It is a fast simulation: no delta rays that leave the track, no photons, no nuclear
reactions. Directions are isotropic unless one is given.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from particle_zoo.errors import InputError
from particle_zoo.simulation.optical_tpc.checks import positive
from particle_zoo.simulation.optical_tpc.deposits import Deposits
from particle_zoo.simulation.optical_tpc.ranges import (
    RECOIL_EXPONENT,
    alpha_energy_kev,
    alpha_range_mm,
    electron_energy_kev,
    electron_range_mm,
    inverse_transport_mm,
    recoil_range_mm,
)
from particle_zoo.simulation.transport import turn_polar

CLASSES = ("point", "nr", "er", "mip", "alpha")

STEP_MM = 0.3
"""Length of a hit; a row of Gaussians of the narrowest width, 0.35 mm, that are so far apart is smooth to 1e-11."""

FEWEST = 8
"""Hits of a short track."""

ALPHA_KEV = 5500.0

MIP_KEV_PER_CM = 2.3
CLUSTERS_PER_CM = 22.5
"""Primary ionisations of a minimum-ionising particle: 51 in CF4 and 3.5 in He (Sharma and Sauli, NIM A 350 (1994) 470),
weighted 40/60."""

DELTA_KEV = 10.0
"""More than this is given to an electron that is a track of its own."""


def point(energy_kev: float) -> Deposits:
    """All energy in one place, as a photo-electron of low energy."""
    energy = positive("energy_kev", energy_kev)
    return Deposits(np.zeros(1), np.zeros(1), np.zeros(1), np.array([energy]))


def nuclear_recoil(energy_kev: float, rng: np.random.Generator, direction: npt.ArrayLike | None = None) -> Deposits:
    """A helium recoil: straight, below 1 mm up to 100 keV, and so seen as a spot.

    Its stopping power falls towards the end, dE/dx ~ E^0.46, as the law of its range says.

    Args:
        energy_kev: of ionisation, as an electron would deposit it; also taken for the range.
        rng: random generator.
        direction: (3,) of flight, any length; isotropic by default.

    Raises:
        InputError: an energy not above 0, or above the 1000 keV the law of the range holds for.
    """
    energy = positive("energy_kev", energy_kev, 1e3)
    reach = float(recoil_range_mm(energy))
    edges = np.linspace(0, reach, max(FEWEST, math.ceil(reach / STEP_MM)) + 1)
    left = energy * (1 - edges / reach) ** (1 / RECOIL_EXPONENT)
    return _straight(edges, -np.diff(left), _direction(rng, direction))


def electron(energy_kev: float, rng: np.random.Generator, direction: npt.ArrayLike | None = None) -> Deposits:
    """An electron: its path has the length of `electron_range_mm` and curls more and more.

    The loss of energy is continuous and rises towards the end. Each step turns by a von Mises-Fisher law whose mean cosine
    is exp(-step / transport mean free path); single large angles are not simulated.

    Args:
        energy_kev: kinetic energy, 0.05-1000 keV.
        rng: random generator.
        direction: (3,) at the start, any length; isotropic by default.

    Raises:
        InputError: an energy outside.
    """
    energy = positive("energy_kev", energy_kev, 1e3)
    if energy < 0.05:
        raise InputError(f"an electron needs 0.05 keV or more; received {energy:g} keV; use a point")
    path = float(electron_range_mm(energy))
    edges = np.linspace(0, path, max(FEWEST, math.ceil(path / STEP_MM)) + 1)
    left = electron_energy_kev(path - edges)
    left[0] = energy
    step, middle = edges[1], 0.5 * (left[1:] + left[:-1])
    mean = np.exp(-np.minimum(step * inverse_transport_mm(middle), 20))
    # Banerjee et al., J. Mach. Learn. Res. 6 (2005) 1345, for the concentration that has this mean cosine.
    kappa = np.maximum(mean * (3 - mean**2) / (1 - mean**2), 1e-6)
    u = rng.random(len(kappa))
    cosine = np.clip(1 + np.log(u + (1 - u) * np.exp(-2 * kappa)) / kappa, -1, 1)
    azimuth = rng.uniform(0, 2 * np.pi, len(kappa))
    way = np.empty((3, len(kappa)))
    now = _direction(rng, direction)[:, None]
    for i in range(len(kappa)):
        way[:, i] = now[:, 0]
        now = turn_polar(now, cosine[i : i + 1], azimuth[i : i + 1])
    # The middle of each step.
    x, y, z = step * (np.cumsum(way, axis=1) - 0.5 * way)
    return Deposits(x, y, z, -np.diff(left))


def mip(length_mm: float, rng: np.random.Generator, direction: npt.ArrayLike | None = None) -> Deposits:
    """A piece of the straight track of a minimum-ionising particle, 2.3 keV/cm on average.

    A Poisson number of primary ionisations a length, each of an energy of the law 1/E^2 up to 10 keV, give the asymmetric
    fluctuations of Landau. The lower end of the law, which follows from the mean, is 16 eV, the ionisation energy of CF4.

    Args:
        length_mm: of the piece.
        rng: random generator.
        direction: (3,) of flight, any length; isotropic by default.

    Raises:
        InputError: a length not above 0.
    """
    length = positive("length_mm", length_mm, 1e4)
    count = max(int(rng.poisson(0.1 * length * CLUSTERS_PER_CM)), 1)
    way = np.sort(rng.uniform(0, length, count))
    low = _lowest_transfer()
    energy = 1 / (1 / low - rng.random(count) * (1 / low - 1 / DELTA_KEV))
    x, y, z = _direction(rng, direction)[:, None] * way
    return Deposits(x, y, z, energy)


def alpha(rng: np.random.Generator, energy_kev: float = ALPHA_KEV, direction: npt.ArrayLike | None = None) -> Deposits:
    """An alpha particle that stops in the gas: straight, with a Bragg curve; 35 mm long at 5.5 MeV.

    Args:
        rng: random generator.
        energy_kev: kinetic energy.
        direction: (3,) of flight, any length; isotropic by default.

    Raises:
        InputError: an energy not above 0, or above 10 MeV.
    """
    energy = positive("energy_kev", energy_kev, 1e4)
    reach = float(alpha_range_mm(energy))
    edges = np.linspace(0, reach, max(FEWEST, math.ceil(reach / STEP_MM)) + 1)
    left = alpha_energy_kev(reach - edges)
    left[0] = energy
    return _straight(edges, -np.diff(left), _direction(rng, direction))


def _straight(edges: np.ndarray, energy: np.ndarray, direction: np.ndarray) -> Deposits:
    keep = energy > 0
    x, y, z = direction[:, None] * (0.5 * (edges[1:] + edges[:-1]))[keep]
    return Deposits(x, y, z, energy[keep])


def _direction(rng: np.random.Generator, given: npt.ArrayLike | None) -> np.ndarray:
    way = rng.standard_normal(3) if given is None else np.asarray(given, np.float64)
    if way.shape != (3,) or not np.isfinite(way).all() or not way.any():
        raise InputError(f"a direction is three numbers, not all 0; received {given!r}")
    unit: np.ndarray = way / np.linalg.norm(way)
    return unit


def _lowest_transfer() -> float:
    from scipy.optimize import brentq

    mean = MIP_KEV_PER_CM / CLUSTERS_PER_CM
    return float(brentq(lambda low: low * math.log(DELTA_KEV / low) / (1 - low / DELTA_KEV) - mean, 1e-4, 0.1))
