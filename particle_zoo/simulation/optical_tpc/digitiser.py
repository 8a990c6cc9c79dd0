"""Digitisation of deposits, in the order of CYGNO's own programs."""

from __future__ import annotations

import numpy as np

from particle_zoo.errors import InputError
from particle_zoo.simulation.generate import check_seed
from particle_zoo.simulation.optical_tpc import presets
from particle_zoo.simulation.optical_tpc.amplify import Clouds, light
from particle_zoo.simulation.optical_tpc.camera import Camera
from particle_zoo.simulation.optical_tpc.chain import Chain
from particle_zoo.simulation.optical_tpc.checks import positive
from particle_zoo.simulation.optical_tpc.deposits import Deposits
from particle_zoo.simulation.optical_tpc.event_image import EventImage


class Digitiser:
    """Ionisation, absorption, three GEMs with saturation, vignetting, light and counts.

    Follows CYGNUS-RD/digitizationpp (`lime`, `quest`) and CYGNUS-RD/digitization (`lemon_fe55`):

    1. primary electrons of each hit, Poisson(dE / W) of which exp(-z / L) survive the drift;
    2. the first GEM gives each an exponentially distributed number, the second one a fixed one;
    3. each electron is displaced by diffusion, sigma^2 = s0^2 + D^2 z;
    4. voxels of a pixel and 0.1 mm of drift saturate, n A G / (1 + beta G n), and are summed along the drift;
    5. vignetting, Poisson photons, counts, whole numbers.

    The rolling shutter is `EventImage.exposed`, dark frames are `CameraNoise`.

    Args:
        preset: lime, quest, lemon_fe55 or a `Chain`.
        camera: a `Camera` or the name of one; that of the preset by default.
        shape: rows and columns of a part around the middle of the sensor; all by default.
        vignetting: switch it off for light that is the same everywhere.
        saturation: switch it off for light that is proportional to the electrons (beta = 0).
        voxel_z_mm: length of the voxels; beta is rescaled, so the light hardly changes.

    Raises:
        InputError: an unknown name, or a value without physical meaning.
    """

    def __init__(
        self,
        preset: str | Chain = "lime",
        *,
        camera: str | Camera | None = None,
        shape: tuple[int, int] | None = None,
        vignetting: bool = True,
        saturation: bool = True,
        voxel_z_mm: float | None = None,
    ) -> None:
        self.chain = presets.chain(preset)
        self.camera = presets.camera(self.chain.camera if camera is None else camera)
        self.shape, self.first = self.camera.crop(shape)
        self.voxel_z_mm = self.chain.voxel_z_mm if voxel_z_mm is None else positive("voxel_z_mm", voxel_z_mm, 10)
        self.beta = self.chain.beta_of(self.camera.pitch_mm**2 * self.voxel_z_mm) if saturation else 0.0
        self.vignetting = self.camera.vignetting(self.shape) if vignetting else np.ones(self.shape, np.float32)

    @property
    def photons_per_electron(self) -> float:
        """Photons on the sensor an electron behind the third GEM."""
        return self.chain.photons_per_electron * self.chain.solid_angle(self.camera.demagnification)

    def pixel(self, x_mm: np.ndarray, y_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row and column of points on the GEM plane; the first pixel is 0..1."""
        rows, cols = self.camera.shape
        pitch = self.camera.pitch_mm
        return y_mm / pitch + rows / 2 - self.first[0], x_mm / pitch + cols / 2 - self.first[1]

    def primary_electrons(self, deposits: Deposits, rng: np.random.Generator) -> np.ndarray:
        """Step 1: (n,) electrons of each hit that reach the first GEM."""
        mean = deposits.energy / self.chain.w_kev
        survival = np.exp(-deposits.z / self.chain.absorption_mm)
        if self.chain.survival == "binomial":
            return rng.binomial(rng.poisson(mean), survival)
        return rng.poisson(mean * survival)

    def first_gem(self, electrons: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Step 2, first GEM: (n,) electrons that leave it; a sum of n exponentials has a Gamma law."""
        return rng.gamma(electrons, self.chain.gain) * self.chain.extraction

    def digitise(self, deposits: Deposits, rng: np.random.Generator) -> EventImage:
        """Draw the light of one event.

        Args:
            deposits: of the event; what falls beside the frame is lost.
            rng: random generator.

        Raises:
            InputError: a hit outside the drift region.
        """
        outside = (deposits.z < 0) | (deposits.z > self.chain.drift_mm)
        if outside.any():
            raise InputError(
                f"z of a deposit must lie within the drift of 0..{self.chain.drift_mm:g} mm; received "
                f"{deposits.z[outside.argmax()]:g} mm at hit {outside.argmax()}"
            )
        chain, pitch = self.chain, self.camera.pitch_mm
        primary = self.primary_electrons(deposits, rng)
        electrons = np.rint(self.first_gem(primary, rng) * chain.gain * chain.extraction)
        row, col = self.pixel(deposits.x, deposits.y)
        clouds = Clouds(
            electrons, row, col, deposits.z, chain.sigma_t_mm(deposits.z) / pitch, chain.sigma_l_mm(deposits.z)
        )
        # beta belongs to the gain of the GEM; A only scales its light.
        first, emitted = light(clouds, self.shape, self.voxel_z_mm, chain.gain, self.beta, rng)
        expected, drawn = self._counts(emitted * chain.amplification * self.photons_per_electron, first, rng)
        return EventImage(first, expected, drawn, self.shape, int(primary.sum()))

    def _counts(
        self, photons: np.ndarray, first: tuple[int, int], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Step 5."""
        passed = self.vignetting[first[0] : first[0] + len(photons), first[1] : first[1] + photons.shape[1]]
        if self.chain.counts_per_photon is None:
            units, counts = self.camera.quantum_efficiency * photons, 1 / self.camera.electrons_per_count
        else:
            units, counts = self.chain.counts_per_photon * photons, 1.0
        if self.chain.vignetting == "before":
            # Photo-electrons times counts, cut to whole numbers as the C++ program does.
            drawn = np.floor(counts * rng.poisson(units * passed))
        else:
            drawn = np.rint(counts * rng.poisson(units) * passed)
        return (counts * units * passed).astype(np.float32), drawn.astype(np.int32)


def digitise(
    deposits: Deposits,
    preset: str | Chain = "lime",
    *,
    seed: int,
    camera: str | Camera | None = None,
    shape: tuple[int, int] | None = None,
    vignetting: bool = True,
    saturation: bool = True,
) -> EventImage:
    """Digitise one event; see `Digitiser` for the arguments.

    Raises:
        InputError: as `Digitiser`, or a seed that is no whole number.
    """
    check_seed(seed)
    digitiser = Digitiser(preset, camera=camera, shape=shape, vignetting=vignetting, saturation=saturation)
    return digitiser.digitise(deposits, np.random.default_rng(seed))
