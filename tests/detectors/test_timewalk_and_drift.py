from __future__ import annotations

import numpy as np
import pytest

from particle_zoo import Clusters, Hits, InputError, simulate
from particle_zoo.detectors.calibration import Surrogate
from particle_zoo.detectors.drift import depth_um, depths
from particle_zoo.detectors.timewalk import TimeWalk
from particle_zoo.simulation.sensor import TIMEPIX3_500UM

SEED_SENSOR = {"thickness_um": 500.0, "bias_v": 230.0, "depletion_v": 80.0, "mobility": 480.0}


def test_published_values_of_the_exponential_form() -> None:
    walk = TimeWalk()
    assert walk.delay_ns(0) == pytest.approx(167)
    assert walk.delay_ns(10) == pytest.approx(167 * np.exp(-0.016 * 250))
    hits = Hits([0, 0], [0, 1], [0, 1000], np.array([1000, 1000]))
    assert walk.correct(hits).toa.tolist() == [1000 - round(167 / 1.5625), 1000]


def test_power_form_and_its_pole() -> None:
    walk = TimeWalk("power", c=50.0, t=4.0, d=1.0, constant=1.0)
    assert walk.delay_ns([14.0, 4.0])[0] == pytest.approx(6.0)
    assert np.isnan(walk.delay_ns(4.0))
    hits = Hits([0], [0], [3.0], np.zeros(1, np.int64), unit="keV")
    with pytest.raises(InputError, match="pole at 4 keV"):
        walk.correct(hits)
    with pytest.raises(InputError, match="function of ToT; received hits in keV"):
        TimeWalk().correct(hits)


@pytest.mark.parametrize(
    "arguments", [{"form": "linear"}, {"c": 0.1}, {"b": np.nan}, {"form": "power", "c": 1.0, "d": 0.0}]
)
def test_delays_that_do_not_fall(arguments: dict[str, object]) -> None:
    with pytest.raises(InputError):
        TimeWalk(**arguments)  # type: ignore[arg-type]


def test_correction_takes_out_what_the_simulated_chip_puts_in() -> None:
    """Photons make all their charge at one place: what is left of the spread of times is little."""
    photons = simulate("timepix3_500um", particle="photon", n=20_000, seed=3)
    # With the typical calibration only the last keV over the threshold come late.
    weakest = np.minimum.reduceat(photons.column("energy"), photons.offsets[:-1])
    photons = photons[(photons.sizes > 1) & (Surrogate().tot(weakest) < 4)]
    hits = Hits.from_ns(
        photons.column("row"),
        photons.column("col"),
        np.rint(Surrogate().tot(photons.column("energy"))),
        photons.column("toa"),
    )
    corrected = TimeWalk().correct(hits)

    def spread(time_ns: np.ndarray) -> float:
        ends = photons.offsets[:-1]
        return float(np.median(np.maximum.reduceat(time_ns, ends) - np.minimum.reduceat(time_ns, ends)))

    assert spread(hits.time_ns) > 20
    assert spread(corrected.time_ns) < 0.25 * spread(hits.time_ns)


def test_depth_of_a_full_drift() -> None:
    assert depth_um(0.0, **SEED_SENSOR) == 0
    assert depth_um(23.6, **SEED_SENSOR) == pytest.approx(500, abs=1)
    time = np.linspace(-5, 60, 500)
    depth = depth_um(time, **SEED_SENSOR)
    assert (np.diff(depth) >= 0).all()
    assert (depth.min(), depth.max()) == (0, 500)


def test_depth_is_the_inverse_of_the_simulated_drift() -> None:
    z = np.linspace(0, 499, 50)
    np.testing.assert_allclose(TIMEPIX3_500UM.depth_um(TIMEPIX3_500UM.drift_ns(z)), z, atol=1e-6)


@pytest.mark.parametrize(("angle", "to_full"), [(45, True), (60, True), (60, False)])
def test_depth_gives_the_slope_of_simulated_muons(angle: int, to_full: bool) -> None:
    muons = simulate("timepix3_500um", particle="muon", n=800, seed=4, energy_mev=4000.0, angles=f"fixed:{angle}")
    muons = muons[muons.sizes > 5]
    energy = muons.column("energy")
    walk = TimeWalk().delay_ns(Surrogate().tot(energy))
    hits = muons.hits.copy()
    hits[:, 3] -= walk
    muons = Clusters(hits, muons.columns, muons.offsets, muons.table, muons.unit)
    z = depths(muons, to_full=to_full)
    slopes = []
    for i in range(len(muons)):
        part = slice(muons.offsets[i], muons.offsets[i + 1])
        along = 55 * np.hypot(*(muons.hits[part, :2] - muons.hits[part, :2].mean(0)).T)
        first = muons.hits[part, :2][np.argmin(z[part])]
        along = 55 * np.hypot(*(muons.hits[part, :2] - first).T)
        slopes.append(np.degrees(np.arctan(np.polyfit(z[part], along, 1)[0])))
    assert np.median(slopes) == pytest.approx(angle, abs=5)


def test_depth_needs_times() -> None:
    with pytest.raises(InputError, match="have none"):
        depths(Clusters.from_list([[(0, 0, 1)]]))
    assert len(depths(Clusters.empty(("row", "col", "energy", "toa")))) == 0
