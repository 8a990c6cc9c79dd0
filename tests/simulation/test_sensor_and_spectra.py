from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_zoo import InputError
from particle_zoo.simulation.particles import ELECTRON, PROTON, Particle, particle
from particle_zoo.simulation.sensor import CCD_675UM, PRESETS, TIMEPIX3_500UM, TIMEPIX_300UM, preset
from particle_zoo.simulation.spectra import Shield, Spectrum, directions, named, resolve
from particle_zoo.simulation.stopping import table


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


# Sensor ---------------------------------------------------------------------------------------------------------------


def test_drift_time_gives_depth_as_in_measurements() -> None:
    """500 um, 230 V, 80 V depletion, 480 cm2/Vs: 23.6 ns over the full depth (hole collection)."""
    assert TIMEPIX3_500UM.depth_um(np.array(0.0)) == 0
    assert TIMEPIX3_500UM.depth_um(np.array(23.6)) == pytest.approx(500, abs=1)
    assert TIMEPIX3_500UM.depth_um(np.array(100.0)) == 500


@given(st.floats(0, 1), st.sampled_from(sorted(PRESETS)))
def test_depth_is_the_inverse_of_the_drift_time(share: float, name: str) -> None:
    sensor = PRESETS[name]
    z = np.array(share * sensor.thickness_um)
    assert sensor.depth_um(sensor.drift_ns(z)) == pytest.approx(z, abs=1e-6 * sensor.thickness_um)


def test_diffusion_from_the_far_face() -> None:
    """5.5 um in 300 um at 155 V, 7.8 um in 500 um at 230 V; 21 um in the CCD (arXiv:1607.07410)."""
    assert TIMEPIX_300UM.diffusion_um(np.array(300.0)) == pytest.approx(5.5, abs=0.1)
    assert TIMEPIX3_500UM.with_(depletion_v=100.0).diffusion_um(np.array(500.0)) == pytest.approx(7.8, abs=0.1)
    z = np.array([100.0, 400.0, 675.0])
    np.testing.assert_allclose(CCD_675UM.diffusion_um(z) ** 2, -215 * np.log(1 - 1.3e-3 * z), rtol=0.01)


def test_repulsion_widens_dense_clouds_only() -> None:
    z = np.array([300.0])
    plain = TIMEPIX_300UM.diffusion_um(z)[0]
    assert TIMEPIX_300UM.cloud_um(z, np.array([5500.0]), np.array([150.0]))[0] > 4 * plain
    assert TIMEPIX_300UM.cloud_um(z, np.array([1.0]), np.array([0.3]))[0] < 1.1 * plain
    assert TIMEPIX_300UM.with_(repulsion=0.0).cloud_um(z, np.array([5500.0]), np.array([150.0]))[0] == pytest.approx(
        plain
    )


@pytest.mark.parametrize(
    "change",
    [
        {"thickness_um": -300.0},
        {"thickness_um": float("nan")},
        {"pitch_um": 0.0},
        {"bias_v": 10.0},
        {"temperature_k": -1.0},
        {"noise_kev": -0.1},
        {"mobility": 0.0},
        {"shape": (0, 256)},
        {"carrier": "muons"},
        {"chip": "timepix5"},
        {"readout": "tot+toa"},
        {"threshold_kev": 4.0},
        {"bias": 100.0},
        {"shape": 5},
        {"shape": (1, 2, 3)},
        {"shape": (2.5, 3)},
        {"shape": ("a", "b")},
        {"calibration": 3},
        {"halo": 1},
        {"halo": (1.5, 2.0)},
        {"halo": (0.1, 0.0)},
        {"volcano_kev": 5},
        {"volcano_kev": (1000.0, 1000.0)},
        {"volcano_kev": (2000.0, 1000.0)},
        {"volcano_kev": (1000.0, float("inf"))},
        {"timewalk": 1},
        {"timewalk": (float("nan"), -0.016)},
        {"timewalk": (167.0, 0.016)},
        {"min_size": 2.5},
        {"min_size": True},
        {"tot_bits": 10.5},
        {"saturation": "yes"},
        {"threshold_kev": "low"},
    ],
)
def test_impossible_sensors(change: dict[str, object]) -> None:
    """Among them Timepix with ToT and ToA at once, and a threshold below the pole of the calibration."""
    with pytest.raises(InputError, match=r"received|no sensor setting"):
        TIMEPIX_300UM.with_(**change)


