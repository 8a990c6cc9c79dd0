"""From charge on pixels to what the chip reports, and back to calibrated keV."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from particle_zoo.simulation.charge import Charge
from particle_zoo.simulation.sensor import SensorConfig

Rng = np.random.Generator

TICK_NS = 25.0
"""Clock of the ToT counter."""


@dataclass(frozen=True)
class Pixels:
    """k pixels over threshold, sorted by event, row and column.

    Args:
        event: (k,) int64; rising.
        row: (k,) int64.
        col: (k,) int64.
        energy: calibrated keV, ADU for a CCD, 1 in a ToA measurement of Timepix.
        toa_ns: float64, a multiple of the time bin; NaN where the chip does not tell.
        tot: counter value; 0 where the chip does not tell.
    """

    event: np.ndarray
    row: np.ndarray
    col: np.ndarray
    energy: np.ndarray
    toa_ns: np.ndarray
    tot: np.ndarray


def front_end(energy_kev: np.ndarray, sensor: SensorConfig) -> np.ndarray:
    """What the analogue front end makes of a pixel's charge: the reading overshoots, then saturates ("volcano").

    Between the two energies of `volcano_kev` the gain rises up to 1 + `volcano_gain`; above, the reading falls from
    there to the upper energy within another such interval and stays, so that the middle of a heavy cluster reads less
    than its rim.
    """
    if not sensor.saturation:
        return energy_kev
    low, high = sensor.volcano_kev
    rise = np.clip((energy_kev - low) / (high - low), 0, 1)
    fall = np.clip((energy_kev - high) / (high - low), 0, 1)
    return np.minimum(energy_kev, high) * (1 + sensor.volcano_gain * rise * (1 - fall))


def read_out(charge: Charge, sensor: SensorConfig, rng: Rng, start_ns: np.ndarray | None = None) -> Pixels:
    """Add noise, apply the threshold, digitise.

    Args:
        charge: of the pixels.
        sensor: sensor and electronics.
        rng: source of randomness.
        start_ns: arrival of each event's particle; 0 without it.
    """
    if sensor.chip == "ccd":
        return _read_ccd(charge, sensor, rng)
    n = len(charge.energy)
    pair_kev = sensor.pair_ev * 1e-3
    width = np.sqrt(sensor.noise_kev**2 + sensor.fano * pair_kev * charge.energy)
    analogue = charge.energy * (1 + sensor.gain_spread * rng.standard_normal(n)) + width * rng.standard_normal(n)
    analogue = front_end(analogue, sensor)
    hit = analogue >= sensor.threshold_kev
    event, row, col, analogue = charge.event[hit], charge.row[hit], charge.col[hit], analogue[hit]
    # The phase of the clock is random, so a ToT is rounded up or down by chance.
    tot = np.floor(sensor.calibration.tot(analogue) + rng.random(len(analogue)))
    tot = np.maximum(tot, 1)
    if sensor.saturation:
        tot = np.minimum(tot, 2**sensor.tot_bits - 1)
    energy = np.maximum(sensor.calibration.energy(tot), sensor.threshold_kev)
    toa = np.full(len(tot), np.nan)
    if sensor.readout in ("toa", "tot+toa"):
        delay, decay = sensor.timewalk
        time = charge.drift_ns[hit] + delay * np.exp(decay * TICK_NS * tot)
        if start_ns is not None:
            time += start_ns[event]
        toa = np.ceil(time / sensor.toa_bin_ns) * sensor.toa_bin_ns
    if sensor.readout == "toa":
        energy, tot = np.ones_like(energy), np.zeros_like(tot)
    return Pixels(event, row, col, energy, toa, tot.astype(np.int64))


def ionise(charge: Charge, sensor: SensorConfig, rng: Rng) -> np.ndarray:
    """Draw the electrons of each pixel (float64, not whole numbers): their sum over an event has the sensor's Fano factor.

    Args:
        charge: of the pixels.
        sensor: its energy an electron-hole pair and Fano factor apply.
        rng: source of randomness.
    """
    pairs = charge.energy / (sensor.pair_ev * 1e-3)
    shared = rng.poisson(pairs).astype(float)
    # Sharing fluctuates pixel by pixel, the sum only by Fano's law: scale each event to it.
    total, drawn = np.bincount(charge.event, pairs), np.bincount(charge.event, shared)
    wanted = np.maximum(total + np.sqrt(sensor.fano * total) * rng.standard_normal(len(total)), 0)
    return shared * np.divide(wanted, drawn, out=np.zeros_like(drawn), where=drawn > 0)[charge.event]


def _read_ccd(charge: Charge, sensor: SensorConfig, rng: Rng) -> Pixels:
    electrons = ionise(charge, sensor, rng)
    noise = sensor.noise_kev * rng.standard_normal(len(electrons))
    energy = electrons * (sensor.pair_ev * 1e-3) + noise
    adu = sensor.pedestal_adu + sensor.gain_adu_per_kev * energy
    hit = adu >= sensor.pedestal_adu + sensor.gain_adu_per_kev * sensor.threshold_kev
    nothing = np.full(int(hit.sum()), np.nan)
    return Pixels(
        charge.event[hit], charge.row[hit], charge.col[hit], adu[hit], nothing, np.zeros(len(nothing), np.int64)
    )
