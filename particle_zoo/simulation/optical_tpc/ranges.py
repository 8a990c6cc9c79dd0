"""Ranges in He/CF4 60/40 at atmospheric pressure."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from particle_zoo.simulation.particles import ELECTRON_MASS_KEV

# Shares of atoms a molecule of the mixture, and what follows from them.
ATOMS = ((2, 4.0026, 0.6), (6, 12.011, 0.4), (9, 18.998, 1.6))
MOLAR_MASS = sum(a * share for _, a, share in ATOMS)
ELECTRONS = sum(z * share for z, _, share in ATOMS)
MOLAR_VOLUME_CM3 = 24_055.0
"""At 20 degrees C and 1013 hPa."""
DENSITY = MOLAR_MASS / MOLAR_VOLUME_CM3
"""g/cm3."""

EXCITATION_KEV = 0.102
"""By Bragg's rule of 41.8 eV (He), 78 eV (C) and 115 eV (F), ICRU report 37."""

LOWEST_KEV = 0.02
HIGHEST_KEV = 2000.0
PER_CM_UNIT = 153.5375 * ELECTRONS / MOLAR_MASS * DENSITY
"""2 pi N_A r_e^2 m c^2 Z/A rho, keV/cm."""

RECOIL_MM_AT_100_KEV = 0.9
RECOIL_EXPONENT = 0.54
"""He recoils: below 1 mm up to 100 keV (CYGNUS-RD/paper-ambe); the exponent is that of pycatima between 10 and 100 keV."""


def electron_dedx(energy_kev: np.ndarray) -> np.ndarray:
    """Collision stopping power of electrons, keV/mm.

    Berger and Seltzer's formula (ICRU report 37) without density effect; at low energies with the excitation energy of Joy
    and Luo (Scanning 11 (1989) 176), I / (1 + 0.85 I / E), which keeps it positive.
    """
    energy = np.asarray(energy_kev, np.float64)
    tau = energy / ELECTRON_MASS_KEV
    squared = tau * (tau + 2) / (tau + 1) ** 2
    excitation = EXCITATION_KEV / (1 + 0.85 * EXCITATION_KEV / energy) / ELECTRON_MASS_KEV
    f = 1 - squared + (tau**2 / 8 - (2 * tau + 1) * np.log(2)) / (tau + 1) ** 2
    return 0.1 * PER_CM_UNIT / squared * (np.log(tau**2 * (tau + 2) / (2 * excitation**2)) + f)


@lru_cache(maxsize=1)
def _electrons() -> tuple[np.ndarray, np.ndarray]:
    energy = np.geomspace(LOWEST_KEV, HIGHEST_KEV, 400)
    inverse = energy / electron_dedx(energy)
    path = inverse[0] + np.concatenate([[0], np.cumsum(np.diff(np.log(energy)) * 0.5 * (inverse[1:] + inverse[:-1]))])
    return energy, path


def electron_range_mm(energy_kev: np.ndarray | float) -> np.ndarray:
    """Length of an electron's path until it stops (CSDA), mm; 2.0 mm at 10 keV, 46 mm at 60 keV.

    Scattering folds it up: how far an electron comes is about the practical range of Katz and Penfold (Rev. Mod. Phys. 24
    (1952) 28), 1.0 mm at 10 keV and 35 mm at 60 keV.
    """
    energy, path = _electrons()
    return np.exp(np.interp(np.log(energy_kev), np.log(energy), np.log(path)))


def electron_energy_kev(range_mm: np.ndarray) -> np.ndarray:
    """Energy of an electron with this path left; the inverse of `electron_range_mm`, linear to 0 below 20 eV."""
    energy, path = _electrons()
    left = np.asarray(range_mm, np.float64)
    inside = np.exp(np.interp(np.log(np.maximum(left, path[0])), np.log(path), np.log(energy)))
    return np.where(left < path[0], LOWEST_KEV * np.maximum(left, 0) / path[0], inside)


