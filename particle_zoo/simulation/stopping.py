"""Stopping power and range in silicon and aluminium, as tables on logarithmic grids.

Electrons and positrons: Berger and Seltzer's collision stopping power (ICRU report 37) with Sternheimer's density
effect. Heavy particles: the Bethe formula with density effect and the Barkas-Berger shell correction above 5 MeV a
nucleon, and below it pycatima, for protons in silicon scaled to the PSTAR values of NIST at 0.1-2 MeV, from which
pycatima's fits differ by 2-12 %. Particles of other mass take the value at equal velocity.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from particle_zoo.simulation.particles import ELECTRON_MASS_KEV, PROTON, Particle

GRID_PER_DECADE = 60
LOWEST_KEV = 0.5
LANDAU_KEV = 153.5375
"""2 pi N_A r_e^2 m c^2, keV cm2/mol... times Z/A of the material and the path in g/cm2."""

PSTAR_SI = {0.1: 504.4, 0.5: 256.7, 1.0: 175.3, 2.0: 111.7}
"""Electronic stopping power of protons in silicon, MeV cm2/g at MeV (NIST PSTAR)."""

BETHE_FROM_MEV = 5.0
"""Protons: from here on the Bethe formula."""


@dataclass(frozen=True)
class Material:
    """A stopping material with Sternheimer's density-effect constants (At. Data Nucl. Data Tables 30 (1984) 261)."""

    z: int
    a: float
    density: float
    excitation_ev: float
    radiation_length: float
    sternheimer: tuple[float, float, float, float, float, float]

    @property
    def xi_kev_per_um(self) -> float:
        """Landau's xi a length, for charge 1 and velocity c."""
        return LANDAU_KEV * self.z / self.a * self.density * 1e-4

    @property
    def radiation_length_um(self) -> float:
        """Radiation length."""
        return self.radiation_length / self.density * 1e4

    def density_effect(self, beta_gamma: np.ndarray) -> np.ndarray:
        """Sternheimer's delta."""
        c, x0, x1, a, k, delta0 = self.sternheimer
        x = np.log10(beta_gamma)
        middle = 2 * np.log(10) * x - c + np.where(x < x1, a * np.maximum(x1 - x, 0) ** k, 0)
        return np.where(x >= x0, middle, delta0 * 10 ** (2 * np.minimum(x - x0, 0)))


SILICON = Material(14, 28.0855, 2.33, 173.0, 21.82, (4.4355, 0.2015, 2.8716, 0.14921, 3.2546, 0.14))
ALUMINIUM = Material(13, 26.9815, 2.699, 166.0, 24.01, (4.2395, 0.1708, 3.0127, 0.08024, 3.6345, 0.12))
MATERIALS = {"Si": SILICON, "Al": ALUMINIUM}


@dataclass(frozen=True)
class Table:
    """Stopping power and range of one particle in one material.

    Args:
        log_energy: equidistant grid of ln(E/keV).
        log_dedx: ln of the collision stopping power, keV/um.
        log_range: ln of the CSDA range, um.
        radiative: keV/um lost to bremsstrahlung, which leaves a thin sensor.
    """

    log_energy: np.ndarray
    log_dedx: np.ndarray
    log_range: np.ndarray
    radiative: np.ndarray

    def dedx(self, energy_kev: np.ndarray) -> np.ndarray:
        """Collision stopping power, keV/um."""
        return np.exp(np.interp(np.log(energy_kev), self.log_energy, self.log_dedx))

    def range_um(self, energy_kev: np.ndarray) -> np.ndarray:
        """CSDA range, um."""
        return np.exp(np.interp(np.log(energy_kev), self.log_energy, self.log_range))

    def energy_kev(self, range_um: np.ndarray) -> np.ndarray:
        """Energy of a particle with this range."""
        with np.errstate(divide="ignore"):
            return np.exp(np.interp(np.log(range_um), self.log_range, self.log_energy))

    def radiated(self, energy_kev: np.ndarray) -> np.ndarray:
        """Mean loss to bremsstrahlung, keV/um."""
        return np.interp(np.log(energy_kev), self.log_energy, self.radiative)


def beta2(energy_kev: np.ndarray, mass_kev: float) -> np.ndarray:
    """Squared velocity in units of c."""
    gamma = 1 + energy_kev / mass_kev
    return 1 - 1 / (gamma * gamma)


def max_transfer(energy_kev: np.ndarray, kind: Particle) -> np.ndarray:
    """Largest energy (keV) given to an electron at rest in one collision."""
    if kind.family == "electron":
        return energy_kev / 2 if kind.charge < 0 else np.asarray(energy_kev)
    gamma = 1 + energy_kev / kind.mass_kev
    ratio = ELECTRON_MASS_KEV / kind.mass_kev
    return 2 * ELECTRON_MASS_KEV * (gamma * gamma - 1) / (1 + 2 * gamma * ratio + ratio * ratio)


@lru_cache(maxsize=64)
def table(kind: Particle, material: str = "Si") -> Table:
    """The table of a charged particle in "Si" or "Al"."""
    medium = MATERIALS[material]
    top = 1e9 if kind.family == "electron" else 1e12
    decades = np.log10(top / LOWEST_KEV)
    energy = np.geomspace(LOWEST_KEV, top, int(decades * GRID_PER_DECADE))
    if kind.family == "electron":
        mass_stopping = _berger_seltzer(energy, medium, kind.charge)
        radiative = _bremsstrahlung(energy, medium) * medium.density * 0.1
    else:
        mass_stopping = _heavy(energy, kind, material)
        radiative = np.zeros_like(energy)
    dedx = mass_stopping * medium.density * 0.1
    inverse = 1 / (dedx + radiative)
    # dR = E / S dlnE; below the grid the stopping power is nearly proportional to the velocity: R = 2 E / S.
    steps = np.diff(np.log(energy)) * 0.5 * (energy[1:] * inverse[1:] + energy[:-1] * inverse[:-1])
    reach = 2 * energy[0] * inverse[0] * (0.4 if kind.family == "electron" else 1) + np.concatenate(
        [[0], np.cumsum(steps)]
    )
    return Table(np.log(energy), np.log(dedx), np.log(reach), radiative)


