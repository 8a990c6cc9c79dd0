from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from particle_zoo import InputError
from particle_zoo.jets import Jets
from particle_zoo.simulation import jets as simulation
from particle_zoo.simulation.jets import generate

SQRT_S, RADIUS = 13_000.0, 0.4


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """300,000 jets with their rapidities, from energy and longitudinal momentum."""
    found = generate(300_000, 7).to_frame()
    found["y"] = np.arctanh(found["pt"] * np.sinh(found["eta"]) / found["E"])
    return found


def test_jets_have_their_variables_and_are_their_own_events() -> None:
    jets = generate(100, 1)
    assert isinstance(jets, Jets)
    assert len(jets) == 100
    assert jets.columns == ("pt", "eta", "phi", "m", "E")
    assert jets.events is None


def test_cuts_hold(frame: pd.DataFrame) -> None:
    assert frame["pt"].between(20, 800).all()
    assert (frame["eta"].abs() < 4.8).all()
    assert frame["phi"].between(-np.pi, np.pi).all()
    assert (frame["m"] > 0).all()
    # They are reached, too: nothing cuts harder.
    assert frame["pt"].min() < 20.1
    assert frame["pt"].max() > 780
    assert frame["eta"].abs().max() > 4.75


def test_energy_is_that_of_momentum_and_mass(frame: pd.DataFrame) -> None:
    x, y = frame["pt"] * np.cos(frame["phi"]), frame["pt"] * np.sin(frame["phi"])
    z = frame["pt"] / np.tan(2 * np.arctan(np.exp(-frame["eta"])))
    np.testing.assert_allclose(frame["E"] ** 2, x**2 + y**2 + z**2 + frame["m"] ** 2, rtol=1e-10)


def test_rapidity_is_below_pseudorapidity_by_the_mass(frame: pd.DataFrame) -> None:
    transverse = np.hypot(frame["pt"], frame["m"])
    np.testing.assert_allclose(transverse * np.cosh(frame["y"]), frame["E"], rtol=1e-9)
    assert (frame["y"].abs() <= frame["eta"].abs() * (1 + 1e-9)).all()


def spectrum(pt: np.ndarray, y: np.ndarray) -> np.ndarray:
    """dN / dpt dy, not normalised."""
    return pt**-1.7 * np.maximum(1 - 2 * pt * np.cosh(y) / SQRT_S, 0) ** 8


def test_transverse_momenta_follow_the_spectrum(frame: pd.DataFrame) -> None:
    central = frame.loc[frame["y"].abs() < 1, "pt"].to_numpy()[:50_000]
    pt, y = np.geomspace(20, 800, 2001), np.linspace(0, 1, 101)
    density = integrate.simpson(spectrum(pt[:, None], y), y, axis=1)
    cumulative = integrate.cumulative_trapezoid(density, pt, initial=0)
    assert stats.kstest(central, lambda value: np.interp(value, pt, cumulative / cumulative[-1])).pvalue > 0.01


@pytest.mark.parametrize("pt", [30.0, 100.0, 300.0])
def test_the_spectrum_falls_with_its_local_exponent(pt: float, frame: pd.DataFrame) -> None:
    # -d ln N / d ln pt = alpha + beta x / (1 - x), x = 2 pt cosh(y) / sqrt(s).
    x = 2 * pt * np.cosh(1.0) / SQRT_S
    expected = 1.7 + 8 * x / (1 - x)
    narrow = frame.loc[(frame["y"].abs() - 1).abs() < 0.25, "pt"]
    low, high = (((narrow / edge).between(1 / 1.1, 1.1)).sum() for edge in (pt / 1.3, pt * 1.3))
    # Bins of equal ratio: their counts go as pt times the density.
    found = 1 - np.log(high / low) / np.log(1.3**2)
    error = np.sqrt(1 / low + 1 / high) / np.log(1.3**2)
    assert found == pytest.approx(expected, abs=3 * error + 0.02)


def test_the_rapidity_plateau_narrows_with_pt(frame: pd.DataFrame) -> None:
    assert frame.loc[frame["pt"] > 200, "y"].std() < 0.8 * frame.loc[frame["pt"] < 40, "y"].std()
    for pt in (25.0, 120.0):
        # Below 4 the cut in pseudorapidity takes none.
        some = frame.loc[((frame["pt"] / pt - 1).abs() < 0.02) & (frame["y"].abs() < 4), "y"]
        y = np.linspace(-4, 4, 801)
        cumulative = integrate.cumulative_trapezoid(spectrum(np.full(801, pt), y), y, initial=0)
        law = lambda value, y=y, c=cumulative: np.interp(value, y, c / c[-1])  # noqa: E731
        assert stats.kstest(some, law).pvalue > 0.01


