from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from particle_zoo import InputError
from particle_zoo.evaluation.anomaly import efficiency, event_light, half_efficiency, visible
from particle_zoo.evaluation.anomaly.events import crossing
from tests.evaluation.anomaly_frames import SHAPE, frame


def test_three_events_by_hand() -> None:
    signal = np.array([[4.0, 4.0, 0.0, 3.0], [0.0, 0.0, 0.0, 3.1], [0.0, 0.5, 0.0, 0.0]])
    instance = np.array([[2, 2, 0, 7], [0, 0, 0, 7], [0, 0, 0, 0]])
    region = np.array([[True, False, True, True], [False] * 4, [True] * 4])
    events = pd.DataFrame({"id": [7, 2, 3], "energy_kev": [1.0, 2.0, 5.0]})
    found = event_light(events, signal, instance, region, position=4)
    assert found["light"].tolist() == pytest.approx([6.1, 8, 0])
    assert found["kept"].tolist() == pytest.approx([3, 4, 0])
    assert found["found"].tolist() == [False, True, False], "half is enough, 49 % are not, and no light is not found"
    assert found["position"].tolist() == [4, 4, 4]
    assert found["energy_kev"].tolist() == [1, 2, 5]


@given(seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_no_event_keeps_more_than_its_light(seed: int) -> None:
    one, rng = frame(seed), np.random.default_rng(seed)
    small = rng.random(SHAPE) < 0.4
    large = small | (rng.random(SHAPE) < 0.4)
    few, more = (event_light(one.events, one.signal, one.instance, mask) for mask in (small, large))
    assert (few["kept"] <= more["kept"] + 1e-9).all()
    assert (more["kept"] <= more["light"] + 1e-9).all()
    assert (more["found"] | ~few["found"]).all()
    assert more["light"].sum() == pytest.approx(one.signal[one.instance > 0].sum())


def table(rows: list[tuple[int, str, float, int, int]]) -> pd.DataFrame:
    """Position, class, energy, events, found."""
    single = [
        (position, kind, energy, 1.0, i < found, False)
        for position, kind, energy, n, found in rows
        for i in range(n)
    ]  # fmt: skip
    return pd.DataFrame(single, columns=["position", "class", "energy_kev", "light", "found", "cut"])


def test_efficiencies_by_energy_and_class() -> None:
    events = table([(0, "nr", 1.0, 2, 1), (1, "nr", 1.0, 2, 2), (0, "er", 1.0, 1, 0), (1, "nr", 2.0, 3, 3)])
    by_energy = efficiency(events, n_frames=3)
    assert by_energy["energy_kev"].tolist() == [1, 2]
    assert by_energy["events"].tolist() == [5, 3]
    assert by_energy["efficiency"].tolist() == pytest.approx([3 / 5, 1])
    assert by_energy["low"].tolist() == pytest.approx([1 / 3, 1])
    assert by_energy["high"].tolist() == pytest.approx([1, 1])
    both = efficiency(events, ("class", "energy_kev"), n_frames=3)
    assert both[["class", "energy_kev"]].to_numpy().tolist() == [["er", 1], ["nr", 1], ["nr", 2]]
    assert both["efficiency"].tolist() == pytest.approx([0, 3 / 4, 1])
    all_ = efficiency(events, (), n_frames=3)
    assert all_[["events", "efficiency"]].to_numpy().tolist() == [[8, 0.75]]


def test_events_without_light_do_not_count() -> None:
    events = table([(0, "nr", 1.0, 4, 2)])
    events.loc[3, "light"] = 0.0
    events.loc[0, "cut"] = True
    assert efficiency(events, n_frames=1)["efficiency"].tolist() == pytest.approx([2 / 3])
    assert len(visible(events)) == 3
    assert len(visible(events, whole=True)) == 2


def test_continuous_energies_are_cut_first() -> None:
    events = table([(0, "mip", 7.3, 1, 1), (0, "mip", 8.1, 1, 0), (0, "mip", 90.0, 1, 0)])
    events["bin"] = pd.cut(events["energy_kev"], [1, 10, 50])
    found = efficiency(events, ("bin",), n_frames=1)
    assert found[["events", "efficiency"]].to_numpy().tolist() == [[2, 0.5]]


@pytest.mark.parametrize(
    ("found", "energy"),
    [
        ([0, 0, 10, 10], 2**0.5),
        ([0, 5, 10, 10], 1.0),
        ([0, 2, 8, 10], 2**0.5),
        ([0, 4, 6, 10], 2**0.5),
        # 0.6 falls to 0.4: both count as 0.5.
        ([0, 6, 4, 10], 1.0),
        ([5, 6, 7, 10], 0.0),
        ([0, 1, 2, 4], np.inf),
    ],
)
def test_the_energy_of_half_efficiency(found: list[int], energy: float) -> None:
    energies, total = np.array([0.5, 1.0, 2.0, 4.0]), np.full(4, 10.0)
    assert crossing(energies, np.array(found, float), total) == pytest.approx(energy)


def test_energies_without_events_are_left_out() -> None:
    energies, found = np.array([1.0, 2.0, 4.0]), np.array([0.0, 0.0, 5.0])
    assert crossing(energies, found, np.array([5.0, 0.0, 5.0])) == pytest.approx(2)
    assert np.isnan(crossing(energies, np.zeros(3), np.zeros(3)))


def test_half_efficiency_of_a_known_curve_has_an_interval_around_it() -> None:
    """Logistic in the logarithm of the energy, half at 1.3 keV: interpolated between 1 and 2 keV."""
    rng = np.random.default_rng(5)
    energies = np.tile([0.25, 0.5, 1.0, 2.0, 5.9, 20.0], 200)
    chance = 1 / (1 + (1.3 / energies) ** 3)
    events = pd.DataFrame(
        {
            "position": np.arange(1200) // 6,
            "energy_kev": energies,
            "light": 1.0,
            "found": rng.random(1200) < chance,
            "cut": False,
        }
    )
    found = half_efficiency(events, n_frames=200, resamples=300)
    assert found.low < 1.3 < found.high
    assert found.value == pytest.approx(1.3, abs=0.15)
    assert 0.05 < found.high - found.low < 0.4


def test_events_that_cannot_be() -> None:
    one = frame(1)
    with pytest.raises(InputError, match="belongs to event 3, which is not among the 2 events"):
        event_light(one.events.iloc[:2], one.signal, one.instance, one.truth)
    with pytest.raises(InputError, match="must have one shape"):
        event_light(one.events, one.signal, one.instance, one.truth[1:])
    events = table([(3, "nr", 1.0, 2, 1)])
    with pytest.raises(InputError, match=r"events are of frames 3\.\.3; expected 0\.\.2"):
        efficiency(events, n_frames=3)
    with pytest.raises(InputError, match="events have no column 'z_mm'"):
        efficiency(events, ("z_mm",), n_frames=4)
    with pytest.raises(InputError, match="E50 takes events with energies above 0; received 0 energies of 0 events"):
        half_efficiency(events.assign(light=0.0), n_frames=4)
