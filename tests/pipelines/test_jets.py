"""The record of jets and its normalisations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from particle_zoo.errors import InputError
from particle_zoo.jets import AOD_25, AOD_27, FOUR_MOMENTUM, MASS_MODE, VARIABLES, Jets, energy, mass, wrapped
from particle_zoo.pipelines.jets import CUSTOM, CUSTOM_TLA, JetPreprocessor
from particle_zoo.simulation.jets import generate


@pytest.fixture(scope="module")
def jets() -> Jets:
    return generate(500, seed=2)


def test_the_lists_of_variables_are_those_of_the_studies() -> None:
    assert (len(AOD_27), len(AOD_25)) == (27, 25)
    assert set(AOD_27) - set(AOD_25) == {"Width", "WidthPhi"}
    assert set(CUSTOM) == set(AOD_27)
    assert set(CUSTOM_TLA) == set(MASS_MODE)


def test_energy_and_mass_are_computed_from_one_another(jets: Jets) -> None:
    without = jets.select(("pt", "eta", "phi", "E"))
    np.testing.assert_allclose(without.column("m"), jets.column("m"), rtol=1e-6)
    back = without.select(MASS_MODE).select(FOUR_MOMENTUM)
    np.testing.assert_allclose(back.values, jets.select(FOUR_MOMENTUM).values, rtol=1e-12)


def test_mass_keeps_digits_where_energy_and_momentum_nearly_agree() -> None:
    pt, eta, m = np.array([500.0]), np.array([4.0]), np.array([1.0])
    np.testing.assert_allclose(mass(pt, eta, energy(pt, eta, m)), m, rtol=1e-4)


def test_rounding_to_single_precision_is_no_contradiction(jets: Jets) -> None:
    single = Jets(jets.select(FOUR_MOMENTUM).values.astype(np.float32), FOUR_MOMENTUM)
    assert (single.column("m") >= 0).all()


def test_an_energy_below_the_momentum_is_told() -> None:
    with pytest.raises(InputError, match=r"jet 1 has E 40 below its momentum 50"):
        Jets(np.array([[50, 0, 0, 60], [50, 0, 0, 40]], float), FOUR_MOMENTUM).column("m")


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_differences_of_azimuth_are_wrapped(a: float, b: float) -> None:
    found = float(wrapped(np.asarray(a - b)))
    assert -np.pi < found <= np.pi + 1e-12
    assert np.isclose(np.cos(found), np.cos(a - b))


def test_records_that_do_not_fit_are_refused(jets: Jets) -> None:
    with pytest.raises(InputError, match="one column for each"):
        Jets(np.zeros((3, 3)), FOUR_MOMENTUM)
    with pytest.raises(InputError, match="every variable once"):
        Jets(np.zeros((3, 2)), ("pt", "pt"))
    with pytest.raises(InputError, match="one event a jet"):
        Jets(np.zeros((3, 4)), FOUR_MOMENTUM, np.zeros(2))
    with pytest.raises(InputError, match="have no Width"):
        jets.column("Width")
    with pytest.raises(InputError, match="differ in their variables"):
        Jets.concat([jets, jets.select(("pt",))])


def test_jets_are_chosen_and_put_together_again(jets: Jets) -> None:
    numbered = Jets(jets.values, jets.columns, np.arange(len(jets)))
    mask = numbered.column("pt") > 50
    both = Jets.concat([numbered[mask], numbered[~mask]])
    assert sorted(both.events) == list(range(len(jets)))
    np.testing.assert_array_equal(both.values[np.argsort(both.events)], jets.values)


@pytest.mark.parametrize("variables", ["pt_eta_phi_e", "m_pt_phi_eta"])
def test_both_modes_come_back_exactly(variables: str, jets: Jets) -> None:
    for normalisation in ("standardised", "custom"):
        if (variables, normalisation) == ("pt_eta_phi_e", "custom"):
            continue
        preprocessor = JetPreprocessor(variables, normalisation).fit(jets)
        values = jets.select(preprocessor.columns).values
        np.testing.assert_allclose(preprocessor.unnormalise(preprocessor.normalise(values)), values, rtol=1e-9)


@given(arrays(np.float64, (4, len(AOD_27)), elements=st.floats(-0.09, 0.9)))
def test_the_constants_of_all_variables_have_exact_inverses(values: np.ndarray) -> None:
    values = values.copy()
    for positive in ("pt", "m", "CentroidR", "LeadingClusterPt"):
        values[:, AOD_27.index(positive)] = 20 + 700 * np.abs(values[:, AOD_27.index(positive)])
    preprocessor = JetPreprocessor("aod_27", "custom")
    found = preprocessor.unnormalise(preprocessor.normalise(values))
    np.testing.assert_allclose(found, values, rtol=1e-9, atol=1e-9)


def test_golden_values_of_the_constants() -> None:
    # By hand from the published code, of the seed's mean jet: 65,083 MeV, 8,953 MeV.
    tla = JetPreprocessor("m_pt_phi_eta", "custom")
    found = tla.normalise(np.array([[8.953, 65.083, 1.5, -2.5]]))[0]
    np.testing.assert_allclose(found, [0.19555, -0.07211, 0.5, -0.5], atol=1e-4)
    aod = JetPreprocessor("aod_27", "custom")
    row = np.full((1, 27), 0.5)
    row[0, AOD_27.index("pt")], row[0, AOD_27.index("m")], row[0, AOD_27.index("NegativeE")] = 65.083, 8.953, -3.0
    found = dict(zip(AOD_27, aod.normalise(row)[0], strict=True))
    expected = {"pt": 0.42790, "m": 0.55441, "NegativeE": np.log10(4) / 1.6, "eta": 0.1, "Timing": 0.0125}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-4), name


def test_standardised_training_jets_have_mean_0_and_spread_1(jets: Jets) -> None:
    x = JetPreprocessor().fit(jets)(jets)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(0), 1, atol=1e-4)


def test_a_variable_without_spread_is_kept(jets: Jets) -> None:
    values = jets.select(FOUR_MOMENTUM).values.copy()
    values[:, 2] = 0.0
    preprocessor = JetPreprocessor().fit(Jets(values, FOUR_MOMENTUM))
    np.testing.assert_array_equal(preprocessor(Jets(values, FOUR_MOMENTUM))[:, 2], 0)


def test_what_cannot_be_normalised_is_named(jets: Jets) -> None:
    values = jets.select(MASS_MODE).values.copy()
    values[3, 1] = -1.0
    with pytest.raises(InputError, match="jet 3 has pt -1, which cannot be normalised"):
        JetPreprocessor("m_pt_phi_eta", "custom")(Jets(values, MASS_MODE))
    with pytest.raises(InputError, match="empty set"):
        JetPreprocessor().fit(jets[:0])
    with pytest.raises(InputError, match="no custom constants for E"):
        JetPreprocessor("pt_eta_phi_e", "custom")
    with pytest.raises(InputError, match="variables are one of"):
        JetPreprocessor("pt")


@pytest.mark.parametrize("variables", VARIABLES)
def test_it_comes_back_from_json(variables: str) -> None:
    normalisation = "standardised" if variables == "pt_eta_phi_e" else "custom"
    fitted = JetPreprocessor(variables, normalisation)
    assert JetPreprocessor.from_dict(fitted.to_dict()) == fitted