def test_pairs_from_a_command_line_may_be_lists() -> None:
    """JSON knows no tuples, and a sensor that compares equal to another has to stay hashable."""
    sensor = TIMEPIX_300UM.with_(shape=[100, 200], halo=[0.0, 2.0])
    assert sensor == TIMEPIX_300UM.with_(shape=(100, 200), halo=(0.0, 2.0))
    assert hash(sensor) == hash(TIMEPIX_300UM.with_(shape=(100, 200), halo=(0.0, 2.0)))


def test_presets_by_name() -> None:
    assert preset("ccd") is preset("ccd_675um")
    with pytest.raises(InputError, match="timepix3_500um"):
        preset("timepix4")


# Particles ------------------------------------------------------------------------------------------------------------


def test_ions_by_charge_and_mass() -> None:
    iron = particle("ion:26:56")
    assert (iron.charge, iron.nucleons) == (26, 56)
    assert table(particle("pb")).dedx(np.array(208 * 150e6)) == pytest.approx(3450, rel=0.03)


@pytest.mark.parametrize("name", ["quark", "protn", "ion:26", "ion:x:56", "ion:92:238", "ion:26:20", ""])
def test_unknown_particles(name: str) -> None:
    with pytest.raises(InputError, match=r"received|unknown particle"):
        particle(name)


# Spectra --------------------------------------------------------------------------------------------------------------


def test_laws_have_their_means() -> None:
    """Against the integrals of the laws."""
    n = 200_000
    assert Spectrum("mono", energy_mev=3).sample(rng(), 5).tolist() == [3000] * 5
    inverse = Spectrum("power", low_mev=1, high_mev=10, index=1).sample(rng(), n)
    assert inverse.mean() == pytest.approx(9000 / np.log(10), rel=0.01)
    flat = Spectrum("power", low_mev=1, high_mev=10, index=0).sample(rng(), n)
    assert flat.mean() == pytest.approx(5500, rel=0.01)
    falling = Spectrum("exponential", low_mev=1, high_mev=1000, scale_mev=2).sample(rng(), n)
    assert falling.mean() == pytest.approx(3000, rel=0.01)
    triangle = Spectrum("tabulated", energies_mev=(1, 2, 3), flux=(1e-9, 1, 1e-9)).sample(rng(), n)
    assert triangle.mean() == pytest.approx(2000, rel=0.01)
    assert triangle.std() == pytest.approx(1000 / np.sqrt(6), rel=0.02)


