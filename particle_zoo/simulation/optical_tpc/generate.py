"""Camera frames: dark ones, and ones with isolated events and their truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from particle_zoo.errors import InputError
from particle_zoo.simulation.generate import check_seed
from particle_zoo.simulation.optical_tpc import placement, presets
from particle_zoo.simulation.optical_tpc.camera import Camera
from particle_zoo.simulation.optical_tpc.chain import Chain
from particle_zoo.simulation.optical_tpc.checks import numbers, one_of, whole
from particle_zoo.simulation.optical_tpc.digitiser import Digitiser
from particle_zoo.simulation.optical_tpc.event_image import EventImage
from particle_zoo.simulation.optical_tpc.noise import CameraNoise
from particle_zoo.simulation.optical_tpc.primaries import CLASSES
from particle_zoo.simulation.optical_tpc.shutter import RollingShutter
from particle_zoo.simulation.optical_tpc.simulated_frame import EVENT_COLUMNS, SimulatedFrame

Rng = np.random.Generator

ENERGIES_KEV = (0.25, 0.5, 1.0, 2.0, 5.9, 20.0, 60.0)
Z_CM = (5.0, 25.0, 45.0)
FRAME_CLASSES = ("nr", "er", "mip")
"""Without alphas: one has the light of a hundred other events and would decide every average over light."""

LIGHT = 7
"""First key of the streams of events, apart from those of noise."""


def pedestals(
    preset: str | Chain = "lime",
    noise: str | CameraNoise = "realistic",
    level: str = "nominal",
    *,
    n: int,
    seed: int,
    shape: tuple[int, int] | None = None,
    run: int = 0,
    start: int = 0,
) -> Iterator[np.ndarray]:
    """Yield dark frames.

    Args:
        preset: lime, quest or lemon_fe55; says which camera.
        noise: white, ecdf, realistic, or a `CameraNoise`, which then brings camera, level, seed, shape and run.
        level: mild, nominal or hard.
        n: number of frames.
        seed: of the camera and all its frames; frames k of equal seeds are equal.
        shape: rows and columns of a part around the middle of the sensor; all by default.
        run: another one has other hot pixels on the same camera.
        start: number of the first frame in the run.

    Yields:
        (rows, cols) uint16.

    Raises:
        InputError: an unknown name, or a number that cannot be.
    """
    camera = presets.camera(presets.chain(preset).camera)
    return _noise(noise, level, camera, shape, seed, run).frames(n, start=start)


def frames(
    preset: str | Chain = "lime",
    noise: str | CameraNoise = "realistic",
    level: str = "nominal",
    *,
    n: int,
    seed: int,
    shape: tuple[int, int] | None = None,
    events_per_frame: int = 8,
    energies_kev: Sequence[float] = ENERGIES_KEV,
    z_cm: Sequence[float] = Z_CM,
    classes: Sequence[str] = FRAME_CLASSES,
    run: int = 0,
    start: int = 0,
    shutter: bool | None = None,
) -> Iterator[SimulatedFrame]:
    """Yield frames with events that do not touch each other.

    Classes, energies and drifts are dealt out evenly: all combinations in random order, then all again.

    Args:
        preset: lime, quest or lemon_fe55.
        noise: white, ecdf, realistic, or a `CameraNoise`, which then brings camera, level, seed, shape and run of the noise.
        level: mild, nominal or hard.
        n: number of frames.
        seed: of the camera, its frames and the events; frame k does not depend on the others.
        shape: rows and columns of a part around the middle of the sensor; all by default.
        events_per_frame: number of events of each frame.
        energies_kev: of point, nr and er.
        z_cm: drifts of the events' centres.
        classes: of point, nr, er, mip (50 mm of it, or half the shorter side) and alpha (5.5 MeV).
        run: another one has other hot pixels on the same camera.
        start: number of the first frame in the run.
        shutter: whether the rolling shutter cuts events, at a random time of each; by default where the noise has it.
            Of all times in LIME's frame, a point is exposed at 62 %: the others leave nothing.

    Yields:
        `SimulatedFrame`.

    Raises:
        InputError: an unknown name, a number that cannot be, or no room for the events.
    """
    whole("n", n, 1)
    whole("start", start)
    whole("events_per_frame", events_per_frame, 1)
    check_seed(seed)
    energies = numbers("energies_kev", energies_kev, 1e3)
    if isinstance(classes, str) or not classes:
        raise InputError(f"classes must be a list of {', '.join(CLASSES)}; received {classes!r}")
    kinds = tuple(one_of("class", kind, CLASSES) for kind in classes)
    digitiser = Digitiser(preset, shape=shape)
    drifts = numbers("z_cm", z_cm, digitiser.chain.drift_mm / 10)
    camera_noise = _noise(noise, level, digitiser.camera, shape, seed, run)
    if camera_noise.shape != digitiser.shape:
        raise InputError(f"noise must have the frame's shape of {digitiser.shape}; received {camera_noise.shape}")
    cut = camera_noise.model.shutter if shutter is None else bool(shutter)
    rolling = RollingShutter.of(digitiser.camera) if cut else None
    species = placement.all_species(kinds, energies, drifts)
    deal = _Deal(species, seed, events_per_frame)
    return (_frame(k, deal.frame(k), seed, digitiser, camera_noise, rolling) for k in range(start, start + n))


class _Deal:
    """Which species are in a frame, whatever frames were asked for before."""

    def __init__(self, species: list[placement.Species], seed: int, per_frame: int) -> None:
        self.species, self.seed, self.per_frame = species, seed, per_frame

    def frame(self, k: int) -> list[placement.Species]:
        found = []
        for number in range(k * self.per_frame, (k + 1) * self.per_frame):
            round_, place = divmod(number, len(self.species))
            order = _rng(self.seed, 0, round_).permutation(len(self.species))
            found.append(self.species[order[place]])
        return found


def _rng(seed: int, *key: int) -> Rng:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(LIGHT, *key)))


def _noise(
    noise: str | CameraNoise, level: str, camera: Camera, shape: tuple[int, int] | None, seed: int, run: int
) -> CameraNoise:
    if isinstance(noise, CameraNoise):
        return noise
    return CameraNoise(noise, level, camera=camera, shape=shape, seed=seed, run=run)


def _frame(
    k: int,
    species: list[placement.Species],
    seed: int,
    digitiser: Digitiser,
    noise: CameraNoise,
    shutter: RollingShutter | None,
) -> SimulatedFrame:
    drawn_at = [placement.draw(kind, _rng(seed, 1, k, i), digitiser) for i, kind in enumerate(species)]
    placed = placement.place(drawn_at, _rng(seed, 2, k), digitiser)
    signal, drawn = np.zeros(digitiser.shape, np.float32), np.zeros(digitiser.shape, np.int32)
    instance, most = np.zeros(digitiser.shape, np.int32), np.zeros(digitiser.shape, np.float32)
    rows: list[tuple[object, ...]] = []
    for i, (kind, deposits) in enumerate(zip(species, placed, strict=True)):
        rng = _rng(seed, 3, k, i)
        image, time_ms = digitiser.digitise(deposits, rng), float("nan")
        seen: EventImage = image
        if shutter is not None:
            time_ms = shutter.time_ms(rng)
            first, stop = shutter.exposed(time_ms)
            seen = image.exposed((first - digitiser.first[0], stop - digitiser.first[0]))
        window = seen.window
        signal[window] += seen.expected
        drawn[window] += seen.drawn
        brightest = seen.expected > most[window]
        instance[window][brightest] = i + 1
        most[window][brightest] = seen.expected[brightest]
        centre = deposits.centre
        row, col = digitiser.pixel(centre[0], centre[1])
        rows.append((
            i + 1, kind.kind, deposits.total_kev, *centre, row, col, image.electrons, time_ms,
            image.integral, seen.integral, seen.integral < image.integral,
        ))  # fmt: skip
    events = pd.DataFrame(rows, columns=list(EVENT_COLUMNS))
    return SimulatedFrame(noise.frame(k, signal=drawn), signal, drawn, instance, events, k)
