"""A mixture of simulated particles: the configuration that is published, and its clusters a block at a time."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pydantic

from particle_zoo.clusters import Clusters
from particle_zoo.data import splits
from particle_zoo.errors import InputError

VERSION = 1
"""Raised whenever the simulation or the mixing changes what a configuration gives."""

PRIMARIES = 10**9
"""More than a block has: the factor that makes the numbers of primaries unique over all blocks."""

_STRICT = pydantic.ConfigDict(extra="forbid", frozen=True)


class Component(pydantic.BaseModel):
    """One kind of particle in a mixture.

    Args:
        share: of the clusters, relative to the others.
        spectrum: name of a spectrum in `spectra.yaml`, or the fields of a `particle_zoo.simulation.spectra.Spectrum`.
    """

    model_config = _STRICT

    share: float = pydantic.Field(gt=0)
    spectrum: str | dict[str, Any]


class Flat(pydantic.BaseModel):
    """Down-sampling to equally many clusters in each interval of sizes; see `particle_zoo.pipelines.balance`.

    Args:
        per_octave: intervals a factor of two in size.
        least: an interval with fewer clusters in all splits together is left out.
        most: no interval keeps more than this in all splits together; memory is this many numbers an interval.
    """

    model_config = _STRICT

    per_octave: int = pydantic.Field(1, ge=1)
    least: int = pydantic.Field(100, ge=1)
    most: int = pydantic.Field(100_000, ge=1)


def _flat(value: Any) -> Any:
    return Flat() if value is True else None if value is False else value


Balanced = Annotated[Flat | None, pydantic.BeforeValidator(_flat)]
"""`Flat`; true stands for its defaults, false for None."""


class Mix(pydantic.BaseModel):
    """A mixture of particles in one sensor.

    Args:
        description: one line.
        preset: of the sensor.
        sensor: settings that differ from the preset's.
        seed: of the mixture; particle k of block b is simulated with seed + b * (number of particles) + k.
        clusters: in all, before `balanced`.
        block: clusters simulated and mixed at a time.
        rate_hz: clusters a second on the whole sensor; None where nothing measures time.
        balanced: flatten the sizes of the clusters in each split, by these settings or (true) the defaults.
        particles: by name.
    """

    model_config = _STRICT

    description: str
    preset: str
    sensor: dict[str, Any] = {}
    seed: int = pydantic.Field(ge=0)
    clusters: int = pydantic.Field(ge=1)
    block: int = pydantic.Field(3200, ge=1)
    rate_hz: float | None = pydantic.Field(None, gt=0)
    balanced: Balanced = None
    particles: dict[str, Component]

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.clusters // self.block)

    def size_of(self, number: int) -> int:
        """Clusters of a block; the last one may have fewer."""
        return min(self.block, self.clusters - number * self.block)

    def counts(self, n: int) -> list[int]:
        """How many of n clusters each particle gives: the shares, rounded by largest remainder."""
        shares = np.array([component.share for component in self.particles.values()])
        exact = shares / shares.sum() * n
        counts = np.floor(exact).astype(int)
        # Equal remainders go to the particle that is named first.
        largest = np.argsort(counts - exact, kind="stable")
        counts[largest[: n - counts.sum()]] += 1
        return [int(count) for count in counts]


def read(path: Path) -> dict[str, Mix]:
    """Mixtures of a YAML file, by name.

    Raises:
        InputError: a setting that is unknown, missing or cannot be.
    """
    import yaml

    try:
        return {name: Mix(**values) for name, values in yaml.safe_load(path.read_text()).items()}
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}; correct it") from error


def published(mix: Mix) -> dict[str, Any]:
    """Everything a mixture depends on, spectra and sensor written out: what its clusters can be reproduced from.

    Returns:
        Plain values, as JSON and YAML have them.
    """
    from particle_zoo.simulation.particles import particle

    sensor = asdict(_sensor(mix))
    particles = {}
    for name, component in mix.particles.items():
        spectrum = _spectrum(component.spectrum, particle(name))
        particles[name] = {"share": component.share, **_law(asdict(spectrum))}
    kept = {key: value for key, value in mix.model_dump().items() if key not in ("description", "sensor", "particles")}
    whole: dict[str, Any] = json.loads(
        json.dumps({**kept, "sensor": sensor, "particles": particles, "version": VERSION}, default=float)
    )
    return whole


def printed(mix: Mix) -> str:
    """`published` as YAML, for the README of a data set."""
    import yaml

    return str(yaml.safe_dump(published(mix), sort_keys=False, default_flow_style=None, width=110))


def simulate(mix: Mix, number: int) -> Clusters:
    """The clusters of a block, mixed, with their split.

    Primaries come in random order or, with a rate, at random times: a block covers the time its clusters take at this
    rate, and its primaries arrive in it independently of each other. Each is simulated on its own, so none overlap.

    Args:
        mix: the mixture.
        number: of the block, from 0.

    Returns:
        Clusters as of `particle_zoo.simulate`, with a column `in_split`. `primary` is unique over all blocks.
    """
    from particle_zoo.simulation import iter_simulate
    from particle_zoo.simulation.particles import particle

    # By name where it can be, as in a simulation by hand: the name goes into the ids.
    sensor, size = _sensor(mix) if mix.sensor else mix.preset, mix.size_of(number)
    parts = []
    for k, (name, count) in enumerate(zip(mix.particles, mix.counts(size), strict=True)):
        if not count:
            continue
        own = number * len(mix.particles) + k
        spectrum = _spectrum(mix.particles[name].spectrum, particle(name))
        seed = mix.seed + own
        found = Clusters.concat(iter_simulate(sensor, particle=name, n=count, seed=seed, spectrum=spectrum))
        primary = found.table["primary"].to_numpy()
        parts.append(found.with_table(primary=own * PRIMARIES + primary, in_split=splits.assign_groups(primary, seed)))
    whole = Clusters.concat(parts)
    rng = np.random.default_rng((mix.seed, number))
    _, inverse = np.unique(whole.table["primary"], return_inverse=True)
    turn = rng.random(int(inverse.max()) + 1)[inverse]
    if mix.rate_hz is not None:
        whole = _at(whole, (number * mix.block + size * turn) / mix.rate_hz * 1e9)
    return whole[np.argsort(turn, kind="stable")]


def _at(clusters: Clusters, start_ns: np.ndarray) -> Clusters:
    from particle_zoo.detectors.hits import STEP_NS

    # Whole clock steps, so that the times stay what the clock can measure.
    shift = STEP_NS * np.round((start_ns - clusters.table["time_ns"].to_numpy()) / STEP_NS)
    hits = clusters.hits.copy()
    hits[:, clusters.columns.index("toa")] += np.repeat(shift, clusters.sizes)
    table = clusters.table.assign(time_ns=clusters.table["time_ns"] + shift)
    return Clusters(hits, clusters.columns, clusters.offsets, table, clusters.unit)


def _sensor(mix: Mix) -> Any:
    from particle_zoo.simulation.sensor import preset

    return preset(mix.preset).with_(**mix.sensor)


def _spectrum(given: str | dict[str, Any], kind: Any) -> Any:
    from particle_zoo.simulation.spectra import Shield, Spectrum, named

    if isinstance(given, str):
        return named(given, kind)
    values = dict(given)
    shield = values.pop("shield", None)
    return Spectrum(**values, shield=Shield(**shield) if shield else None)


def _law(spectrum: dict[str, Any]) -> dict[str, Any]:
    """What a spectrum uses of its fields."""
    from particle_zoo.simulation.spectra import NUMBERS

    return {name: spectrum[name] for name in ("law", *NUMBERS[spectrum["law"]], "angles", "shield")}
