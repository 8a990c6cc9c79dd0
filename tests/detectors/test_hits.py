from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_zoo import Clusters, InputError
from particle_zoo.detectors.calibration import Surrogate
from particle_zoo.detectors.hits import Hits


def stream() -> Hits:
    return Hits(np.array([3, 1, 2]), np.array([30, 10, 20]), np.array([5, 6, 7]), np.array([900, 100, 500]), gaps=2)


def test_sorting_moves_whole_hits_and_keeps_the_gaps() -> None:
    hits = stream().sorted()
    assert hits.toa.tolist() == [100, 500, 900]
    assert (hits.row.tolist(), hits.col.tolist(), hits.energy.tolist()) == ([1, 2, 3], [10, 20, 30], [6, 7, 5])
    assert hits.gaps == 2
    assert hits.is_sorted
    assert not stream().is_sorted


@given(st.integers(0, 2**53 // 25))
def test_nanoseconds_keep_every_step_of_six_days(step: int) -> None:
    hits = Hits.from_ns([0], [0], [1], np.array([step * 1.5625]))
    assert hits.toa.tolist() == [step]
    assert hits.time_ns.tolist() == [step * 1.5625]


def test_columns_cannot_be_changed() -> None:
    source = np.array([1, 2, 3])
    hits = Hits(source, source, source, source)
    source[0] = 99
    assert hits.row[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        hits.toa[0] = 5


def test_hits_of_clusters_come_in_time_order() -> None:
    clusters = Clusters.from_list(
        [[(1, 2, 10.0, 50.0), (1, 3, 11.0, 25.0)], [(7, 8, 12.0, 37.5)]], columns=("row", "col", "energy", "toa")
    )
    hits = Hits.from_clusters(clusters)
    assert (hits.toa.tolist(), hits.col.tolist(), hits.unit) == ([16, 24, 32], [3, 8, 2], "keV")
    assert Hits.from_clusters(clusters, spacing_ns=1000).toa.tolist() == [16, 32, 664]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Hits(np.zeros(1), np.zeros(1), np.zeros(1), np.zeros(1, np.float32)), "int64"),
        (lambda: Hits(np.zeros(1), np.zeros(1), np.zeros(1), np.zeros(1, np.int32)), "int64"),
        (lambda: Hits.from_ns([0], [0], [0], np.zeros(1, np.float32)), "float64"),
        (lambda: Hits.from_ns([0], [0], [0], [np.nan]), "hit 0"),
        (lambda: Hits(np.zeros(2), np.zeros(1), np.zeros(1), np.zeros(1, np.int64)), r"row \(2,\)"),
        (lambda: Hits(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, np.int64), unit="ADU"), "ADU"),
        (
            lambda: Hits(np.array([1.5]), np.zeros(1), np.zeros(1), np.zeros(1, np.int64)),
            "row must be whole.*1.5 at hit 0",
        ),
        (
            lambda: Hits(np.zeros(1), np.zeros(1), np.zeros(1), np.zeros(1, np.int64), np.array([70_000])),
            "chip must be",
        ),
        (lambda: Hits.concat([]), "no Hits"),
        (lambda: Hits.concat([Hits.empty(), Hits.empty("keV")]), "ToT, keV"),
        (lambda: Hits.from_clusters(Clusters.from_list([[(0, 0, 1)]])), "spacing_ns"),
        (lambda: Hits.from_clusters(Clusters.from_list([[(0, 0, 1)]], unit="ADU"), spacing_ns=1), "ADU"),
    ],
)
def test_bad_hits(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(("energy", "tot"), [(17.5, 49.2576), (59.5409, 117.8491)])
def test_golden_calibration(energy: float, tot: float) -> None:
    assert Surrogate().tot(energy) == pytest.approx(tot, abs=1e-4)


@pytest.mark.parametrize(("tot", "energy"), [(1, 5.06406), (10, 5.36556), (50, 17.92968), (500, 298.17392)])
def test_golden_inverse_calibration(tot: float, energy: float) -> None:
    assert Surrogate().energy(tot) == pytest.approx(energy, abs=1e-5)


@given(st.floats(5.05, 2000))
def test_calibration_is_its_own_inverse(energy: float) -> None:
    calibration = Surrogate()
    assert calibration.energy(calibration.tot(energy)) == pytest.approx(energy, abs=1e-6)


def test_counts_start_at_one_and_stop_at_ten_bits() -> None:
    assert Surrogate().counts([1.0, 4.3, 4.4, 17.5, 5000.0]).tolist() == [1, 1, 1, 49, 1023]
    with pytest.raises(InputError, match="c=0"):
        Surrogate(c=0)
