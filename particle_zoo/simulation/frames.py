"""Whole CCD frames: a Poisson number of events, dark current, readout noise and hot columns."""

from __future__ import annotations

import numpy as np
import pandas as pd

from particle_zoo.errors import InputError
from particle_zoo.simulation.ccd import CCD, CHUNK, MIX, check_mix
from particle_zoo.simulation.ccd_events import KINDS
from particle_zoo.simulation.charge import collect
from particle_zoo.simulation.generate import check_seed
from particle_zoo.simulation.readout import ionise
from particle_zoo.simulation.sensor import SensorConfig, is_number

MOST = 1e6
"""Most events of a frame, and most dark electrons of a pixel; far above what is left to see."""


def frame(
    mean_events: float,
    seed: int,
    *,
    mix: dict[str, float] | None = None,
    sensor: SensorConfig = CCD,
    dark_e: float = 0.02,
    hot_columns: int = 3,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Simulate one exposure.

    Events fall anywhere on the frame and may overlap, as real ones do. A hot column is brighter from a random row on.

    Args:
        mean_events: mean number of events; the number of a frame is Poisson.
        seed: equal arguments give equal frames.
        mix: shares of the classes, `ccd.MIX` by default.
        sensor: a CCD.
        dark_e: mean dark charge of a pixel, electrons.
        hot_columns: number of hot columns.

    Returns:
        (rows, cols) float32 ADU, and the truth: one row an event with label, energy_mev, theta, phi, entry_row,
        entry_col, deposited_kev.

    Raises:
        InputError: a number or rate that cannot be, a mix that is none, or a sensor that is no CCD.
    """
    mix = MIX if mix is None else mix
    if sensor.chip != "ccd":
        raise InputError(f"frames are simulated for a CCD; received a {sensor.chip}")
    for name, value in (("mean_events", mean_events), ("dark_e", dark_e)):
        if not (is_number(value) and 0 <= value <= MOST):
            raise InputError(f"{name} must lie in 0..{MOST:g}; received {value!r}")
    rows, cols = sensor.shape
    if not (is_number(hot_columns) and isinstance(hot_columns, (int, np.integer)) and 0 <= hot_columns <= cols):
        raise InputError(f"hot_columns must be a whole number, 0..{cols} as the sensor has; received {hot_columns!r}")
    check_seed(seed)
    shares = check_mix(mix)
    rng = np.random.default_rng((seed, 2))
    counts = rng.multinomial(rng.poisson(mean_events), shares)
    pair_kev = sensor.pair_ev * 1e-3
    electrons = rng.poisson(dark_e, sensor.shape).astype(np.float32)
    truth = []
    for kind, count in zip(mix, counts, strict=True):
        for start in range(0, int(count), CHUNK):
            deposits, told = KINDS[kind](rng, min(CHUNK, int(count) - start), sensor)
            charge = collect(deposits, sensor)
            np.add.at(electrons, (charge.row, charge.col), ionise(charge, sensor, rng).astype(np.float32))
            place = {"entry_row": told.pop("y") / sensor.pitch_um, "entry_col": told.pop("x") / sensor.pitch_um}
            deposited = np.bincount(deposits.event, deposits.energy, len(place["entry_row"]))
            truth.append(pd.DataFrame({"label": kind, **told, **place, "deposited_kev": deposited}))
    for col in rng.choice(cols, size=hot_columns, replace=False):
        # A few to a few hundred electrons a pixel; none would be no hot column.
        electrons[rng.integers(rows) :, col] += max(rng.poisson(10 ** rng.uniform(0.5, 2.5)), 1)
    electrons += rng.normal(0, sensor.noise_kev / pair_kev, sensor.shape).astype(np.float32)
    image = (sensor.pedestal_adu + sensor.gain_adu_per_kev * pair_kev * electrons).astype(np.float32)
    empty = pd.DataFrame({"label": pd.Series(dtype=str)})
    return image, pd.concat(truth, ignore_index=True) if truth else empty