def _berger_seltzer(energy: np.ndarray, medium: Material, charge: int) -> np.ndarray:
    """MeV cm2/g."""
    tau = energy / ELECTRON_MASS_KEV
    squared = beta2(energy, ELECTRON_MASS_KEV)
    if charge < 0:
        f = 1 - squared + (tau**2 / 8 - (2 * tau + 1) * np.log(2)) / (tau + 1) ** 2
    else:
        y = tau + 2
        f = 2 * np.log(2) - squared / 12 * (23 + 14 / y + 10 / y**2 + 4 / y**3)
    excitation = medium.excitation_ev * 1e-3 / ELECTRON_MASS_KEV
    delta = medium.density_effect(np.sqrt(tau * (tau + 2)))
    bracket = np.log(tau**2 * (tau + 2) / (2 * excitation**2)) + f - delta
    # Below some hundred eV the formula turns over; the floor keeps the tables monotonic.
    return LANDAU_KEV * 1e-3 * medium.z / medium.a / squared * np.maximum(bracket, 2.0)


def _bremsstrahlung(energy: np.ndarray, medium: Material) -> np.ndarray:
    """MeV cm2/g; Heitler's unscreened formula and its low-energy limit, whichever is larger."""
    gamma = 1 + energy / ELECTRON_MASS_KEV
    # alpha r_e^2 N_A Z(Z+1)/A m c^2
    unit = 7.9408e-26 / 137.036 * 6.02214e23 / medium.a * medium.z * (medium.z + 1) * 0.510999
    return unit * np.maximum(4 * gamma * (np.log(2 * gamma) - 1 / 3), 16 / 3)


def _bethe(beta_gamma: np.ndarray, medium: Material, mass_kev: float) -> np.ndarray:
    """MeV cm2/g for charge 1."""
    squared = beta_gamma**2 / (1 + beta_gamma**2)
    excitation = medium.excitation_ev
    ratio = ELECTRON_MASS_KEV / mass_kev
    largest = 2 * ELECTRON_MASS_KEV * beta_gamma**2 / (1 + 2 * np.sqrt(1 + beta_gamma**2) * ratio + ratio**2)
    log = 0.5 * np.log(2 * ELECTRON_MASS_KEV * beta_gamma**2 * largest / (excitation * 1e-3) ** 2)
    eta = np.maximum(beta_gamma, 0.13) ** -2.0
    # Barkas and Berger, NAS-NRC 1133 (1964), valid from beta gamma 0.13.
    shell = (0.422377 * eta + 0.0304043 * eta**2 - 0.00038106 * eta**3) * 1e-6 * excitation**2 + (
        3.858019 * eta - 0.1667989 * eta**2 + 0.00157955 * eta**3
    ) * 1e-9 * excitation**3
    bracket = log - squared - medium.density_effect(beta_gamma) / 2 - shell / medium.z
    return 2 * LANDAU_KEV * 1e-3 * medium.z / medium.a / squared * bracket


def _heavy(energy: np.ndarray, kind: Particle, material: str) -> np.ndarray:
    """MeV cm2/g at equal velocity to a proton or, for ions, from pycatima."""
    import pycatima

    medium = MATERIALS[material]
    target = pycatima.get_material(medium.z)
    config = pycatima.Config()
    config.low_energy = pycatima.low_energy_types.srim_95
    # pycatima counts MeV a atomic mass unit; tables start at 1 keV/u and end at 1e6 MeV/u.
    per_u = np.clip(energy / kind.mass_kev * 931.4941, 1.01e-3, 9e5)
    charge = abs(kind.charge)
    if charge > 1:
        projectile = pycatima.Projectile(kind.mass_kev / 931_494.1, charge)
        return np.array([pycatima.dedx(projectile(t), target, config) for t in per_u])
    proton = per_u * PROTON.mass_kev / 931_494.1
    slow = _slow_protons(np.minimum(proton, BETHE_FROM_MEV), material, target, config)
    gamma = 1 + energy / kind.mass_kev
    fast = _bethe(np.sqrt(np.maximum(gamma**2 - 1, 0.05**2)), medium, kind.mass_kev)
    return np.where(proton < BETHE_FROM_MEV, slow, fast)


def _slow_protons(proton_mev: np.ndarray, material: str, target: object, config: object) -> np.ndarray:
    import pycatima

    projectile = pycatima.Projectile(PROTON.mass_kev / 931_494.1, 1)
    per_u = 931_494.1 / PROTON.mass_kev

    def catima(energies: np.ndarray) -> np.ndarray:
        return np.array([pycatima.dedx(projectile(max(t * per_u, 1.01e-3)), target, config) for t in energies])

    beta_gamma = np.sqrt((1 + BETHE_FROM_MEV * 1e3 / PROTON.mass_kev) ** 2 - 1)
    anchors = dict(PSTAR_SI) if material == "Si" else {}
    anchors[BETHE_FROM_MEV] = float(_bethe(np.array([beta_gamma]), MATERIALS[material], PROTON.mass_kev)[0])
    at = np.array(list(anchors))
    ratio = np.array(list(anchors.values())) / catima(at)
    return catima(proton_mev) * np.interp(np.log(proton_mev), np.log(at), ratio)