def test_azimuths_are_uniform(frame: pd.DataFrame) -> None:
    assert stats.kstest(frame["phi"], stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 0.01


def test_masses_follow_their_cumulative(frame: pd.DataFrame) -> None:
    some = frame.iloc[:5000]
    pt, m = some["pt"].to_numpy()[:, None], some["m"].to_numpy()[:, None]
    coupling = 1 / (1 / 0.118 + 23 / (6 * np.pi) * np.log(pt * RADIUS / 91.19))
    # ln(rho_max / rho) has a Rayleigh distribution; the rest of m^2 is averaged over its quantiles.
    shift = stats.gamma(2, scale=1.4).ppf((np.arange(400) + 0.5) / 400)
    with np.errstate(divide="ignore"):
        log_rho = np.log(np.maximum(m**2 / (pt * RADIUS) ** 2 - shift / (pt * RADIUS), 0))
    below = np.zeros(len(some))
    gluons = 0.75 - 0.25 * np.log10(pt[:, 0] / 50)
    for share, charge, log_max in ((gluons, 3, -11 / 12 + 5 / 18), (1 - gluons, 4 / 3, -3 / 4)):
        law = stats.rayleigh(scale=np.sqrt(np.pi / (coupling * charge)))
        below += share * law.sf(log_max - log_rho).mean(axis=1)
    assert stats.kstest(below, "uniform").pvalue > 0.01


@pytest.mark.parametrize("gluon", [False, True])
def test_the_exponent_is_the_chance_to_radiate(gluon: bool) -> None:
    """-d ln Sigma / d ln(1/rho) = alpha_s / pi times the integral of the splitting function over z > rho."""

    def split(z: float) -> float:
        if gluon:
            return 3 * (2 * (1 - z) / z + z * (1 - z)) / 2 + 5 / 4 * (z**2 + (1 - z) ** 2)
        return 4 / 3 * (1 + (1 - z) ** 2) / (2 * z)

    rho = 1e-5
    radiated = integrate.quad(split, rho, 1, limit=200)[0]
    charge, log_max = simulation.CASIMIR[gluon], simulation.HARD_COLLINEAR[gluon]
    # Of Sigma = exp(-(alpha_s C / 2 pi) ln^2(rho_max / rho)).
    assert charge * (log_max - np.log(rho)) == pytest.approx(radiated, rel=1e-4)


def test_radiation_alone_gives_the_known_mass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "LAMBDA_GEV", 0.0)
    found = generate(100_000, 1).to_frame()
    # 0.2 in arXiv:0712.2447.
    assert 0.17 < np.sqrt(((found["m"] / found["pt"] / RADIUS) ** 2).mean()) < 0.25


def test_the_coupling_is_that_of_the_z_and_runs() -> None:
    assert simulation.coupling(np.array(91.19)) == pytest.approx(0.118)
    values = simulation.coupling(np.geomspace(8, 320, 9))
    assert (np.diff(values) < 0).all()
    assert 0.17 < values[0] < 0.2


def test_gluon_jets_are_heavier_and_rarer_at_high_pt() -> None:
    pt = np.full(20_000, 100.0)
    heavy, light = (simulation.masses(np.random.default_rng(1), pt, np.full(len(pt), kind)) for kind in (True, False))
    assert heavy.mean() > 1.1 * light.mean()
    share = simulation.gluon_share(np.geomspace(20, 800, 9))
    assert (np.diff(share) < 0).all()
    assert 0.4 < share[-1] < share[0] < 0.9


def test_mass_over_pt_falls_with_pt(frame: pd.DataFrame) -> None:
    bins = pd.cut(frame["pt"], np.geomspace(20, 800, 8))
    means = (frame["m"] / frame["pt"]).groupby(bins, observed=True).mean()
    assert len(means) == 7
    assert (np.diff(means) < 0).all()
    assert (np.diff(frame["m"].groupby(bins, observed=True).mean()) > 0).all()


def test_moments_are_near_those_of_seed_002() -> None:
    found = generate(simulation.JETS, 1).to_frame()
    assert len(found) == 139_723
    assert found["pt"].mean() == pytest.approx(65.1, rel=0.1)
    assert found["pt"].std() == pytest.approx(71.6, rel=0.1)
    assert found["m"].mean() == pytest.approx(8.95, rel=0.1)
    assert found["m"].std() == pytest.approx(7.49, rel=0.1)


def test_a_seed_gives_its_jets_in_no_time() -> None:
    start = time.process_time()
    values = generate(139_723, 5).values
    assert time.process_time() - start < 3
    np.testing.assert_array_equal(generate(139_723, 5).values, values)
    assert not np.isin(generate(1000, 6).values, values).any()
    assert len(generate(1, 0)) == 1


@pytest.mark.parametrize(
    ("n", "seed", "message"),
    [(0, 1, "n must be a number of jets, 1 or more; received 0"), (2.5, 1, "number of jets"), (5, -1, "seed must be")],
)
def test_values_that_cannot_be(n: int, seed: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        generate(n, seed)
