"""Photons in silicon: photoelectric effect and Compton scattering.

The first interaction is forced to happen in the sensor: most photons cross it without a trace and would be simulated
for nothing. Scattered photons interact again with their true probability.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from particle_zoo.simulation.particles import ELECTRON_MASS_KEV
from particle_zoo.simulation.stopping import SILICON
from particle_zoo.simulation.tracks import Deposits, Tracks, concat_tracks
from particle_zoo.simulation.transport import exit_um, turn_polar

Rng = np.random.Generator

K_EDGE_KEV = 1.839

XRAYDB_TOP_KEV = 800.0
"""The tables of Elam, Ravel and Sieber end here; photo-absorption continues as E^-3 and is negligible."""


@lru_cache(maxsize=1)
def _photo_table() -> tuple[np.ndarray, np.ndarray]:
    import xraydb

    energy = np.geomspace(0.5, XRAYDB_TOP_KEV, 400)
    return np.log(energy), np.log(xraydb.mu_elam("Si", energy * 1e3, kind="photo"))


def photo_per_um(energy_kev: np.ndarray) -> np.ndarray:
    """Photo-absorption coefficient of silicon, 1/um."""
    grid, mu = _photo_table()
    value = np.interp(np.log(energy_kev), grid, mu) - 3 * np.log(np.maximum(energy_kev / XRAYDB_TOP_KEV, 1))
    return np.exp(value) * SILICON.density * 1e-4


def compton_per_um(energy_kev: np.ndarray) -> np.ndarray:
    """Compton scattering coefficient of silicon, 1/um: Klein and Nishina on free electrons."""
    k = np.maximum(energy_kev / ELECTRON_MASS_KEV, 1e-3)
    log = np.log1p(2 * k)
    total = (1 + k) / k**2 * (2 * (1 + k) / (1 + 2 * k) - log / k) + log / (2 * k) - (1 + 3 * k) / (1 + 2 * k) ** 2
    per_cm = 2 * np.pi * 7.9408e-26 * total * 6.02214e23 * SILICON.z / SILICON.a * SILICON.density
    return per_cm * 1e-4


def klein_nishina(rng: Rng, energy_kev: np.ndarray) -> np.ndarray:
    """Draw the share of its energy a scattered photon keeps; rejection on the Klein-Nishina law."""
    k = energy_kev / ELECTRON_MASS_KEV
    lowest = 1 / (1 + 2 * k)
    share = np.empty(len(k))
    todo = np.arange(len(k))
    while len(todo):
        low = lowest[todo]
        # f(e) = (1/e + e) (1 - e sin^2 / (1 + e^2)), drawn from 1/e or e by their areas.
        log, square = -np.log(low), 0.5 * (1 - low**2)
        first = rng.random(len(todo)) * (log + square) < log
        u = rng.random(len(todo))
        trial = np.where(first, low**u, np.sqrt(low**2 + u * (1 - low**2)))
        t = (1 - trial) / (k[todo] * trial)
        accept = rng.random(len(todo)) < 1 - trial * t * (2 - t) / (1 + trial**2)
        share[todo[accept]] = trial[accept]
        todo = todo[~accept]
    return share


def interact(rng: Rng, photons: Tracks, size: tuple[float, float, float]) -> tuple[Deposits, Tracks]:
    """Let each photon interact in the box, and its scattered photons as chance has it.

    Returns:
        Binding energies deposited on the spot, and the tracks of photo- and Compton electrons.
    """
    spots: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    electrons: list[Tracks] = []
    forced = True
    while len(photons):
        way = exit_um(photons.position, photons.direction, size)
        photo = photo_per_um(photons.energy)
        total = photo + compton_per_um(photons.energy)
        u = rng.random(len(photons))
        # The first: the exponential law cut off at the wall.
        free = -np.log1p(u * np.expm1(-total * way) if forced else -u) / total
        inside = free <= way
        photons, free = photons[inside], free[inside]
        photo, total = photo[inside], total[inside]
        forced = False
        position = photons.position + free * photons.direction
        n = len(photons)
        absorbed = rng.random(n) * total < photo
        share = np.zeros(n)
        share[~absorbed] = klein_nishina(rng, photons.energy[~absorbed])
        binding = np.where(absorbed & (photons.energy > K_EDGE_KEV), K_EDGE_KEV, 0.0)
        kinetic = photons.energy * (1 - share) - binding
        spots.append((photons.event, position, binding))

        azimuth = rng.uniform(0, 2 * np.pi, n)
        k = photons.energy / ELECTRON_MASS_KEV
        scattered = 1 - (1 - share) / np.where(absorbed, 1, k * np.maximum(share, 1e-9))
        # Compton: cot(electron) = (1 + k) tan(photon / 2); photoelectrons: a dipole, sin^2.
        half = np.sqrt(np.clip((1 - scattered) / np.maximum(1 + scattered, 1e-9), 0, 1e18))
        recoil = 1 / np.sqrt(1 + 1 / np.maximum((1 + k) * half, 1e-9) ** 2)
        dipole = 2 * np.sin(np.arcsin(2 * rng.random(n) - 1) / 3)
        cosine = np.where(absorbed, dipole, recoil)
        moving = kinetic > 0.5
        direction = turn_polar(photons.direction, cosine, azimuth + np.pi)
        electrons.append(Tracks(photons.event, position, direction, kinetic)[moving])
        spots.append((photons.event[~moving], position[:, ~moving], np.maximum(kinetic[~moving], 0)))
        onward = Tracks(
            photons.event, position, turn_polar(photons.direction, scattered, azimuth), photons.energy * share
        )
        photons = onward[~absorbed & (onward.energy > 1.0)]
    event = np.concatenate([s[0] for s in spots])
    energy = np.concatenate([s[2] for s in spots])
    deposits = Deposits(event, np.concatenate([s[1] for s in spots], axis=1), energy, np.zeros(len(event)))
    return deposits, concat_tracks(electrons)
