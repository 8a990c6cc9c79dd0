"""Where primaries come from: kinetic energy, direction, shielding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.errors import InputError
from particle_zoo.simulation.particles import Particle, check_energy
from particle_zoo.simulation.stopping import MATERIALS, table

Rng = np.random.Generator

LAWS = ("mono", "power", "exponential", "tabulated")
ANGLES = ("normal", "isotropic", "cosine", "fixed:DEGREES")

NUMBERS: dict[str, tuple[str, ...]] = {
    "mono": ("energy_mev",),
    "power": ("low_mev", "high_mev", "index"),
    "exponential": ("low_mev", "high_mev", "scale_mev"),
    "tabulated": ("energies_mev", "flux"),
}
"""What each law is made of."""


@dataclass(frozen=True)
class Shield:
    """A layer in front of the sensor.

    Args:
        material: "Al" or "Si".
        thickness_um: of the layer, at least 0.

    Raises:
        InputError: another material, or a thickness that is not a number of at least 0.
    """

    material: str = "Al"
    thickness_um: float = 0.0

    def __post_init__(self) -> None:
        if self.material not in MATERIALS:
            raise InputError(f"a shield is of {' or '.join(MATERIALS)}; received {self.material!r}")
        if not (isinstance(self.thickness_um, (int, float)) and 0 <= self.thickness_um < 1e5):
            raise InputError(f"a shield is 0..100000 um thick; received {self.thickness_um!r} um")

    def cross(self, rng: Rng, kind: Particle, energy: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, ...]:
        """Energies (keV) and directions behind the layer; 0 keV where a particle stopped in it or turned back.

        Mean energy loss over the slant path, and one scattering angle at the mean energy. Photons pass.
        """
        if kind.family == "photon" or self.thickness_um == 0:
            return energy, direction
        from particle_zoo.simulation.transport import highland, turn

        path = self.thickness_um / np.maximum(-direction[2], 1e-3)
        stopping = table(kind, self.material)
        left = stopping.range_um(energy) - path
        behind = np.where(left > 0, stopping.energy_kev(np.maximum(left, 1e-3)), 0.0)
        middle = np.maximum(0.5 * (energy + behind), 1.0)
        theta = highland(kind, middle, path, MATERIALS[self.material].radiation_length_um, log_um=path)
        direction = turn(direction, *(theta * rng.standard_normal((2, len(energy)))))
        return np.where(direction[2] < -1e-3, behind, 0.0), direction


@dataclass(frozen=True)
class Spectrum:
    """A law of kinetic energies, and optionally of directions, and a shield.

    Args:
        law: mono, power (dN/dE ~ E^-index), exponential (~ exp(-E / scale_mev)) or tabulated.
        energy_mev: of `mono`.
        low_mev, high_mev: interval of `power` and `exponential`.
        index: of `power`.
        scale_mev: of `exponential`.
        energies_mev, flux: of `tabulated`: positive dN/dE at ascending energies, linear between them.
        angles: normal, isotropic, cosine or fixed:DEGREES; None leaves it to the caller.
        shield: layer in front of the sensor.

    Raises:
        InputError: an unknown law, energies or fluxes that are not positive numbers, or a table that does not ascend.
    """

    law: str = "mono"
    energy_mev: float = 1.0
    low_mev: float = 1.0
    high_mev: float = 1.0
    index: float = 1.0
    scale_mev: float = 1.0
    energies_mev: tuple[float, ...] = ()
    flux: tuple[float, ...] = ()
    angles: str | None = None
    shield: Shield | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.law, str) or self.law not in LAWS:
            raise InputError(f"a spectrum is {', '.join(LAWS)}; received {self.law!r}")
        if self.law == "tabulated":
            self._check_table()
        else:
            for name in NUMBERS[self.law]:
                value = getattr(self, name)
                if not isinstance(value, (int, float, np.integer, np.floating)) or isinstance(value, bool):
                    raise InputError(f"{name} of a spectrum must be a number; received {value!r}")
        low, high = self.limits_mev
        if not (0 < low <= high < math.inf):
            raise InputError(f"energies must be positive and ascend; received {low!r}..{high!r} MeV")
        if self.law == "exponential" and not 0 < self.scale_mev < math.inf:
            raise InputError(f"scale_mev must be positive; received {self.scale_mev!r}")
        if self.law == "power" and not -20 <= self.index <= 20:
            raise InputError(f"index must lie in -20..20; received {self.index!r}")
        if self.angles is not None:
            check_angles(self.angles)
        if self.shield is not None and not isinstance(self.shield, Shield):
            raise InputError(f"shield must be a Shield or None; received {self.shield!r}")

    def _check_table(self) -> None:
        try:
            energy, flux = np.asarray(self.energies_mev), np.asarray(self.flux)
        except ValueError:
            # Rows of different lengths.
            energy = flux = np.array(None)
        if energy.dtype.kind not in "iuf" or flux.dtype.kind not in "iuf":
            raise InputError(
                f"a spectrum table holds numbers; received energies {self.energies_mev!r} and fluxes {self.flux!r}"
            )
        if energy.ndim != 1 or energy.size < 2 or energy.shape != flux.shape:
            raise InputError(
                f"a spectrum table needs two or more energies and as many fluxes; received {energy.size} and {flux.size}"
            )
        if not (np.isfinite(energy).all() and (energy > 0).all() and (np.diff(energy) > 0).all()):
            raise InputError(
                f"the energies of a spectrum table must be positive and ascend; received {_short(self.energies_mev)} MeV"
            )
        if not (np.isfinite(flux).all() and (flux > 0).all()):
            raise InputError(
                f"the fluxes of a spectrum table must be positive; received {_short(self.flux)}; leave out the energies "
                f"at its ends without flux"
            )

    @property
    def limits_mev(self) -> tuple[float, float]:
        """Lowest and highest energy."""
        if self.law == "mono":
            return self.energy_mev, self.energy_mev
        if self.law == "tabulated":
            return self.energies_mev[0], self.energies_mev[-1]
        return self.low_mev, self.high_mev

    def sample(self, rng: Rng, n: int) -> np.ndarray:
        """Draw n kinetic energies, keV."""
        low, high = (1e3 * value for value in self.limits_mev)
        u = rng.random(n)
        if self.law == "mono":
            return np.full(n, low)
        if self.law == "power":
            if abs(self.index - 1) < 1e-9:
                return low * (high / low) ** u
            k = 1 - self.index
            # In units of `low`, so that steep laws do not overflow.
            return low * (1 + u * ((high / low) ** k - 1)) ** (1 / k)
        if self.law == "exponential":
            scale = 1e3 * self.scale_mev
            return low - scale * np.log1p(u * np.expm1(-(high - low) / scale))
        energy, flux = 1e3 * np.asarray(self.energies_mev), np.asarray(self.flux)
        width = np.diff(energy)
        area = 0.5 * width * (flux[1:] + flux[:-1])
        cell = rng.choice(len(area), size=n, p=area / area.sum())
        left, right = flux[cell], flux[cell + 1]
        # Inverse of the cumulative of a trapezium; the form without a difference of near-equal numbers.
        share = u * (left + right) / (left + np.sqrt(left**2 + u * (right**2 - left**2)) + 1e-300)
        return energy[cell] + np.clip(share, 0, 1) * width[cell]


def check_angles(law: str) -> None:
    """Check the name of an angle law.

    Raises:
        InputError: an unknown law, or an angle that does not enter the sensor.
    """
    if law in ANGLES[:3]:
        return
    name, _, degrees = str(law).partition(":")
    try:
        inside = name == "fixed" and 0 <= float(degrees) < 89.9
    except ValueError:
        inside = False
    if not inside:
        raise InputError(f"angles must be {', '.join(ANGLES)} (0 <= DEGREES < 89.9); received {law!r}")


def directions(rng: Rng, law: str, n: int) -> np.ndarray:
    """Draw n unit vectors (3, n) that enter the sensor (z < 0); uniform azimuth."""
    if law == "isotropic":
        cosine = rng.random(n)
    elif law == "cosine":
        cosine = np.sqrt(rng.random(n))
    else:
        cosine = np.full(n, math.cos(math.radians(float(law.partition(":")[2] or 0))))
    cosine = np.maximum(cosine, 1e-3)
    sine, azimuth = np.sqrt(1 - cosine**2), rng.uniform(0, 2 * np.pi, n)
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), -cosine])


@lru_cache(maxsize=1)
def _named() -> dict[str, Any]:
    import yaml

    loaded: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("spectra.yaml").read_text())
    return loaded


def named(name: str, kind: Particle) -> Spectrum:
    """A spectrum of `spectra.yaml` for a particle.

    Raises:
        InputError: no such spectrum, or none for this particle.
    """
    known = _named()
    if name not in known:
        raise InputError(f"unknown spectrum {name!r}; there is {', '.join(k for k in known if k != 'default')}")
    entry = known[name]
    law = entry["particles"].get(kind.name)
    if law is None:
        raise InputError(
            f"the spectrum {name!r} has {', '.join(entry['particles'])} and no {kind.name}; give energy_mev or a Spectrum"
        )
    shield = Shield(**entry["shield"]) if entry["shield"] else None
    return Spectrum(angles=entry["angles"], shield=shield, **law)


def resolve(kind: Particle, energy_mev: float | None, spectrum: Spectrum | str | None) -> Spectrum:
    """The spectrum that `simulate`'s arguments mean.

    Raises:
        InputError: both an energy and a spectrum, or energies the simulation does not cover.
    """
    if energy_mev is not None and spectrum is not None:
        raise InputError("give energy_mev or spectrum, not both; received both")
    if energy_mev is not None:
        if not (isinstance(energy_mev, (int, float)) and 0 < energy_mev < math.inf):
            raise InputError(f"energy_mev must be a positive kinetic energy; received {energy_mev!r}")
        found = Spectrum("mono", energy_mev=float(energy_mev))
    elif isinstance(spectrum, Spectrum):
        found = spectrum
    elif spectrum is None or isinstance(spectrum, str):
        found = named(spectrum or "default", kind)
    else:
        raise InputError(f"spectrum must be a Spectrum or a name; received a {type(spectrum).__name__}")
    low, high = found.limits_mev
    check_energy(kind, 1e3 * low, 1e3 * high)
    return found


def _short(values: Sequence[float]) -> str:
    text = ", ".join(f"{value:g}" for value in values[:6])
    return text + (", ..." if len(values) > 6 else "")