@given(st.lists(st.floats(0.01, 100), min_size=2, max_size=8, unique=True), st.integers(0, 2**32 - 1))
def test_tables_never_leave_their_interval(energies: list[float], seed: int) -> None:
    energies.sort()
    flux = np.random.default_rng(seed).uniform(0, 1, len(energies)) + 1e-6
    drawn = Spectrum("tabulated", energies_mev=tuple(energies), flux=tuple(flux)).sample(rng(), 100)
    assert (drawn >= 1e3 * energies[0] * (1 - 1e-12)).all()
    assert (drawn <= 1e3 * energies[-1] * (1 + 1e-12)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"law": "mono", "energy_mev": -1}, "positive"),
        ({"law": "mono", "energy_mev": float("nan")}, "positive"),
        ({"law": "power", "low_mev": 5, "high_mev": 1}, "ascend"),
        ({"law": "exponential", "low_mev": 1, "high_mev": 2, "scale_mev": 0}, "scale_mev"),
        ({"law": "tabulated", "energies_mev": (1, 3, 2), "flux": (1, 1, 1)}, "ascend"),
        ({"law": "tabulated", "energies_mev": (0, 1), "flux": (1, 1)}, "positive"),
        ({"law": "tabulated", "energies_mev": (1, 2), "flux": (1, -1)}, "fluxes .* must be positive"),
        ({"law": "tabulated", "energies_mev": (1, 2, 3), "flux": (1, 0, 1)}, "fluxes .* must be positive"),
        ({"law": "tabulated", "energies_mev": (1, 2), "flux": (1, float("nan"))}, "fluxes .* must be positive"),
        ({"law": "tabulated", "energies_mev": ("a", "b"), "flux": (1, 1)}, "numbers"),
        ({"law": "tabulated", "energies_mev": (1, 2), "flux": ("1", "2")}, "numbers"),
        ({"law": "tabulated", "energies_mev": (1, (2, 3)), "flux": (1, 1)}, "numbers"),
        ({"law": "tabulated", "energies_mev": None, "flux": None}, "numbers"),
        ({"law": "mono", "energy_mev": "a"}, "energy_mev of a spectrum must be a number"),
        ({"law": "mono", "energy_mev": None}, "energy_mev of a spectrum must be a number"),
        ({"law": "power", "low_mev": 1, "high_mev": 2, "index": "1"}, "index of a spectrum must be a number"),
        ({"law": "exponential", "low_mev": 1, "high_mev": 2, "scale_mev": (1,)}, "scale_mev of a spectrum must be"),
        ({"law": 3}, "tabulated"),
        ({"angles": 3}, "isotropic"),
        ({"shield": 0.5}, "must be a Shield"),
        ({"law": "tabulated", "energies_mev": (1,), "flux": (1,)}, "two or more"),
        ({"law": "tabulated", "energies_mev": (1, 2), "flux": (1,)}, "as many"),
        ({"law": "thermal"}, "tabulated"),
        ({"angles": "sideways"}, "isotropic"),
        ({"angles": "fixed:95"}, "fixed:DEGREES"),
    ],
)
def test_impossible_spectra(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Spectrum(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("thickness", ["0.5", None, -1.0, float("nan")])
def test_impossible_shields(thickness: object) -> None:
    with pytest.raises(InputError, match="thick; received"):
        Shield("Al", thickness)  # type: ignore[arg-type]


def test_angle_laws() -> None:
    n = 100_000
    for law, mean in (("isotropic", 1 / 2), ("cosine", 2 / 3), ("fixed:60", 1 / 2), ("normal", 1)):
        way = directions(rng(), law, n)
        np.testing.assert_allclose((way**2).sum(0), 1, atol=1e-9)
        assert -way[2].mean() == pytest.approx(mean, abs=0.01)
        assert (way[2] < 0).all()
    azimuth = np.arctan2(way[1], way[0])
    assert np.histogram(azimuth, 4)[0].min() > 0.24 * n or law == "normal"


def test_half_a_millimetre_of_aluminium_stops_soft_particles() -> None:
    """0.135 g/cm2: electrons below about 0.36 MeV (CSDA range) and protons below about 9 MeV."""
    shield = Shield("Al", 500.0)
    way = np.tile([[0.0], [0.0], [-1.0]], 200)

    def passed(kind: Particle, energy: float) -> int:
        return int((shield.cross(rng(), kind, np.full(200, energy), way)[0] > 0).sum())

    assert passed(ELECTRON, 345.0) == 0
    # Many of those that would get through are scattered back.
    assert passed(ELECTRON, 410.0) > 50
    assert passed(PROTON, 8500.0) == 0
    assert passed(PROTON, 9500.0) == 200


@pytest.mark.parametrize("theta", [0.0, 60.0])
def test_half_a_millimetre_of_aluminium_scatters_as_highland_says(theta: float) -> None:
    """Protons of 100 MeV (beta p = 190.4 MeV/c, X0 = 8.897 cm): 13.6/(beta p) sqrt(x/X0) (1 + 0.038 ln(x/X0/beta^2))."""
    path, n = 0.05 / np.cos(np.radians(theta)), 40_000
    expected = 13.6 / 190.4 * np.sqrt(path / 8.897) * (1 + 0.038 * np.log(path / 8.897 / 0.4282**2))
    way = np.tile([[np.sin(np.radians(theta))], [0.0], [-np.cos(np.radians(theta))]], n)
    _, behind = Shield("Al", 500.0).cross(rng(), PROTON, np.full(n, 100e3), way)
    # Across the plane of incidence; the loss of a percent in the layer widens it by half of that.
    assert np.arcsin(behind[1]).std() == pytest.approx(expected, rel=0.02)


def test_named_spectra_are_the_documented_ones() -> None:
    benchmark = {name: named("benchmark", particle(name)) for name in ("proton", "electron")}
    assert benchmark["proton"].limits_mev == (10, 300)
    assert benchmark["electron"].limits_mev == (0.4, 7)
    for spectrum in benchmark.values():
        assert (spectrum.law, spectrum.index, spectrum.angles) == ("power", 1.0, "isotropic")
        assert spectrum.shield == Shield("Al", 500.0)
    orbit = named("orbit", PROTON)
    assert orbit.limits_mev[1] >= 400
    assert orbit.law == "exponential"


def test_what_a_simulation_refuses() -> None:
    with pytest.raises(InputError, match="not both"):
        resolve(ELECTRON, 1.0, "benchmark")
    with pytest.raises(InputError, match="benchmark, orbit"):
        resolve(ELECTRON, None, "moon")
    with pytest.raises(InputError, match="no muon"):
        resolve(particle("muon"), None, "benchmark")
    with pytest.raises(InputError, match="kinetic energies"):
        resolve(particle("photon"), 50.0, None)
    with pytest.raises(InputError, match="must be a Spectrum"):
        resolve(ELECTRON, None, 3)  # type: ignore[arg-type]
