"""From ionisation to counts: the parameters of a digitisation."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from particle_zoo.simulation.optical_tpc.checks import one_of, positive

EXTRACTION = 0.87319885
EXTRACTION_PER_V = 0.002
GAIN_PER_V = 0.0209
"""Gain and extraction of one GEM against its voltage, from CYGNUS-RD/digitizationpp, src/DigitizationRunner.cxx."""


@dataclass(frozen=True)
class Chain:
    """Gas, three GEMs and optics, as in CYGNUS-RD/digitization and CYGNUS-RD/digitizationpp.

    Args:
        camera: name of the camera it belongs to.
        w_kev: energy an electron-ion pair, keV.
        gain_scale: c of the gain c exp(0.0209 V) of one GEM.
        amplification: A, the scale of the third GEM.
        beta: its saturation, for electrons in a voxel of `beta_voxel_mm3`.
        absorption_mm: drift length over which a share 1/e of the electrons is left.
        transverse_0: squared width at the GEMs, mm^2.
        transverse_1: its growth, mm^2 a cm of drift.
        longitudinal_0: as `transverse_0`, along the drift.
        longitudinal_1: as `transverse_1`, along the drift.
        gem_v: voltage of each GEM.
        photons_per_electron: light of the third GEM.
        aperture: f-number of the lens.
        survival: "mean" scales the mean number of electrons by what absorption leaves, "binomial" draws who survives;
            the numbers that arrive have the same law.
        vignetting: "before" or "after" the photons are drawn.
        counts_per_photon: None takes quantum efficiency and conversion from the camera and draws photo-electrons; a
            number replaces both, and counts themselves are drawn.
        beta_voxel_mm3: volume that beta belongs to.
        voxel_z_mm: length of a voxel along the drift.
        drift_mm: longest drift.

    Raises:
        InputError: a value without physical meaning.
    """

    camera: str
    w_kev: float
    gain_scale: float
    amplification: float
    beta: float
    absorption_mm: float
    transverse_0: float
    transverse_1: float
    longitudinal_0: float
    longitudinal_1: float
    gem_v: float = 440.0
    photons_per_electron: float = 0.07
    aperture: float = 0.95
    survival: str = "mean"
    vignetting: str = "before"
    counts_per_photon: float | None = None
    beta_voxel_mm3: float = (346.0 / 2304) ** 2 * 0.1
    voxel_z_mm: float = 0.1
    drift_mm: float = 500.0

    def __post_init__(self) -> None:
        one_of("survival", self.survival, ("mean", "binomial"))
        one_of("vignetting", self.vignetting, ("before", "after"))
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in ("camera", "survival", "vignetting") and value is not None:
                positive(field.name, value)

    @property
    def gain(self) -> float:
        """Electrons of one GEM an electron that enters it."""
        return self.gain_scale * math.exp(GAIN_PER_V * self.gem_v)

    @property
    def extraction(self) -> float:
        """Share of them that leaves it."""
        return EXTRACTION * math.exp(-EXTRACTION_PER_V * self.gem_v)

    def solid_angle(self, demagnification: float) -> float:
        """Share of the photons that the lens collects, 1 / (4 (d + 1) a)^2."""
        return 1 / (4 * (demagnification + 1) * self.aperture) ** 2

    def sigma_t_mm(self, z_mm: np.ndarray) -> np.ndarray:
        """Width of a cloud at the GEMs across the drift, after z mm of it."""
        return np.sqrt(self.transverse_0 + self.transverse_1 * np.asarray(z_mm) / 10)

    def sigma_l_mm(self, z_mm: np.ndarray) -> np.ndarray:
        """Width of a cloud at the GEMs along the drift, after z mm of it."""
        return np.sqrt(self.longitudinal_0 + self.longitudinal_1 * np.asarray(z_mm) / 10)

    def beta_of(self, voxel_mm3: float) -> float:
        """Saturation in voxels of another volume: the same density of electrons saturates alike."""
        return self.beta * self.beta_voxel_mm3 / voxel_mm3
