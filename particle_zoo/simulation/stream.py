"""Timepix3 hit streams: particles at a rate, pixels that are busy while they count, hits in time order."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from particle_zoo.detectors.hits import STEP_NS, Hits
from particle_zoo.errors import InputError
from particle_zoo.simulation.charge import collect
from particle_zoo.simulation.generate import check_count, deposits_of, primaries
from particle_zoo.simulation.particles import particle as particle_of
from particle_zoo.simulation.readout import TICK_NS, read_out
from particle_zoo.simulation.sensor import SensorConfig, preset
from particle_zoo.simulation.spectra import Spectrum, check_angles, resolve

CHUNK = 8000
"""Primaries simulated at a time."""


def stream(
    sensor: str | SensorConfig = "timepix3_500um",
    *,
    particle: str,
    n: int,
    rate_hz: float,
    seed: int,
    energy_mev: float | None = None,
    spectrum: Spectrum | str | None = None,
    angles: str = "normal",
) -> Iterator[Hits]:
    """Yield the hits of n primaries that arrive at random, in time order over all parts.

    A pixel that still counts the ToT of one hit adds the charge of the next to it, and the second time is lost
    (pile-up); with `saturation` the counter stops at its last value, the pixel stays busy. Particles that overlap in
    time and place stay overlapped; separating them is up to the clustering.

    Args:
        sensor: a Timepix3 preset or configuration.
        particle: as in `simulate`.
        n: number of primaries that reach the sensor.
        rate_hz: their mean rate on the whole sensor.
        seed: equal arguments give equal streams.
        energy_mev: as in `simulate`.
        spectrum: as in `simulate`.
        angles: as in `simulate`.

    Yields:
        `Hits` in ToT.

    Raises:
        InputError: a rate that is not positive, a sensor that does not measure ToT with ToA, or what `simulate` refuses.
    """
    config = preset(sensor)
    if config.readout != "tot+toa":
        raise InputError(
            f"a hit stream needs ToT and ToA of every hit, as timepix3_500um; received readout {config.readout}"
        )
    if not (isinstance(rate_hz, (int, float)) and 0 < rate_hz < math.inf):
        raise InputError(f"the rate must be positive, in particles a second; received {rate_hz!r}")
    check_count(n, seed)
    kind = particle_of(particle)
    found = resolve(kind, energy_mev, spectrum)
    check_angles(angles)
    law = angles if angles != "normal" or found.angles is None else found.angles
    pending: Hits | None = None
    clock = 0.0
    for number, first in enumerate(range(0, n, CHUNK)):
        rng = np.random.default_rng((seed, number))
        size = min(CHUNK, n - first)
        start_ns = clock + np.cumsum(rng.exponential(1e9 / rate_hz, size))
        clock = float(start_ns[-1])
        tracks = primaries(rng, kind, found, law, config, size).tracks
        pixels = read_out(collect(deposits_of(rng, kind, tracks, config), config), config, rng, start_ns)
        hits = Hits.from_ns(pixels.row, pixels.col, pixels.tot, pixels.toa_ns)
        joined = pile_up((hits if pending is None else Hits.concat([pending, hits])).sorted())
        # Hits a later particle may still add to wait for the next chunk.
        ends = joined.time_ns + TICK_NS * joined.energy
        waits = ends >= clock
        # One that waits holds back everything after it, so that the parts stay in order.
        cut = int(np.argmax(waits)) if waits.any() else len(joined)
        if cut:
            yield _counted(joined[:cut], config)
        pending = joined[cut:]
    if pending is not None and len(pending):
        yield _counted(pending, config)


def _counted(hits: Hits, sensor: SensorConfig) -> Hits:
    if not sensor.saturation:
        return hits
    tot = np.minimum(hits.energy, 2**sensor.tot_bits - 1)
    return Hits(hits.row, hits.col, tot, hits.toa, unit=hits.unit, gaps=hits.gaps)


def pile_up(hits: Hits) -> Hits:
    """Merge hits of one pixel that arrive while it still counts; ToT add up and the first time stays.

    Args:
        hits: in ToT, in time order.

    Returns:
        Hits in time order.
    """
    row, col, toa, tot = hits.row, hits.col, hits.toa, hits.energy.astype(np.float64)
    pixel = (row.astype(np.int64) << 32) + col
    order = np.lexsort((toa, pixel))
    pixel, toa, tot, row, col = pixel[order], toa[order], tot[order], row[order], col[order]
    while len(pixel) > 1:
        busy = toa[:-1] + tot[:-1] * (TICK_NS / STEP_NS)
        late = np.flatnonzero((pixel[1:] == pixel[:-1]) & (toa[1:] < busy)) + 1
        # Of a chain only the first pair at a time: merging lengthens the ToT of the first.
        late = late[~np.isin(late - 1, late)]
        if not len(late):
            break
        tot[late - 1] += tot[late]
        pixel, toa, tot, row, col = (np.delete(values, late) for values in (pixel, toa, tot, row, col))
    order = np.argsort(toa, kind="stable")
    return Hits(row[order], col[order], tot[order].astype(np.float32), toa[order], unit=hits.unit, gaps=hits.gaps)
