"""Errors and residuals of jets, and the rivals of an autoencoder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from particle_zoo.errors import InputError
from particle_zoo.evaluation.jets import rivals, scores
from particle_zoo.jets import FOUR_MOMENTUM, MASS_MODE, VARIABLES, Jets
from particle_zoo.pipelines.jets import JetPreprocessor
from particle_zoo.simulation.jets import generate
from tests.evaluation.aod_jets import aod_jets

TRAIN, TEST = generate(800, seed=1), generate(300, seed=2)


def fitted(variables: str = "pt_eta_phi_e", normalisation: str = "standardised") -> JetPreprocessor:
    return JetPreprocessor(variables, normalisation).fit(TRAIN)


class Shifted:
    """A model that keeps every variable and adds the same to all of them."""

    def __init__(self, shift: float = 0.0) -> None:
        self.preprocessor, self.shift = fitted(), np.float32(shift)

    def encode(self, inputs: np.ndarray) -> np.ndarray:
        return inputs

    def decode(self, latent: np.ndarray) -> np.ndarray:
        return latent + self.shift


# --- Errors ---


@pytest.mark.parametrize("shift", [0.0, 0.25, -0.5])
def test_mse_is_of_normalised_variables(shift: float) -> None:
    assert scores.mse(Shifted(shift), TEST) == pytest.approx(shift**2, rel=1e-6, abs=1e-12)
    found = scores.reconstruct(Shifted(shift), TEST)
    assert found.columns == FOUR_MOMENTUM
    expected = TEST.select(FOUR_MOMENTUM).values + shift * TRAIN.select(FOUR_MOMENTUM).values.std(0)
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-5)
    # E is computed where the jets do not carry it.
    assert scores.mse(Shifted(shift), TEST.select(MASS_MODE)) == pytest.approx(shift**2, rel=1e-6, abs=1e-9)


def test_nothing_is_scored_of_no_jets() -> None:
    with pytest.raises(InputError, match="received an empty set"):
        scores.mse(Shifted(), TEST[:0])
    with pytest.raises(InputError, match="received an empty set"):
        scores.summary(pd.DataFrame({"pt": []}))


# --- Residuals ---


@pytest.mark.parametrize("variables", VARIABLES)
def test_perfect_reconstruction_has_no_residual(variables: str) -> None:
    jets = aod_jets(200, seed=0).select(VARIABLES[variables])
    found = scores.residuals(jets, jets)
    known = found.to_numpy()[np.isfinite(found.to_numpy())]
    assert len(found.columns) == len(jets.columns)
    assert (known == 0).all()
    rows = scores.summary(found)
    assert (rows[["median", "half_width", "clipped", "low", "high"]] == 0).all(axis=None)
    assert scores.correlations(found, rows).isna().all(axis=None)


def test_which_residuals_are_ratios() -> None:
    true = Jets(np.array([[50.0, 0.001, 3.1, 60.0], [20.0, -2.0, -3.1, 80.0]]), FOUR_MOMENTUM)
    found = Jets(np.array([[55.0, 0.101, -3.1, 57.0], [20.0, -2.0, 3.0, 88.0]]), FOUR_MOMENTUM)
    rows = scores.residuals(true, found)
    assert list(rows) == ["pt", "eta (difference)", "phi (wrapped difference)", "E"]
    np.testing.assert_allclose(rows["pt"], [0.1, 0])
    np.testing.assert_allclose(rows["eta (difference)"], [0.1, 0], atol=1e-12)
    # Across the cut of phi the way is short.
    np.testing.assert_allclose(rows["phi (wrapped difference)"], [2 * np.pi - 6.2, 6.1 - 2 * np.pi], atol=1e-12)
    np.testing.assert_allclose(rows["E"], [-0.05, 0.1])
    # A model may draw phi beyond the cut, too.
    np.testing.assert_allclose(
        scores.residuals(true, replace(true, values=true.values + np.array([0, 0, 4 * np.pi, 0]))),
        np.zeros((2, 4)),
        atol=1e-12,
    )


def test_variables_around_zero_have_differences() -> None:
    jets = aod_jets(50, seed=0)
    rows = scores.residuals(jets, replace(jets, values=jets.values + 0.5))
    zero = jets.column("EMFrac") == 0
    assert zero.any()
    np.testing.assert_allclose(rows["EMFrac (difference)"], 0.5)
    np.testing.assert_allclose(rows["Timing (difference)"], 0.5)
    assert {"ActiveArea4vec_phi (wrapped difference)", "DetectorEta (difference)", "Width", "m"} < set(rows)


def test_ratio_to_nothing_is_not_defined_and_counted() -> None:
    true = Jets(np.array([[0.0], [0.0], [10.0], [10.0]]), ("m",))
    found = scores.residuals(true, Jets(np.array([[1.0], [0.0], [11.0], [9.0]]), ("m",)))
    assert found["m"].isna().tolist() == [True, True, False, False]
    row = scores.summary(found).loc["m"]
    assert row["undefined"] == 0.5
    assert row["median"] == pytest.approx(0)
    rows = scores.summary(found[:2]).loc["m"]
    assert rows["undefined"] == 1
    assert np.isnan(rows["median"])


def test_residuals_of_other_jets_are_refused() -> None:
    for other in (TEST[:10], TEST.select(FOUR_MOMENTUM)):
        with pytest.raises(InputError, match="the same variables of the same jets; received 300"):
            scores.residuals(TEST, other)


def test_widths_of_a_known_distribution() -> None:
    # 0 to 100 in steps of one: quantiles can be read off.
    rows = scores.summary(pd.DataFrame({"even": np.arange(101.0), "spread": np.r_[np.arange(100.0), 1e9]}))
    even = rows.loc["even"]
    assert even["median"] == 50
    assert even["half_width"] == pytest.approx(34)
    assert (even["low"], even["high"], even["clipped"]) == (50 - 5 * 34, 50 + 5 * 34, 0)
    # One wild jet changes neither, and is counted.
    wild = rows.loc["spread"]
    assert wild["half_width"] == pytest.approx(34)
    assert wild["clipped"] == pytest.approx(1 / 101)


def test_width_of_a_gaussian() -> None:
    values = np.random.default_rng(0).normal(0.3, 0.02, 40_000)
    row = scores.summary(pd.DataFrame({"pt": values})).loc["pt"]
    assert row["median"] == pytest.approx(0.3, abs=5e-4)
    assert row["half_width"] == pytest.approx(0.02 * 0.9945, rel=0.02)
    assert row["clipped"] == 0


def test_correlations_are_of_clipped_residuals() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=5_000)
    table = pd.DataFrame({"a": x, "b": 0.6 * x + 0.8 * random.normal(size=5_000), "c": random.normal(size=5_000)})
    rows = scores.summary(table)
    found = scores.correlations(table, rows)
    assert found.loc["a", "b"] == pytest.approx(0.6, abs=0.03)
    assert found.loc["a", "c"] == pytest.approx(0, abs=0.05)
    table.loc[0, ["a", "c"]] = 1e6
    assert table.corr().loc["a", "c"] > 0.99
    assert scores.correlations(table, rows).loc["a", "c"] == pytest.approx(0, abs=0.05)


def test_mass_that_follows_from_the_four_momentum() -> None:
    true = Jets(np.array([[30.0, 0.0, 0.0, 50.0]] * 3), FOUR_MOMENTUM)
    found = Jets(np.array([[30, 0, 0, 50], [30, 0, 0, 34], [50, 0, 0, 30]]), FOUR_MOMENTUM)
    # m is 40; then 16; then E is below the momentum and m^2 = -40^2.
    np.testing.assert_allclose(scores.mass_residuals(true, found), [0, -0.6, -2])
    assert scores.mass_residuals(*[jets.select(("pt", "eta")) for jets in (true, found)]) is None


# --- Rivals ---


@pytest.mark.parametrize(("variables", "latent"), [("pt_eta_phi_e", 3), ("pt_eta_phi_e", 1), ("m_pt_phi_eta", 2)])
def test_pca_is_that_of_a_singular_value_decomposition(variables: str, latent: int) -> None:
    preprocessor = fitted(variables)
    seen, true = preprocessor.normalise(TRAIN.select(preprocessor.columns).values), preprocessor(TEST).astype(float)
    directions = np.linalg.svd(seen - seen.mean(0))[2][:latent]
    centred = true - seen.mean(0)
    left = centred - centred @ directions.T @ directions
    assert rivals.pca(TRAIN, TEST, preprocessor, latent) == pytest.approx(np.mean(left**2), rel=1e-5)


def test_pca_with_all_components_loses_nothing() -> None:
    assert rivals.pca(TRAIN, TEST, fitted(), 4) < 1e-25
    # More numbers than variables, or than jets, are no error.
    assert rivals.pca(TRAIN, TEST, fitted(), 9) < 1e-25
    assert rivals.pca(TRAIN[:2], TEST, fitted(), 3) > 0.01
    assert list(rivals.rivals(TRAIN, TEST, fitted(), 1)) == ["PCA, 1 component"]
    with pytest.raises(InputError, match="at least 2 training jets; received 1"):
        rivals.rivals(TRAIN[:1], TEST, fitted(), 3)


def test_massless_error_is_the_formula() -> None:
    pt, eta, e = (TEST.column(name) for name in ("pt", "eta", "E"))
    scale = TRAIN.column("E").std()
    expected = np.mean(((pt * np.cosh(eta) - e) / scale) ** 2) / 4
    assert rivals.massless(TEST, fitted()) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(InputError, match="have an E to drop; received m, pt, phi, eta"):
        rivals.massless(TEST, fitted("m_pt_phi_eta"))


def test_what_is_kept_comes_back_as_it_was() -> None:
    for variables, normalisation, dropped in (
        ("pt_eta_phi_e", "standardised", "E"),
        ("m_pt_phi_eta", "custom", "m"),
        ("m_pt_phi_eta", "standardised", "m"),
    ):
        preprocessor = fitted(variables, normalisation)
        outputs = rivals.rivals(TRAIN, TEST, preprocessor, 3)
        true = preprocessor.normalise(TEST.select(preprocessor.columns).values)
        for name in [name for name in outputs if name.startswith("drop")]:
            wrong = [
                c for c, error in zip(preprocessor.columns, np.abs(outputs[name] - true).max(0), strict=True) if error
            ]
            assert wrong == [dropped]
    assert rivals.MEAN_MASS in outputs
    column = preprocessor.columns.index("m")
    seen = preprocessor.normalise(TRAIN.select(MASS_MODE).values)[:, column]
    np.testing.assert_allclose(outputs[rivals.MEAN_MASS][:, column], seen.mean())


def test_names_of_the_rivals_and_one_mass_for_all() -> None:
    found = rivals.rivals(TRAIN, TEST, fitted(), 3)
    assert list(found) == ["PCA, 3 components", rivals.MASSLESS, rivals.FITTED_MASS]
    true = fitted().normalise(TEST.select(FOUR_MOMENTUM).values)
    np.testing.assert_allclose(scores.mean_square(true, found[rivals.MASSLESS]), rivals.massless(TEST, fitted()))
    assert scores.mean_square(true, found[rivals.FITTED_MASS]) < rivals.massless(TEST, fitted())
    # A model with fewer numbers is not beaten by one more.
    assert list(rivals.rivals(TRAIN, TEST, fitted(), 2)) == ["PCA, 2 components"]


def test_fitted_mass_is_the_best_one() -> None:
    share = rivals.mass_share(TRAIN)

    def error(r: float) -> Any:
        pt = TRAIN.column("pt")
        return np.mean((np.sqrt((pt * np.cosh(TRAIN.column("eta"))) ** 2 + (r * pt) ** 2) - TRAIN.column("E")) ** 2)

    assert error(share) < min(error(0.9 * share), error(1.1 * share), error(0))
    pt = TRAIN.column("pt")
    equal = Jets(np.stack([pt, pt * 0, pt * 0, 0.1 * pt], axis=1), ("pt", "eta", "phi", "m"))
    assert rivals.mass_share(equal) == pytest.approx(0.1, rel=0.01)