def practical_range_mm(energy_kev: np.ndarray | float) -> np.ndarray:
    """Katz and Penfold's 0.412 E^(1.265 - 0.0954 ln E) g/cm2 with E in MeV, here in mm; from 10 keV to 2.5 MeV."""
    mev = np.asarray(energy_kev, np.float64) * 1e-3
    return 10 / DENSITY * 0.412 * mev ** (1.265 - 0.0954 * np.log(mev))


def inverse_transport_mm(energy_kev: np.ndarray) -> np.ndarray:
    """Inverse transport mean free path of electrons, 1/mm: -d ln<cos> / ds.

    Elastic scattering on screened nuclei, with Molière's screening and Z (Z + 1) for the electrons of the atoms
    (Fernández-Varea et al., NIM B 73 (1993) 447).
    """
    tau = np.asarray(energy_kev, np.float64) / ELECTRON_MASS_KEV
    momentum2 = tau * (tau + 2)
    squared = momentum2 / (tau + 1) ** 2
    total = np.zeros_like(tau)
    for z, _, share in ATOMS:
        screening = 0.25 * (1 / 137.036 / 0.885) ** 2 * z ** (2 / 3) / momentum2
        screening = screening * (1.13 + 3.76 * (z / 137.036) ** 2 / squared)
        total += share * z * (z + 1) * (np.log((1 + screening) / screening) - 1 / (1 + screening))
    per_cm3 = 6.02214e23 / MOLAR_VOLUME_CM3
    # r_e^2 = 7.9408e-26 cm2
    return 0.1 * per_cm3 * 2 * np.pi * 7.9408e-26 * (1 - squared) / squared**2 * total


def recoil_range_mm(energy_kev: np.ndarray | float) -> np.ndarray:
    """How far a helium recoil comes, mm."""
    return RECOIL_MM_AT_100_KEV * (np.asarray(energy_kev, np.float64) / 100) ** RECOIL_EXPONENT


@lru_cache(maxsize=1)
def _alphas() -> tuple[np.ndarray, np.ndarray]:
    import pycatima

    config = pycatima.Config()
    config.low_energy = pycatima.low_energy_types.srim_95
    # Whole numbers of atoms: pycatima takes others for shares of mass.
    gas = pycatima.Material([[a, z, round(5 * share)] for z, a, share in ATOMS], density=DENSITY)
    helium = pycatima.Projectile(4.0026, 2)
    energy = np.geomspace(4.1, 20_000, 200)
    dedx = np.array([pycatima.dedx(helium(e * 1e-3 / 4.0026), gas, config) for e in energy]) * DENSITY * 100
    inverse = energy / dedx
    steps = np.diff(np.log(energy)) * 0.5 * (inverse[1:] + inverse[:-1])
    # Below the grid the stopping power is proportional to the velocity.
    return energy, 2 * inverse[0] + np.concatenate([[0], np.cumsum(steps)])


def alpha_range_mm(energy_kev: np.ndarray | float) -> np.ndarray:
    """Range of alpha particles, mm, from pycatima's stopping power; 35 mm at 5.5 MeV."""
    energy, path = _alphas()
    known = np.asarray(energy_kev, np.float64)
    inside = np.exp(np.interp(np.log(np.maximum(known, energy[0])), np.log(energy), np.log(path)))
    return np.where(known < energy[0], path[0] * np.sqrt(np.maximum(known, 0) / energy[0]), inside)


def alpha_energy_kev(range_mm: np.ndarray) -> np.ndarray:
    """Energy of an alpha particle with this range left."""
    energy, path = _alphas()
    left = np.asarray(range_mm, np.float64)
    inside = np.exp(np.interp(np.log(np.maximum(left, path[0])), np.log(path), np.log(energy)))
    # R ~ sqrt(E) below the grid.
    return np.where(left < path[0], energy[0] * (np.maximum(left, 0) / path[0]) ** 2, inside)
