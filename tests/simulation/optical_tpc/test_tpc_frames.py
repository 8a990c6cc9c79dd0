from __future__ import annotations

import subprocess
import sys
import types

import numpy as np
import pytest
from scipy import ndimage

from particle_zoo import InputError
from particle_zoo.simulation.optical_tpc import (
    EVENT_COLUMNS,
    SPLITS,
    BenchmarkSet,
    CameraNoise,
    SimulatedFrame,
    benchmark_set,
    frames,
    pedestals,
)

SHAPE = (420, 500)
LOW = {"shape": SHAPE, "energies_kev": (1.0, 5.9), "classes": ("point", "nr", "er"), "events_per_frame": 6}


@pytest.fixture(scope="module")
def lit() -> list[SimulatedFrame]:
    """Six frames of 36 events, all of them seen."""
    return list(frames("lime", "white", n=6, seed=1, **LOW))


@pytest.fixture(scope="module")
def cut() -> list[SimulatedFrame]:
    """Fifteen frames of 90 events behind the shutter, in a frame of which they fill much of the rows."""
    return list(frames("lime", "white", n=15, seed=2, shutter=True, **LOW))


def test_counts_are_the_dark_frame_and_the_drawn_light(lit: list[SimulatedFrame]) -> None:
    dark = pedestals("lime", "white", n=6, seed=1, shape=SHAPE)
    for frame, pedestal in zip(lit, dark, strict=True):
        assert (frame.counts.dtype, frame.signal.dtype, frame.drawn.dtype, frame.instance.dtype) == (
            np.uint16, np.float32, np.int32, np.int32,
        )  # fmt: skip
        difference = frame.counts.astype(int) - pedestal - frame.drawn
        # A sum in single precision may round the other way.
        assert np.abs(difference).max() <= 1
        assert (difference != 0).mean() < 1e-4
        assert frame.drawn.sum() == frame.events["integral_after"].sum()
        # Whole photo-electrons cut to whole counts lose some per cent.
        assert 0.9 < frame.drawn.sum() / frame.signal.sum() < 1


def test_events_do_not_touch_and_lie_where_the_table_says(lit: list[SimulatedFrame]) -> None:
    for frame in lit:
        assert tuple(frame.events.columns) == EVENT_COLUMNS
        assert frame.events["id"].tolist() == [1, 2, 3, 4, 5, 6]
        assert not frame.events["cut"].any()
        mask = frame.mask(3.3)
        parts, _ = ndimage.label(ndimage.binary_dilation(mask, iterations=2))
        for event in frame.events.itertuples():
            mine = frame.instance == event.id
            assert frame.drawn[mine].sum() == pytest.approx(event.integral_after, rel=0.005)
            row, col = ndimage.center_of_mass(frame.signal * mine)
            assert row + 0.5 == pytest.approx(event.row, abs=3)
            assert col + 0.5 == pytest.approx(event.col, abs=3)
            assert event.row == pytest.approx(event.y_mm * 2304 / 346 + SHAPE[0] / 2)
            assert event.col == pytest.approx(event.x_mm * 2304 / 346 + SHAPE[1] / 2)
            # No part of the mask belongs to two events.
            for part in np.unique(parts[mine & mask]):
                assert set(np.unique(frame.instance[(parts == part) & mask])) == {event.id}


def test_masks(lit: list[SimulatedFrame]) -> None:
    frame = lit[0]
    np.testing.assert_array_equal(frame.mask(3.3), frame.signal > np.float32(1.65))
    sigma = np.full(SHAPE, 3.3, np.float32)
    sigma[:, :250] = 1e6
    assert not frame.mask(sigma)[:, :250].any()
    np.testing.assert_array_equal(frame.mask(sigma)[:, 250:], frame.mask(3.3)[:, 250:])
    np.testing.assert_array_equal(frame.any_count(), frame.drawn > 0)
    assert not (frame.mask(3.3) & (frame.instance == 0)).any()
    for wrong in (0.0, np.ones((3, 3)), -sigma):
        with pytest.raises(InputError, match="sigma must be counts above 0"):
            frame.mask(wrong)


