"""The simulated configurations of `camera_frames`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.data.camera_source import SPLITS, Frame
from particle_zoo.errors import InputError
from particle_zoo.simulation.optical_tpc import BENCHMARK_VERSION, BenchmarkSet, SimulatedFrame, benchmark_set, presets
from particle_zoo.simulation.optical_tpc import SPLITS as PUBLISHED
from particle_zoo.simulation.optical_tpc.checks import check_shape, numbers, whole

PREFIX = "simulated_"
"""Before the name of the noise in that of a configuration."""

OVERRIDES = ("preset", "level", "seed", "shape", "events_per_frame", "energies_kev", "signal_run", "frames")
"""What may differ from the published set."""


@dataclass(frozen=True)
class Simulated:
    """Frames of a benchmark set; see `particle_zoo.data.camera_source.FrameSource`.

    Args:
        benchmark: the set.
        counts: number of frames of each split, the first ones of it; 0 leaves a split out.
    """

    benchmark: BenchmarkSet
    counts: tuple[int, ...]

    @classmethod
    def of(cls, config: str, **overrides: Any) -> Simulated:
        """The published set of a configuration, or one that differs from it.

        Args:
            config: simulated_ and the noise.
            overrides: the arguments of `BenchmarkSet`, and `frames`, a number of frames for each split that is to have
                fewer.

        Raises:
            InputError: an unknown override, or a value that cannot be.
        """
        unknown = set(overrides) - set(OVERRIDES)
        if unknown:
            raise InputError(f"camera_frames/{config} has no setting {min(unknown)!r}; it takes {', '.join(OVERRIDES)}")
        counts = _counts(overrides.pop("frames", None) or {})
        if overrides.get("shape") is not None:
            overrides["shape"] = check_shape(overrides["shape"], 1)
        if "energies_kev" in overrides:
            overrides["energies_kev"] = numbers("energies_kev", overrides["energies_kev"], 1e3)
        if "events_per_frame" in overrides:
            whole("events_per_frame", overrides["events_per_frame"], 1)
        if "signal_run" in overrides:
            whole("signal_run", overrides["signal_run"])
        return cls(benchmark_set(config.removeprefix(PREFIX), **overrides), counts)

    def only(self, split: str, n: int) -> Simulated:
        """The first frames of one split alone."""
        return replace(self, counts=tuple(min(n, c) if name == split else 0 for name, c in self._counted.items()))

    @property
    def _counted(self) -> dict[str, int]:
        return dict(zip(SPLITS, self.counts, strict=True))

    @property
    def config(self) -> str:
        """Name of the configuration."""
        return f"{PREFIX}{self.benchmark.noise}"

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have frames, in order."""
        return tuple(name for name, count in self._counted.items() if count)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of every frame."""
        shape, _ = presets.camera(presets.chain(self.benchmark.preset).camera).crop(self.benchmark.shape)
        return shape

    @property
    def fingerprint(self) -> str:
        """Hex digest of the settings and of all parameters they name."""
        chain = presets.chain(self.benchmark.preset)
        depends = {
            "version": BENCHMARK_VERSION,
            "set": asdict(self.benchmark),
            "frames": self._counted,
            "chain": asdict(chain),
            "camera": asdict(presets.camera(chain.camera)),
            "noise": asdict(presets.noise_model(self.benchmark.noise, self.benchmark.level)),
        }
        text = json.dumps(depends, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def table(self, split: str) -> pd.DataFrame:
        """One row a frame: `frame` (its number in the run), `source` and `id`."""
        number = self.benchmark.start(split) + np.arange(self._counted[split])
        name = self.benchmark.name
        return pd.DataFrame({"frame": number, "source": name, "id": [f"{name}:{k}" for k in number]})

    def frames(self, split: str) -> Iterator[Frame]:
        """Yield the frames of a split, those of signal with their truth.

        Raises:
            InputError: no room for the events.
        """
        return self.benchmark.split(split, self._counted[split])

    def truth(self) -> Iterator[SimulatedFrame]:
        """Yield the frames of signal.

        Raises:
            InputError: no room for the events.
        """
        return self.benchmark.split("signal", self._counted["signal"])


def _counts(asked: Mapping[str, Any]) -> tuple[int, ...]:
    if not isinstance(asked, Mapping):
        raise InputError(f"frames must give a number for some of {', '.join(SPLITS)}; received {asked!r}")
    unknown = sorted(set(map(str, asked)) - set(SPLITS))
    if unknown:
        raise InputError(f"frames: there is no split {unknown[0]!r}; there is {', '.join(SPLITS)}")
    counts = tuple(whole(f"frames of {name}", asked.get(name, PUBLISHED[name])) for name in SPLITS)
    for name, count in zip(SPLITS, counts, strict=True):
        if count > PUBLISHED[name]:
            raise InputError(
                f"{name} has {PUBLISHED[name]} frames; received {count}, take another seed for other frames"
            )
    if not any(counts):
        raise InputError("frames leaves no split any frame; give one of them 1 or more")
    return counts
