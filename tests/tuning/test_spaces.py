"""Spaces: what they may draw, where they start, and how a changed one is told."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

from particle_zoo import InputError, create, registry
from particle_zoo.errors import UnknownModelError
from tuning.spaces import BASELINES, SPACES, baseline_of, impossible, space_of
from tuning.walk import Draw, Walk, distributions, parameters_of, version

SEARCHED = [
    *SPACES,
    "tiny_cnn",
    "tiny_vae",
    "vae_generative",
    "tiny_effnet_classifier",
    "tiny_pedestal_ae",
    "pedestal_ae_denoise",
    "tiny_dec",
    "idec",
    "tiny_jet_ae",
    "ae_25d_z8",
    "ae_27d_z20",
]


# --- The tables of the seed ---------------------------------------------------------------------------------------------------


def test_the_first_table_is_the_space_of_cnn() -> None:
    expected: dict[str, Any] = {
        "N_conv_layers": IntDistribution(1, 3),
        "N_dense_layers": IntDistribution(1, 3),
        "dropout_rate": FloatDistribution(0, 0.5),
        "adam_learning_rate": FloatDistribution(1e-7, 1e-1, log=True),
        "adam_decay_steps": IntDistribution(100, 10_000),
        "adam_decay_rate": FloatDistribution(0.8, 1.0),
        **{f"conv_filter_exp{i}": IntDistribution(3, 7) for i in range(3)},
        **{f"conv_kernel_size{i}": IntDistribution(2, 5) for i in range(3)},
        # The output layer counts, and has no units to choose.
        **{f"dense_units_exp{i}": IntDistribution(3, 5) for i in range(2)},
    }
    assert distributions(SPACES["cnn"]) == expected


def test_the_second_table_is_the_space_of_cnn_meta() -> None:
    expected: dict[str, Any] = {
        "N_conv_layers": IntDistribution(1, 3),
        "N_dense_layers": IntDistribution(1, 3),
        "dropout_rate": FloatDistribution(0, 0.5),
        "learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
        **{f"filters_layer{i}": IntDistribution(8, 64) for i in range(3)},
        **{f"filter_size_layer{i}": IntDistribution(3, 7) for i in range(3)},
        **{f"stride_layer{i}": IntDistribution(1, 3) for i in range(3)},
        **{f"padding_layer{i}": IntDistribution(1, 3) for i in range(3)},
        **{f"dense_layer{i}": IntDistribution(8, 128) for i in range(3)},
    }
    assert distributions(SPACES["cnn_meta"]) == expected


@pytest.mark.parametrize("name", BASELINES)
def test_a_tables_final_values_rebuild_its_model(name: str) -> None:
    settings = SPACES[name](FixedTrial(BASELINES[name]))
    assert create(name, **settings).count_params() == registry.info(name).parameters


# --- All spaces ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEARCHED)
def test_the_baseline_lies_inside_the_space(name: str) -> None:
    trial = FixedTrial(baseline_of(name))
    space_of(name)(trial)
    # Nothing but what the space asks for, or Optuna would enqueue it in vain.
    assert trial.params == baseline_of(name)
    for key, distribution in trial.distributions.items():
        assert distribution._contains(distribution.to_internal_repr(trial.params[key])), key


@pytest.mark.parametrize("name", [name for name in SEARCHED if space_of(name).__name__ not in BASELINES])
def test_without_a_table_the_baseline_is_the_model_as_it_is(name: str) -> None:
    config = registry.config_class(name)
    assert config.from_settings(space_of(name)(FixedTrial(baseline_of(name)))) == config()


@pytest.mark.parametrize("name", SEARCHED)
def test_no_draw_is_in_vain(name: str) -> None:
    config, space = registry.config_class(name), space_of(name)
    for seed in range(100):
        config.from_settings(space(Walk(Draw(seed))))


@pytest.mark.parametrize("name", SPACES)
def test_no_space_changes_what_its_loss_means(name: str) -> None:
    # A trial would win by a smaller weight, not by a better model.
    meaning = {
        "kl_weight",
        "balance",
        "gamma",
        "reconstruction_weight",
        "clip",
        "common_mode",
        "normalisation",
        "scaling",
    }
    settings = [SPACES[name](Walk(Draw(seed))) for seed in range(20)]
    assert not meaning & {key for drawn in settings for key in drawn}


def test_a_model_without_a_space_of_its_own_takes_that_of_its_family() -> None:
    assert space_of("tiny_cnn") is SPACES["cnn"]
    assert space_of("tiny_effnet_classifier") is SPACES["effnet_classifier"]
    assert space_of("ae_27d_z14") is SPACES["ae_3d_200"]
    # The same family, but no classifier.
    with pytest.raises(InputError, match="no search space for tiny_effnet_ae; there is one for cnn, "):
        space_of("tiny_effnet_ae")
    with pytest.raises(UnknownModelError, match="did you mean"):
        space_of("cnnn")


def test_a_pooled_map_of_the_vae_never_has_an_odd_side() -> None:
    odd = {"kernel_sizes0": 12, "kernel_sizes1": 5}
    settings = SPACES["vae"](FixedTrial({**baseline_of("vae"), **odd}))
    assert settings["kernel_sizes"] == [12, 6]


# --- Digests ------------------------------------------------------------------------------------------------------------------


def space(high: int = 3, name: str = "n", *, log: bool = False, fixed: int = 1) -> Any:
    def draw(trial: Any) -> dict[str, Any]:
        count = trial.suggest_int(name, 1, high)
        rates = [trial.suggest_float(f"rate{i}", 0.1, 1.0, log=log) for i in range(count)]
        return {"rates": rates, "epochs": fixed}

    return draw


@pytest.mark.parametrize("changed", [{"high": 4}, {"name": "m"}, {"log": True}, {"fixed": 2}])
def test_a_changed_space_has_another_version(changed: dict[str, Any]) -> None:
    assert version(space()) == version(space())
    assert version(space(**changed)) != version(space())


def test_parameters_behind_a_choice_are_part_of_a_space() -> None:
    assert list(distributions(space())) == ["n", "rate0", "rate1", "rate2"]


def test_an_impossible_way_hides_no_parameter() -> None:
    def draw(trial: Any) -> dict[str, Any]:
        if trial.suggest_categorical("kind", ["plain", "wide"]) == "plain":
            impossible(trial, "plain ones are sold out")
        return {"width": trial.suggest_int("width", 1, 9)}

    assert list(distributions(draw)) == ["kind", "width"]
    walk = Walk(lambda *_: "plain")
    with pytest.raises(optuna.TrialPruned, match="plain ones are sold out"):
        draw(walk)
    assert walk.user_attrs == {"impossible": "plain ones are sold out"}


def test_parameters_are_found_by_the_names_of_settings() -> None:
    def draw(trial: Any) -> dict[str, Any]:
        return {"units": [trial.suggest_int(f"units{i}", 1, 9) for i in range(trial.suggest_int("n_units", 1, 3))]}

    assert parameters_of(draw, {"units": [4, 7], "more": 1}) == {"n_units": 2, "units0": 4, "units1": 7}
    with pytest.raises(KeyError, match="n_units"):
        parameters_of(draw, {"more": 1})