def test_kinds_are_dealt_out_evenly(lit: list[SimulatedFrame]) -> None:
    """3 classes, 2 energies and 3 drifts: 18 kinds, each once in three frames of six."""
    for first in (0, 3):
        kinds = [
            (e[2], round(e[3], 3), round(e[6])) for frame in lit[first : first + 3] for e in frame.events.itertuples()
        ]
        assert len(set(kinds)) == 18
        assert {z for _, _, z in kinds} == {50, 250, 450}


def test_one_frame_does_not_depend_on_the_others(lit: list[SimulatedFrame]) -> None:
    run = frames("lime", "white", n=1, seed=1, start=4, **LOW)
    assert isinstance(run, types.GeneratorType)
    alone = next(run)
    assert alone.number == lit[4].number == 4
    for name in ("counts", "signal", "drawn", "instance"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(lit[4], name))
    assert alone.events.equals(lit[4].events)
    other = next(frames("lime", "white", n=1, seed=2, start=4, **LOW))
    assert not np.array_equal(other.drawn, alone.drawn)


def test_the_shutter_takes_events_and_the_truth_knows(cut: list[SimulatedFrame]) -> None:
    """Of all times a row is exposed at 62 %."""
    events = [event for frame in cut for event in frame.events.itertuples()]
    assert all(0 <= event.time_ms <= 484.4 for event in events)
    seen = [event.integral_after > 0 for event in events]
    assert np.mean(seen) == pytest.approx(0.62, abs=4 * np.sqrt(0.62 * 0.38 / len(events)))
    for event in events:
        assert event.cut == (event.integral_after < event.integral_before)
        # Rows of the sensor, of which the frame is the middle; the shutter passes 12.5 of them in a millisecond.
        row = event.row + (2304 - SHAPE[0]) / 2
        opened, closed = row / 2304 * 184.4, row / 2304 * 184.4 + 300
        if min(abs(event.time_ms - opened), abs(event.time_ms - closed)) > 4:
            exposed = opened < event.time_ms < closed
            assert event.integral_after == (event.integral_before if exposed else 0)
    for frame in cut:
        assert frame.drawn.sum() == frame.events["integral_after"].sum()
        gone = frame.events.loc[frame.events["integral_after"] == 0, "id"]
        assert not np.isin(frame.instance[frame.mask(3.3)], gone).any()


def test_realistic_noise_has_the_shutter_and_white_has_not() -> None:
    for noise, expected in (("white", False), ("realistic", True)):
        frame = next(frames("lime", noise, n=1, seed=3, **LOW))
        assert frame.events["time_ms"].notna().all() == expected


