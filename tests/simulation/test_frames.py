from __future__ import annotations

import numpy as np
import pytest

from particle_zoo import InputError
from particle_zoo.detectors.clustering import cluster
from particle_zoo.simulation.ccd import CCD, CHUNK, generate
from particle_zoo.simulation.ccd_events import KINDS, Events
from particle_zoo.simulation.frames import frame
from particle_zoo.simulation.sensor import TIMEPIX_300UM, SensorConfig
from particle_zoo.simulation.tracks import Deposits

SMALL = CCD.with_(shape=(600, 500))

CELL = 20


def fe55(_: np.random.Generator, n: int, sensor: SensorConfig) -> Events:
    """Events of 5.9 keV in one place each, 200 um deep, in the middle of one cell of a grid after the other."""
    row, col = np.divmod(np.arange(n), sensor.shape[1] // CELL)
    position = sensor.pitch_um * CELL * np.stack([col + 0.5, row + 0.5])
    position = np.stack([*position, np.full(n, 200.0)])
    truth = {name: np.zeros(n) for name in ("energy_mev", "theta", "phi")} | {"x": position[0], "y": position[1]}
    return Deposits(np.arange(n), position, np.full(n, 5.9), np.zeros(n)), truth


IMPOSSIBLE_MIXES: list[dict[str, object]] = [
    {"mix": {"quark": 1.0}},
    {"mix": {"xray": -1.0}},
    {"mix": {"xray": 0.0}},
    {"mix": {"xray": float("nan")}},
    {"mix": {"xray": "much"}},
    {"mix": {}},
    {"mix": ["xray"]},
]


def test_noise_dark_charge_and_gain() -> None:
    """An empty frame: the pedestal, the readout noise of 2 e- and the Poisson law of the dark charge."""
    image, truth = frame(0, seed=1, sensor=SMALL, dark_e=4.0, hot_columns=0)
    electron = CCD.gain_adu_per_kev * CCD.pair_ev * 1e-3
    assert len(truth) == 0
    assert (image.mean() - CCD.pedestal_adu) / electron == pytest.approx(4.0, abs=0.05)
    assert image.std() / electron == pytest.approx(np.hypot(CCD.noise_kev / (CCD.pair_ev * 1e-3), 2.0), rel=0.02)


def test_number_of_events_is_poisson() -> None:
    counts = [len(frame(6, seed, sensor=SMALL, mix={"xray": 1.0}, hot_columns=0)[1]) for seed in range(40)]
    assert np.mean(counts) == pytest.approx(6, abs=5 * np.sqrt(6 / 40))
    assert 2 < np.var(counts) < 14


def test_clusters_lie_where_the_truth_says() -> None:
    image, truth = frame(30, seed=2, sensor=SMALL, mix={"xray": 1.0}, hot_columns=0)
    found = cluster(image)
    assert 0.6 * len(truth) < len(found) <= len(truth)
    row = np.add.reduceat(found.column("row"), found.offsets[:-1]) / found.sizes
    col = np.add.reduceat(found.column("col"), found.offsets[:-1]) / found.sizes
    distance = np.hypot(row[:, None] - truth["entry_row"].to_numpy(), col[:, None] - truth["entry_col"].to_numpy())
    assert np.median(distance.min(1)) < 2


def test_resolution_is_fanos_in_frames_and_in_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    """5.9 keV without noise: both ways of reading the sensor spread by sqrt(F N) electrons, not by Poisson's sqrt(N)."""
    monkeypatch.setitem(KINDS, "xray", fe55)
    silent = SMALL.with_(noise_kev=0.0, threshold_kev=0.0, pedestal_adu=0.0, min_size=1)
    electron = silent.gain_adu_per_kev * silent.pair_ev * 1e-3
    clusters = generate(800, 1, mix={"xray": 1.0}, sensor=silent)
    in_clusters = clusters.table["energy_sum"].to_numpy() / electron
    sums = []
    for seed in range(5):
        image, truth = frame(150, seed, mix={"xray": 1.0}, sensor=silent, dark_e=0.0, hot_columns=0)
        assert len(truth) <= CHUNK
        cells = image.reshape(600 // CELL, CELL, 500 // CELL, CELL).sum((1, 3), dtype=np.float64).ravel() / electron
        sums.append(cells[: len(truth)])
    in_frames = np.concatenate(sums)
    pairs = 5900 / silent.pair_ev
    for electrons in (in_clusters, in_frames):
        assert electrons.mean() == pytest.approx(pairs, abs=5 * np.sqrt(silent.fano * pairs / 700))
        # The spread of 700 draws is known to 2.7 %.
        assert electrons.std() == pytest.approx(np.sqrt(silent.fano * pairs), rel=4 * 0.027)


def test_hot_columns_are_brighter_from_a_random_row_on() -> None:
    """Without noise: exactly the given number of columns, each brighter by one step from its row down to the end."""
    silent = SMALL.with_(noise_kev=0.0)
    firsts = []
    for seed in range(20):
        image, _ = frame(0, seed, sensor=silent, dark_e=0.0, hot_columns=10)
        above = image - np.float32(silent.pedestal_adu)
        hot = np.flatnonzero(above.any(0))
        assert len(hot) == 10
        for column in above[:, hot].T:
            first = int(np.flatnonzero(column)[0])
            assert (column[:first] == 0).all()
            assert (column[first:] == column[-1]).all()
            assert column[-1] > 0
            firsts.append(first)
    # Uniform over the 600 rows.
    assert np.mean(firsts) == pytest.approx(300, abs=5 * 600 / np.sqrt(12 * len(firsts)))
    assert np.std(firsts) == pytest.approx(600 / np.sqrt(12), rel=0.15)


def test_equal_seeds_give_equal_frames() -> None:
    np.testing.assert_array_equal(frame(5, 1, sensor=SMALL)[0], frame(5, 1, sensor=SMALL)[0])
    assert not np.array_equal(frame(5, 1, sensor=SMALL)[0], frame(5, 2, sensor=SMALL)[0])


@pytest.mark.parametrize(
    "options",
    [
        {"mean_events": -1},
        {"mean_events": float("nan")},
        {"mean_events": "many"},
        {"mean_events": 1e30},
        {"dark_e": -0.1},
        {"hot_columns": -1},
        {"hot_columns": 2.5},
        {"hot_columns": 501},
        {"seed": -1},
        {"seed": 0.5},
        {"sensor": TIMEPIX_300UM},
        *IMPOSSIBLE_MIXES,
    ],
)
def test_impossible_frames(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="received"):
        frame(**{"mean_events": 1, "seed": 0, "sensor": SMALL, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("options", IMPOSSIBLE_MIXES)
def test_labelled_clusters_refuse_the_mixes_that_frames_refuse(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="received"):
        generate(1, 0, **options)  # type: ignore[arg-type]


def test_a_sensor_smaller_than_a_hot_column_is_simulated() -> None:
    image, _ = frame(5, 0, mix={"other": 1.0}, sensor=CCD.with_(shape=(20, 10)), hot_columns=10)
    assert image.shape == (20, 10)
