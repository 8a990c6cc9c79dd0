"""A fixed set of frames, the same wherever it is made, to train, calibrate and judge on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from particle_zoo.errors import InputError
from particle_zoo.simulation.generate import check_seed
from particle_zoo.simulation.optical_tpc import presets
from particle_zoo.simulation.optical_tpc.checks import one_of, whole
from particle_zoo.simulation.optical_tpc.generate import ENERGIES_KEV, frames, pedestals
from particle_zoo.simulation.optical_tpc.noise import CameraNoise
from particle_zoo.simulation.optical_tpc.simulated_frame import SimulatedFrame

BENCHMARK_VERSION = "1"
"""Changes with anything that changes a frame of the set."""

SPLITS = {"pedestal_train": 200, "pedestal_calibration": 50, "pedestal_test": 50, "signal": 200}
"""Number of frames, in the order of their numbers in the run."""


@dataclass(frozen=True)
class BenchmarkSet:
    """Dark frames to train on, to set thresholds with and to count false alarms in, and frames with events.

    All are frames of one camera, numbered on over the splits, so that no two share a frame. The frames with events belong
    to the same run by default, as if the lens cap were taken off; in another run the hot pixels are others, which a map made
    from the dark frames does not know.

    Frames are made when they are asked for and nothing is stored.

    Args:
        preset: lime, quest or lemon_fe55.
        noise: white, ecdf or realistic.
        level: mild, nominal or hard.
        seed: of the set.
        shape: rows and columns of a part around the middle of the sensor; all by default.
        events_per_frame: number of events of a frame with light.
        energies_kev: of nuclear recoils and electrons; fewer and lower ones for small frames.
        signal_run: run of the frames with light; that of the dark frames is 0.

    Raises:
        InputError: an unknown name, or a number that cannot be.
    """

    preset: str = "lime"
    noise: str = "realistic"
    level: str = "nominal"
    seed: int = 0
    shape: tuple[int, int] | None = None
    events_per_frame: int = 8
    energies_kev: tuple[float, ...] = ENERGIES_KEV
    signal_run: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)
        presets.noise_model(self.noise, self.level)
        presets.camera(presets.chain(self.preset).camera).crop(self.shape)

    @property
    def name(self) -> str:
        """Says which set it is, for tables."""
        return f"{self.preset}-{self.noise}-{self.level}-v{BENCHMARK_VERSION}-seed{self.seed}"

    def start(self, split: str) -> int:
        """Number of the first frame of a split."""
        names = list(SPLITS)
        return sum(SPLITS[name] for name in names[: names.index(one_of("split", split, SPLITS))])

    def split(self, name: str, n: int | None = None) -> Iterator[Any]:
        """Yield the frames of a split.

        Args:
            name: pedestal_train, pedestal_calibration, pedestal_test or signal.
            n: only so many of them.

        Yields:
            (rows, cols) uint16, or `SimulatedFrame` of signal.

        Raises:
            InputError: an unknown split, or more frames than it has.
        """
        start = self.start(name)
        count = SPLITS[name] if n is None else whole("n", n, 1)
        if count > SPLITS[name]:
            raise InputError(f"{name} has {SPLITS[name]} frames; received n={n}")
        options: dict[str, Any] = {"n": count, "seed": self.seed, "shape": self.shape, "start": start}
        if name != "signal":
            return pedestals(self.preset, self.camera_noise(0), **options)
        options |= {"events_per_frame": self.events_per_frame, "energies_kev": self.energies_kev}
        return frames(self.preset, self.camera_noise(self.signal_run), **options)

    def camera_noise(self, run: int = 0) -> CameraNoise:
        """The camera of the set; its `mean` and `sigma` are the truth about the pixels."""
        camera = presets.chain(self.preset).camera
        return CameraNoise(self.noise, self.level, camera=camera, shape=self.shape, seed=self.seed, run=run)

    def __iter__(self) -> Iterator[tuple[str, Iterator[np.ndarray] | Iterator[SimulatedFrame]]]:
        """Yield the name and the frames of each split."""
        for name in SPLITS:
            yield name, self.split(name)

    def sizes_bytes(self) -> dict[str, int]:
        """What the splits take if their arrays are stored as they are.

        Two bytes a pixel of a dark frame; fourteen of a frame with events: counts, signal, drawn and instance.
        """
        (rows, cols), _ = presets.camera(presets.chain(self.preset).camera).crop(self.shape)
        return {name: n * rows * cols * (14 if name == "signal" else 2) for name, n in SPLITS.items()}


def benchmark_set(noise: str = "realistic", level: str = "nominal", seed: int = 0, **options: Any) -> BenchmarkSet:
    """The versioned benchmark.

    Stored as they are, the dark frames of `lime` take 2.1, 0.5 and 0.5 GB and those with events 14.9 GB (10.6 MB of
    each are the counts); see `BenchmarkSet.sizes_bytes`.

    Args:
        noise: white, ecdf or realistic; results are quoted on realistic, white is a sanity check.
        level: mild, nominal or hard.
        seed: of the set.
        options: the other arguments of `BenchmarkSet`.

    Raises:
        InputError: an unknown name, or a number that cannot be.
    """
    return BenchmarkSet(noise=noise, level=level, seed=seed, **options)