def test_all_classes_and_cameras_make_frames() -> None:
    noise = CameraNoise("white", camera="quest", shape=(600, 900), seed=4)
    frame = next(
        frames("quest", noise, n=1, seed=4, shape=(600, 900), energies_kev=(2,), z_cm=(25,), events_per_frame=5,
               classes=("point", "nr", "er", "mip", "alpha"))
    )  # fmt: skip
    table = frame.events.set_index("class")
    assert sorted(table.index) == ["alpha", "er", "mip", "nr", "point"]
    assert table.loc["alpha", "energy_kev"] == pytest.approx(5500)
    assert 4 < table.loc["mip", "energy_kev"] < 30
    assert table.loc["alpha", "integral_after"] > 20 * table.loc["mip", "integral_after"]
    assert frame.shape == (600, 900)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "lyme"}, "preset must be one of"),
        ({"noise": "pink"}, "noise must be one of"),
        ({"level": "soft"}, "level must be one of"),
        ({"n": 0}, "n must be a whole number of 1"),
        ({"seed": -1}, "seed"),
        ({"events_per_frame": 0}, "events_per_frame must be"),
        ({"energies_kev": (1, -2)}, "energies_kev must be a number above 0"),
        ({"energies_kev": ()}, "received none"),
        ({"energies_kev": "5.9"}, "list of numbers"),
        ({"z_cm": (60,)}, "z_cm must be a number above 0, 50 at most; received 60"),
        ({"classes": ("er", "muon")}, "class must be one of .*received 'muon'"),
        ({"classes": "er"}, "classes must be a list"),
        ({"shape": (4, 4)}, "8 or more"),
        ({"noise": CameraNoise("white", shape=(30, 30))}, "noise must have the frame's shape"),
    ],
)
def test_impossible_frames(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        frames(**{"preset": "lime", "noise": "white", "n": 1, "seed": 0, "shape": (64, 64), **options})  # type: ignore[arg-type]


def test_a_frame_that_is_too_small_says_so() -> None:
    with pytest.raises(InputError, match=r"room for a track; received 40 x 40 px.*nr of 5\.9 keV"):
        list(frames("lime", "white", n=1, seed=0, shape=(40, 40), energies_kev=(5.9,), z_cm=(45,), classes=("nr",)))
    with pytest.raises(InputError, match="room for 20 separate events"):
        list(
            frames(
                "lime", "white", n=1, seed=0, shape=(90, 90), energies_kev=(1,), classes=("point",), events_per_frame=20
            )
        )
    with pytest.raises(InputError, match=r"z = 0.01 cm for alpha"):
        list(frames("lime", "white", n=1, seed=0, z_cm=(0.01,), classes=("alpha",), shape=(400, 400)))


def test_the_benchmark_is_fixed_by_its_seed() -> None:
    small = BenchmarkSet(noise="realistic", seed=7, shape=(128, 128), events_per_frame=1, energies_kev=(1.0, 5.9))
    assert small.name == "lime-realistic-nominal-v1-seed7"
    found = dict(small)
    assert list(found) == ["pedestal_train", "pedestal_calibration", "pedestal_test", "signal"]
    assert [small.start(name) for name in SPLITS] == [0, 200, 250, 300]
    dark = list(found["pedestal_test"])
    assert len(dark) == 50
    assert sum(1 for _ in found["pedestal_train"]) == 200
    np.testing.assert_array_equal(dark[0], small.camera_noise().frame(250))
    signal = next(found["signal"])
    assert isinstance(signal, SimulatedFrame)
    assert signal.number == 300
    again = next(BenchmarkSet(**{**small.__dict__}).split("signal", 1))
    np.testing.assert_array_equal(signal.counts, again.counts)
    other = BenchmarkSet(**{**small.__dict__, "signal_run": 1})
    assert not np.array_equal(other.camera_noise(1).hot, small.camera_noise().hot)
    np.testing.assert_array_equal(next(other.split("pedestal_test", 1)), dark[0])


def test_sizes_of_the_benchmark() -> None:
    sizes = benchmark_set("white", "mild", seed=1).sizes_bytes()
    assert sizes == {
        "pedestal_train": 200 * 2304**2 * 2,
        "pedestal_calibration": 50 * 2304**2 * 2,
        "pedestal_test": 50 * 2304**2 * 2,
        "signal": 200 * 2304**2 * 14,
    }
    frame = next(frames("lime", "white", n=1, seed=1, **LOW))
    stored = frame.counts.nbytes + frame.signal.nbytes + frame.drawn.nbytes + frame.instance.nbytes
    assert benchmark_set(shape=SHAPE).sizes_bytes()["signal"] == 200 * stored


@pytest.mark.parametrize(
    "options", [{"noise": "pink"}, {"level": "soft"}, {"seed": -1}, {"preset": "x"}, {"shape": (1, 1)}]
)
def test_impossible_benchmarks(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"received|must be"):
        benchmark_set(**options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="split must be one of"):
        benchmark_set().split("validation")
    with pytest.raises(InputError, match="has 50 frames; received n=51"):
        benchmark_set().split("pedestal_test", 51)


def test_importing_it_imports_no_framework() -> None:
    code = "import sys, particle_zoo.simulation.optical_tpc; print({'tensorflow', 'keras', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
