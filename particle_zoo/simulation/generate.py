"""The pipeline: primaries, deposits, charge, readout, clusters - in chunks, so that memory does not grow with n."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from particle_zoo.clusters import MASK_UNIT, Clusters
from particle_zoo.detectors.clustering.union_find import by_component, components
from particle_zoo.errors import InputError
from particle_zoo.simulation import photons
from particle_zoo.simulation.charge import collect
from particle_zoo.simulation.particles import ELECTRON, Particle, particle
from particle_zoo.simulation.readout import Pixels, read_out
from particle_zoo.simulation.sensor import SensorConfig, preset
from particle_zoo.simulation.spectra import Spectrum, check_angles, directions, resolve
from particle_zoo.simulation.tracks import Deposits, Limits, Tracks, concat_deposits, limits
from particle_zoo.simulation.transport import deposit_all

Rng = np.random.Generator

CHUNK = 10_000
"""Most primaries simulated at a time."""

SPACING_NS = 1e5
"""Mean time between the primaries of `simulate`: so long that they do not pile up."""

BARREN = 20_000
"""Primaries without any cluster after which a simulation gives up."""

TRUTH = (
    "primary",
    "particle",
    "energy_mev",
    "entry_energy_mev",
    "theta",
    "phi",
    "entry_row",
    "entry_col",
    "time_ns",
    "deposited_kev",
    "n_pixels_before_threshold",
    "split",
)
"""Truth columns of the table, one row a cluster.

`primary` counts the simulated primaries, `energy_mev` is kinetic, before any shield; `entry_energy_mev`, `theta` (0 is
normal) and `phi` (from the columns to the rows), both in degrees, and `entry_row`, `entry_col` (pixels, whole numbers at
the edges) are taken where it enters the sensor. `deposited_kev`, `n_pixels_before_threshold` (pixels with at least one
electron-hole pair) and `split` (its parts are several clusters) belong to the primary.
"""


@dataclass(frozen=True)
class Primaries:
    """n primaries at the sensor's face: tracks (event = 0..n-1) and energies (keV) before the shield."""

    tracks: Tracks
    energy: np.ndarray


def box_of(sensor: SensorConfig) -> Limits:
    """The sensor as a box with step lengths that suit its pixels."""
    return limits((*sensor.width_um, sensor.thickness_um), sensor.pitch_um)


def primaries(rng: Rng, kind: Particle, spectrum: Spectrum, angles: str, sensor: SensorConfig, n: int) -> Primaries:
    """Draw n primaries that reach the sensor.

    Raises:
        InputError: the shield stops practically all of them.
    """
    energy, behind, way = (np.empty(0), np.empty(0), np.empty((3, 0)))
    for _ in range(200):
        drawn = spectrum.sample(rng, n)
        direction = directions(rng, angles, n)
        left = drawn
        if spectrum.shield is not None:
            left, direction = spectrum.shield.cross(rng, kind, drawn, direction)
        through = left > 1.0
        energy = np.concatenate([energy, drawn[through]])
        behind = np.concatenate([behind, left[through]])
        way = np.concatenate([way, direction[:, through]], axis=1)
        if len(energy) >= n:
            break
    else:
        raise InputError(
            f"the shield stops practically every {kind.name} of this spectrum; raise the energies or thin the shield"
        )
    width, height = sensor.width_um
    start = np.stack([rng.uniform(0, width, n), rng.uniform(0, height, n), np.full(n, sensor.thickness_um)])
    return Primaries(Tracks(np.arange(n), start, way[:, :n], behind[:n]), energy[:n])


def deposits_of(rng: Rng, kind: Particle, tracks: Tracks, sensor: SensorConfig) -> Deposits:
    """All energy deposits of primaries in the sensor."""
    box = box_of(sensor)
    if kind.family != "photon":
        return deposit_all(rng, kind, tracks, box)
    spots, electrons = photons.interact(rng, tracks, box.size)
    return concat_deposits([spots, deposit_all(rng, ELECTRON, electrons, box)]) if len(electrons) else spots


def to_clusters(pixels: Pixels, sensor: SensorConfig) -> tuple[Clusters, np.ndarray]:
    """Connected pixels of each event as clusters, and the event each cluster belongs to.

    Args:
        pixels: sorted by event, row, column.
        sensor: its smallest cluster size applies.
    """
    columns: tuple[str, ...] = ("row", "col", "energy")
    data = [pixels.row, pixels.col, pixels.energy]
    if sensor.readout in ("toa", "tot+toa"):
        columns = (*columns, "toa")
        data.append(pixels.toa_ns)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(pixels.event)) + 1, [len(pixels.event)]])
    nothing = np.empty(0, np.int64)
    label, count = components(pixels.row, pixels.col, nothing, starts, 0, *sensor.shape, True)
    order, offsets = by_component(label, count, sensor.min_size)
    hits = np.column_stack(data)[order]
    if "toa" not in columns:
        hits = hits.astype(np.float32)
    event = pixels.event[order[offsets[:-1]]]
    unit = "ADU" if sensor.readout == "adu" else MASK_UNIT if sensor.readout == "toa" else "keV"
    return Clusters(hits, columns, offsets, pd.DataFrame(index=range(len(event))), unit), event


