"""Labelled patches around single events, as they are cut out of frames: light on noise, less the pedestal.

Every patch holds one event with its centre, or dark pixels alone. The rolling shutter is left out, so no event is cut. Dark
patches are taken anywhere; those that a search cuts out are centred on a fluctuation it took for light, and are harder to tell
from faint events.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from particle_zoo.detectors.camera import PedestalModel
from particle_zoo.simulation.generate import check_seed
from particle_zoo.simulation.optical_tpc.checks import one_of, whole
from particle_zoo.simulation.optical_tpc.deposits import Deposits
from particle_zoo.simulation.optical_tpc.digitiser import Digitiser
from particle_zoo.simulation.optical_tpc.noise import CameraNoise
from particle_zoo.simulation.optical_tpc.placement import Species, draw

PATCHES_VERSION = "1"
"""Changes with anything that changes a patch."""

KINDS = ("noise", "nr", "er_low", "er_track", "mip")

ENERGIES_KEV = {"nr": (5.0, 50.0), "er_low": (2.0, 8.0), "er_track": (15.0, 60.0)}
"""Uniform in the logarithm. A minimum-ionising particle crosses the patch with what it leaves there."""

Z_CM = (5.0, 45.0)
"""Drift, uniform."""

MIXES = {
    "balanced": {"noise": 1, "nr": 1, "er_low": 1, "er_track": 1, "mip": 1},
    "unbalanced": {"noise": 20, "nr": 1, "er_low": 5, "er_track": 5, "mip": 5},
}
"""Shares of the kinds; unbalanced has 20 patches of noise for one nuclear recoil."""

PEDESTALS = 50
"""Dark frames the pedestal comes from, before those of the patches."""

GRID = 10
"""Patches beside each other in a frame of noise, at most; fewer of small sets, as every frame of pedestal takes time."""

STREAM = 11
"""First key of the streams of patches, apart from those of noise and events."""


@dataclass(frozen=True, eq=False)
class LabelledPatches:
    """n simulated patches.

    Args:
        images: (n, size, size) float32 counts above the pedestal; 0 where a pixel is hot or has telegraph noise.
        table: n rows: `kind` of `KINDS`, `energy_kev` and `z_cm` (NaN of noise) and `integral`, drawn counts of light in the
            patch.
    """

    images: np.ndarray
    table: pd.DataFrame

    @property
    def kinds(self) -> np.ndarray:
        """(n,) names of `KINDS`."""
        return self.table["kind"].to_numpy(str)


def labelled_patches(
    n: int,
    *,
    seed: int,
    mix: str = "balanced",
    size: int = 100,
    preset: str = "lime",
    noise: str = "realistic",
    level: str = "nominal",
) -> LabelledPatches:
    """Simulate patches of five kinds in random order.

    Kinds are dealt out in the shares of the mix. Events lie anywhere on the sensor as far as their patch fits, and with it
    their vignetting; all patches of a set have the noise of one camera, whose pedestal is fitted with the medians of rows and
    columns taken out.

    Args:
        n: number of patches.
        seed: of everything; patches of a seed with another n are others.
        mix: balanced or unbalanced, see `MIXES`.
        size: side of a patch, px.
        preset: lime, quest or lemon_fe55.
        noise: white, ecdf or realistic.
        level: mild, nominal or hard.

    Raises:
        InputError: an unknown name, or a number that cannot be.
    """
    whole("n", n, 1)
    whole("size", size, 8)
    check_seed(seed)
    digitiser = Digitiser(preset)
    kinds = _dealt(n, mix, seed)
    images, rows = np.zeros((n, size, size), np.float32), []
    light = np.zeros((n, size, size), np.int32)
    for i, kind in enumerate(kinds):
        energy_kev, z_cm = float("nan"), float("nan")
        if kind != "noise":
            rng = _rng(seed, 1, i)
            deposits, energy_kev, z_cm = _event(kind, rng, digitiser)
            light[i] = _light(deposits, size, rng, digitiser)
        rows.append((kind, energy_kev, z_cm, int(light[i].sum())))
    side = min(GRID, math.isqrt(n - 1) + 1)
    camera = CameraNoise(noise, level, camera=digitiser.camera, shape=(side * size, side * size), seed=seed)
    for first, frame in _frames(camera, light, side):
        images[first : first + len(frame)] = frame
    return LabelledPatches(images, pd.DataFrame(rows, columns=["kind", "energy_kev", "z_cm", "integral"]))


def _rng(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAM, *key)))


def _dealt(n: int, mix: str, seed: int) -> list[str]:
    shares = MIXES[one_of("mix", mix, MIXES)]
    # Every kind gets its share to within one patch.
    edges = np.rint(np.cumsum(list(shares.values())) / sum(shares.values()) * n).astype(np.int64)
    dealt = np.repeat(list(shares), np.diff(edges, prepend=0))
    return [str(kind) for kind in _rng(seed, 0).permutation(dealt)]


def _event(kind: str, rng: np.random.Generator, digitiser: Digitiser) -> tuple[Deposits, float, float]:
    """Deposits around x = y = 0, their energy (keV) and drift (cm)."""
    z_cm = float(rng.uniform(*Z_CM))
    energy = None if kind == "mip" else float(np.exp(rng.uniform(*np.log(ENERGIES_KEV[kind]))))
    deposits = draw(Species(kind.partition("_")[0], energy, z_cm), rng, digitiser)
    return deposits, deposits.total_kev, z_cm


def _light(deposits: Deposits, size: int, rng: np.random.Generator, digitiser: Digitiser) -> np.ndarray:
    """(size, size) counts of an event somewhere on the sensor, its mean position in the pixel `size // 2`."""
    pitch, half = digitiser.camera.pitch_mm, size // 2
    first = np.array([rng.integers(0, side - size, endpoint=True) for side in digitiser.shape])
    # Anywhere in that pixel.
    centre = (first + half + rng.random(2) - np.array(digitiser.shape) / 2) * pitch
    placed = deposits.shifted(x=float(centre[1]), y=float(centre[0]))
    row, col = digitiser.pixel(placed.x, placed.y)
    # Most of a long track is light beside the patch that need not be drawn.
    reach = 6 * digitiser.chain.sigma_t_mm(placed.z) / pitch
    near = (np.abs(row - first[0] - half) < half + reach) & (np.abs(col - first[1] - half) < half + reach)
    counts = np.zeros((size, size), np.int32)
    if not near.any():
        return counts
    part = Deposits(placed.x[near], placed.y[near], placed.z[near], placed.energy[near])
    image = digitiser.digitise(part, rng)
    (top, left), (rows, cols) = np.array(image.first) - first, image.drawn.shape
    row0, row1 = np.clip((top, top + rows), 0, size)
    col0, col1 = np.clip((left, left + cols), 0, size)
    counts[row0:row1, col0:col1] = image.drawn[row0 - top : row1 - top, col0 - left : col1 - left]
    return counts


def _frames(camera: CameraNoise, light: np.ndarray, side: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the number of the first patch of each frame of noise and (k, size, size) counts above the pedestal.

    A frame holds side x side patches.
    """
    size = light.shape[1]
    pedestal = PedestalModel.fit(camera.frames(PEDESTALS), common_mode=True)
    for number, first in enumerate(range(0, len(light), side**2), PEDESTALS):
        part = light[first : first + side**2]
        signal = np.zeros((side**2, size, size), np.int32)
        signal[: len(part)] = part
        # Rows full of light would have other medians; those of a real frame do not.
        counts = pedestal.subtract(camera.frame(number))
        counts += signal.reshape(side, side, size, size).swapaxes(1, 2).reshape(camera.shape)
        counts[pedestal.masked] = 0
        tiles = counts.reshape(side, size, side, size).swapaxes(1, 2).reshape(-1, size, size)
        yield first, tiles[: len(part)]
