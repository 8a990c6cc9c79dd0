"""What a comparison of searches for light is run on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import pydantic

from particle_zoo.errors import InputError
from particle_zoo.simulation.optical_tpc import SPLITS, BenchmarkSet
from particle_zoo.simulation.optical_tpc.generate import ENERGIES_KEV

VERSION = 2
"""Of what a study keeps; changes with anything that changes a number."""

WHITE_DISCARDED = 0.98
"""Share of the area that is discarded at least on white noise."""

NOISES = ("realistic", "white", "ecdf")
LEVELS = ("mild", "nominal", "hard")

SPLIT_OF = {
    "train": "pedestal_train",
    "calibration": "pedestal_calibration",
    "test": "pedestal_test",
    "signal": "signal",
}


class Network(pydantic.BaseModel):
    """A network that is trained on the pedestal run.

    Args:
        model: registered name.
        settings: further settings.
        smoothed: also search its residual with plain smoothing.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    model: str
    settings: dict[str, Any] = {}
    smoothed: bool = True


NETWORKS = {
    "pedestal_ae": Network(model="pedestal_ae"),
    "pedestal_ae_denoise": Network(model="pedestal_ae_denoise"),
    "pedestal_ae + simulation": Network(model="pedestal_ae", settings={"monte_carlo": 0.5}, smoothed=False),
    "pedestal_ae_denoise + simulation": Network(
        model="pedestal_ae_denoise", settings={"monte_carlo": 0.5}, smoothed=False
    ),
}
"""With the loss of the first one, "mse", simulated light is part of what is drawn, so that it hurts is built in; with that of
the second, "denoise", it takes the place of the synthetic light, which is to be left out of the drawing, in half of the crops."""


class Settings(pydantic.BaseModel):
    """Everything the results of a study depend on, but for the code and the noise.

    Args:
        version: of what is kept.
        shape: rows and columns of a part around the middle of the sensor; None for all of it.
        train: dark frames for pedestal and networks.
        calibration: dark frames for thresholds.
        test: dark frames in which false regions are counted.
        signal: frames with light.
        events_per_frame: of these; 2 on a quarter of the sensor are as dense as the 8 of the published set.
        energies_kev: of nuclear recoils and electrons.
        seed: of camera, frames and trainings.
        networks: by name in the tables.
        network_settings: of all of them.
        rate: false regions a frame at which methods are compared.
        discarded: share of the area at which they are compared.
        resamples: of frames, for intervals.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    version: int = VERSION
    shape: tuple[int, int] | None = (1152, 1152)
    train: int = pydantic.Field(60, ge=10, le=SPLITS["pedestal_train"])
    calibration: int = pydantic.Field(50, ge=10, le=SPLITS["pedestal_calibration"])
    test: int = pydantic.Field(50, ge=1, le=SPLITS["pedestal_test"])
    signal: int = pydantic.Field(200, ge=1, le=SPLITS["signal"])
    events_per_frame: int = pydantic.Field(2, ge=1)
    energies_kev: tuple[float, ...] = ENERGIES_KEV
    seed: int = pydantic.Field(0, ge=0)
    networks: dict[str, Network] = NETWORKS
    network_settings: dict[str, Any] = {}
    rate: float = pydantic.Field(1.0, gt=0)
    discarded: float = pydantic.Field(0.978, gt=0, lt=1)
    resamples: int = pydantic.Field(1000, ge=10)

    @classmethod
    def choose(cls, *, full: bool = False, epochs: int | None = None, **changes: Any) -> Self:
        """A quarter of the sensor, or the published set at full size; None stands for unchanged.

        Raises:
            InputError: an impossible value, named.
        """
        values: dict[str, Any] = dict(FULL) if full else {}
        values |= {name: value for name, value in changes.items() if value is not None}
        if epochs is not None:
            values["network_settings"] = {**values.get("network_settings", {}), "epochs": epochs}
        try:
            return cls(**values)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"])) or "settings"
            raise InputError(f"{name}: {first['msg']}; received {first['input']!r}; choose another value") from error

    def benchmark(self, noise: str, level: str) -> BenchmarkSet:
        """The frames of one noise and level.

        Raises:
            InputError: a shape or energy that cannot be.
        """
        return BenchmarkSet(
            noise=noise,
            level=level,
            seed=self.seed,
            shape=self.shape,
            events_per_frame=self.events_per_frame,
            energies_kev=self.energies_kev,
        )

    def area(self, noise: str) -> float:
        """Share of the area that is discarded where methods are compared; white noise is the easier one."""
        return max(self.discarded, WHITE_DISCARDED) if noise == "white" else self.discarded

    def count(self, split: str) -> int:
        """Frames of a split, by the names of `SPLIT_OF`."""
        return int(getattr(self, split))


FULL: dict[str, Any] = {"shape": None, "train": 200, "events_per_frame": 8}


class Cell(pydantic.BaseModel):
    """One noise at one level."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    noise: Literal["realistic", "white", "ecdf"] = "realistic"
    level: Literal["mild", "nominal", "hard"] = "nominal"

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.noise if self.noise == "white" else f"{self.noise}-{self.level}"


def cells(noises: Sequence[str], levels: Sequence[str]) -> list[Cell]:
    """All combinations, each once; white noise has one level."""
    found = {}
    for noise in noises:
        for level in levels:
            cell = Cell.model_validate({"noise": noise, "level": "nominal" if noise == "white" else level})
            found[cell.name] = cell
    return list(found.values())