def chunk(
    rng: Rng, kind: Particle, spectrum: Spectrum, angles: str, sensor: SensorConfig, n: int, first: int, prefix: str
) -> Clusters:
    """Clusters of n primaries, numbered from `first`; table columns id, label and `TRUTH`."""
    drawn = primaries(rng, kind, spectrum, angles, sensor, n)
    tracks = drawn.tracks
    deposits = deposits_of(rng, kind, tracks, sensor)
    charge = collect(deposits, sensor)
    start_ns = SPACING_NS * (first + np.arange(n) + rng.random(n))
    found, event = to_clusters(read_out(charge, sensor, rng, start_ns), sensor)
    parts = np.bincount(event, minlength=n)
    with_pair = charge.energy >= sensor.pair_ev * 1e-3
    before = np.bincount(charge.event[with_pair], minlength=n)
    deposited = np.bincount(deposits.event, deposits.energy, n)
    # Clusters of one primary follow each other.
    part = np.arange(len(event)) - np.searchsorted(event, event)
    width = sensor.pitch_um
    table = pd.DataFrame(
        {
            "id": [
                f"{prefix}{first + e}" if p == 0 else f"{prefix}{first + e}.{p}"
                for e, p in zip(event.tolist(), part.tolist(), strict=True)
            ],
            "label": kind.name,
            "primary": first + event,
            "particle": kind.name,
            "energy_mev": drawn.energy[event] * 1e-3,
            "entry_energy_mev": tracks.energy[event] * 1e-3,
            "theta": np.degrees(np.arccos(-tracks.direction[2, event])),
            "phi": np.degrees(np.arctan2(tracks.direction[1, event], tracks.direction[0, event])),
            "entry_row": tracks.position[1, event] / width,
            "entry_col": tracks.position[0, event] / width,
            "time_ns": start_ns[event],
            "deposited_kev": deposited[event],
            "n_pixels_before_threshold": before[event],
            "split": parts[event] > 1,
            "source": "simulation",
        }
    )
    return Clusters(found.hits, found.columns, found.offsets, table, found.unit)


def iter_clusters(
    sensor: str | SensorConfig,
    *,
    particle_name: str,
    n: int,
    seed: int,
    energy_mev: float | None = None,
    spectrum: Spectrum | str | None = None,
    angles: str = "normal",
) -> Iterator[Clusters]:
    """Yield n clusters in parts of bounded size; `simulate` describes the arguments.

    Equal arguments give equal clusters.

    Raises:
        InputError: arguments that cannot be, or primaries that leave no cluster.
    """
    name = sensor if isinstance(sensor, str) else sensor.chip
    sensor = preset(sensor)
    kind = particle(particle_name)
    check_count(n, seed)
    found = resolve(kind, energy_mev, spectrum)
    check_angles(angles)
    law = angles if angles != "normal" or found.angles is None else found.angles
    done = first = 0
    for number in itertools.count():
        size = _chunk_size(kind, sensor, number)
        if done:
            # The last one needs no more than what is missing.
            size = min(size, int(1.05 * (n - done) * first / done) + 32)
        rng = np.random.default_rng((seed, number))
        part = chunk(rng, kind, found, law, sensor, size, first, f"{name}-{kind.name}-{seed}-")
        first += size
        if not done and first >= BARREN and not len(part):
            raise no_cluster(first, kind.name, sensor)
        if len(part):
            yield part[: n - done] if len(part) > n - done else part
        done += len(part)
        if done >= n:
            return


def no_cluster(primaries: int, name: str, sensor: SensorConfig) -> InputError:
    """The error of a simulation that gives up."""
    return InputError(
        f"{primaries:,} primaries of {name} left no cluster over {sensor.threshold_kev:g} keV; "
        f"raise the energy or lower the threshold"
    )


def check_count(n: int, seed: int) -> None:
    """Check the number of clusters and the seed.

    Raises:
        InputError: n below 1, a negative seed, or one of them no whole number.
    """
    if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 1:
        raise InputError(f"n must be a number of clusters, 1 or more; received {n!r}")
    check_seed(seed)


def check_seed(seed: int) -> None:
    """Check a seed.

    Raises:
        InputError: a negative seed, or one that is no whole number.
    """
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"seed must be a whole number of 0 or more; received {seed!r}")


def _chunk_size(kind: Particle, sensor: SensorConfig, number: int) -> int:
    """Primaries of chunk `number`: few first, for small requests, then as many as are efficient."""
    # Heavy ions and small pixels mean more deposits a primary.
    share = min(sensor.pitch_um / 55, 1) ** 2 / (kind.charge**2 if abs(kind.charge) > 2 else 1)
    return max(int(share * min(CHUNK, 500 * 4**number)), 16)
