from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import particle_zoo
from particle_zoo import InputError
from particle_zoo.detectors.hits import STEP_NS, Hits
from particle_zoo.detectors.writers import write
from particle_zoo.simulation import stream as module
from particle_zoo.simulation.sensor import TIMEPIX3_500UM
from particle_zoo.simulation.stream import pile_up, stream


def test_hits_come_in_time_order_at_the_given_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 500)
    parts = list(stream(particle="electron", n=4000, rate_hz=1e6, seed=3, energy_mev=1))
    assert len(parts) > 5
    hits = Hits.concat(parts)
    assert hits.is_sorted
    # 4000 arrivals of a Poisson process, 1 us apart.
    assert hits.time_ns[-1] == pytest.approx(4e6, rel=5 / np.sqrt(4000))
    assert hits.energy.min() >= 1


def test_equal_arguments_give_equal_streams() -> None:
    one, two, other = (
        Hits.concat(stream(particle="muon", n=200, rate_hz=1e5, seed=seed, energy_mev=1000)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.toa, two.toa)
    np.testing.assert_array_equal(one.energy, two.energy)
    assert not np.array_equal(one.toa[:50], other.toa[:50])


def test_pile_up_grows_with_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """At higher rates pixels are busy more often; the charge is kept, the number of hits is not.

    At 1e5 particles a second a pixel is hit every 0.2 s and busy for microseconds: hardly a hit is lost.
    """
    slow, fast = (
        Hits.concat(stream(particle="muon", n=20_000, rate_hz=rate, seed=1, energy_mev=1000)) for rate in (1e5, 1e9)
    )
    monkeypatch.setattr(module, "pile_up", lambda hits: hits)
    free = Hits.concat(stream(particle="muon", n=20_000, rate_hz=1e5, seed=1, energy_mev=1000))
    assert len(fast) < 0.97 * len(free)
    assert 0.999 * len(free) < len(slow) <= len(free)
    assert fast.energy.sum() == pytest.approx(slow.energy.sum(), rel=1e-3)


def test_a_saturated_counter_stops_in_pile_up_too() -> None:
    """Alphas on top of each other: ToT of 10 bits end at 1023, without saturation they go on."""
    largest = {
        saturation: Hits.concat(
            stream(
                TIMEPIX3_500UM.with_(saturation=saturation), particle="alpha", n=400, rate_hz=1e9, seed=1, energy_mev=8
            )
        ).energy.max()
        for saturation in (False, True)
    }
    assert largest[True] == 1023
    assert largest[False] > 1023


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_pile_up_is_that_of_a_pixel_by_pixel_loop(seed: int, n: int) -> None:
    random = np.random.default_rng(seed)
    hits = Hits(
        random.integers(0, 2, n),
        random.integers(0, 2, n),
        random.integers(1, 20, n),
        np.sort(random.integers(0, 2000, n)),
    )
    expected: dict[tuple[int, int], list[list[float]]] = {}
    for row, col, tot, toa in zip(hits.row, hits.col, hits.energy, hits.toa, strict=True):
        mine = expected.setdefault((int(row), int(col)), [])
        if mine and toa < mine[-1][0] + mine[-1][1] * 25 / STEP_NS:
            mine[-1][1] += float(tot)
        else:
            mine.append([int(toa), float(tot)])
    found = pile_up(hits)
    assert found.is_sorted
    for (row, col), mine in expected.items():
        at = (found.row == row) & (found.col == col)
        assert [list(pair) for pair in zip(found.toa[at].tolist(), found.energy[at].tolist(), strict=True)] == mine
    assert len(found) == sum(map(len, expected.values()))


def test_round_trip_through_t3pa(tmp_path: Path) -> None:
    parts = list(stream(particle="electron", n=300, rate_hz=1e5, seed=1, energy_mev=0.5))
    hits = Hits.concat(parts)
    found = particle_zoo.read(write(tmp_path / "stream.t3pa", parts))
    for name in ("row", "col", "toa", "energy"):
        np.testing.assert_array_equal(getattr(found, name), getattr(hits, name))


@pytest.mark.parametrize("rate", [0, -1.0, float("nan"), float("inf")])
def test_impossible_rates(rate: float) -> None:
    with pytest.raises(InputError, match="rate must be positive"):
        list(stream(particle="muon", n=1, rate_hz=rate, seed=0))


def test_a_chip_without_times_has_no_stream() -> None:
    with pytest.raises(InputError, match="ToT and ToA"):
        list(stream("timepix_300um", particle="muon", n=1, rate_hz=1.0, seed=0))
