"""Energy calibration of Timepix chips: ToT = a E + b - c / (E - t)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from particle_zoo.errors import InputError

Number = float | np.ndarray


def tot_of(energy: npt.ArrayLike, a: Number, b: Number, c: Number, t: Number) -> np.ndarray:
    """ToT (float64, not rounded, at least 0) of energies in keV; 0 at and below the pole t."""
    energy = np.asarray(energy, np.float64)
    with np.errstate(invalid="ignore"):
        above = energy > t
        distance = np.where(above, energy - t, 1.0)
        return np.where(above, np.maximum(np.multiply(a, energy) + b - c / distance, 0.0), 0.0)


def energy_of(tot: npt.ArrayLike, a: Number, b: Number, c: Number, t: Number) -> np.ndarray:
    """Energy in keV (float64) of ToT: the larger root of the calibration."""
    shifted = np.asarray(tot, np.float64) - b
    at = np.multiply(a, t)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: np.ndarray = (at + shifted + np.sqrt((at - shifted) ** 2 + 4 * np.multiply(a, c))) / (2 * np.asarray(a))
    return found


@dataclass(frozen=True)
class Surrogate:
    """One calibration for all pixels, with typical values of a Timepix (mPIXdaq guide).

    It stands in where a chip's own four 256 x 256 files are not at hand; a real chip scatters around it by some
    percent from pixel to pixel. Trusted to about 1 MeV a pixel.

    Args:
        a: ToT a keV, at high energy.
        b: ToT of the straight line at 0 keV.
        c: bend near the threshold, ToT keV.
        t: pole, keV; lower energies give no ToT.

    Raises:
        InputError: a, c or t not positive.
    """

    a: float = 1.6
    b: float = 23.0
    c: float = 23.0
    t: float = 4.3

    def __post_init__(self) -> None:
        if min(self.a, self.c, self.t) <= 0:
            raise InputError(f"a, c and t must be positive; received a={self.a}, c={self.c}, t={self.t}")

    def tot(self, energy: npt.ArrayLike) -> np.ndarray:
        """ToT (float64, not rounded, at least 0) of energies in keV; 0 at and below the pole."""
        return tot_of(energy, self.a, self.b, self.c, self.t)

    def energy(self, tot: npt.ArrayLike) -> np.ndarray:
        """Energy in keV (float64) of ToT: the larger root of the calibration."""
        return energy_of(tot, self.a, self.b, self.c, self.t)

    def counts(self, energy: npt.ArrayLike, bits: int = 10) -> np.ndarray:
        """What the counter shows for energies in keV: whole ToT from 1 to 2^bits - 1, where it stops."""
        return np.clip(np.rint(self.tot(energy)), 1, 2**bits - 1).astype(np.int32)
