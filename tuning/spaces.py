"""Search spaces, define-by-run, and the hand-found values each search starts from.

The two CNN spaces are the tables of seed 003, name by name; `CNNConfig` and `CNNMetaConfig` understand these names.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np
from optuna import Trial, TrialPruned
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from particle_zoo import registry
from particle_zoo.errors import InputError

Space = Callable[[Trial], dict[str, Any]]
"""Draws settings of a model's configuration."""


def cnn(trial: Trial) -> dict[str, Any]:
    """First table. N_dense_layers counts the output layer."""
    for i in range(trial.suggest_int("N_conv_layers", 1, 3)):
        trial.suggest_int(f"conv_filter_exp{i}", 3, 7)
        trial.suggest_int(f"conv_kernel_size{i}", 2, 5)
    for i in range(trial.suggest_int("N_dense_layers", 1, 3) - 1):
        trial.suggest_int(f"dense_units_exp{i}", 3, 5)
    trial.suggest_float("dropout_rate", 0.0, 0.5)
    trial.suggest_float("adam_learning_rate", 1e-7, 1e-1, log=True)
    trial.suggest_int("adam_decay_steps", 100, 10_000)
    trial.suggest_float("adam_decay_rate", 0.8, 1.0)
    return dict(trial.params)


def cnn_meta(trial: Trial) -> dict[str, Any]:
    """Second table."""
    for i in range(trial.suggest_int("N_conv_layers", 1, 3)):
        trial.suggest_int(f"filters_layer{i}", 8, 64)
        trial.suggest_int(f"filter_size_layer{i}", 3, 7)
        trial.suggest_int(f"stride_layer{i}", 1, 3)
        trial.suggest_int(f"padding_layer{i}", 1, 3)
    for i in range(trial.suggest_int("N_dense_layers", 1, 3)):
        trial.suggest_int(f"dense_layer{i}", 8, 128)
    trial.suggest_float("dropout_rate", 0.0, 0.5)
    trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True)
    return dict(trial.params)


SPACES: dict[str, Space] = {"cnn": cnn, "cnn_meta": cnn_meta}
"""By the model they were made for."""

BASELINES: dict[str, dict[str, Any]] = {
    "cnn": {
        "N_conv_layers": 2, "conv_filter_exp0": 6, "conv_kernel_size0": 2, "conv_filter_exp1": 4, "conv_kernel_size1": 5,
        "N_dense_layers": 3, "dense_units_exp0": 4, "dense_units_exp1": 3, "dropout_rate": 0.4981,
        "adam_learning_rate": 3.676e-4, "adam_decay_steps": 3866, "adam_decay_rate": 0.9122,
    },
    "cnn_meta": {
        "N_conv_layers": 3, "filters_layer0": 41, "filter_size_layer0": 6, "stride_layer0": 1, "padding_layer0": 3,
        "filters_layer1": 49, "filter_size_layer1": 3, "stride_layer1": 1, "padding_layer1": 2,
        "filters_layer2": 9, "filter_size_layer2": 7, "stride_layer2": 2, "padding_layer2": 2,
        "N_dense_layers": 3, "dense_layer0": 84, "dense_layer1": 55, "dense_layer2": 99,
        "dropout_rate": 0.4275, "learning_rate": 1.1811e-4,
    },
}  # fmt: skip
"""The tables' final values, trial 0 of a search over the space of that name."""


def space_of(name: str) -> Space:
    """The space of a model: its own, or that of its family.

    Raises:
        InputError: there is none.
        UnknownModelError: no such model.
    """
    card = registry.info(name)
    if name in SPACES:
        return SPACES[name]
    for known, space in SPACES.items():
        other = registry.info(known)
        if (other.family, other.task) == (card.family, card.task):
            return space
    raise InputError(f"no search space for {name}; there is one for {', '.join(SPACES)} and others of their families")


def baseline_of(name: str) -> dict[str, Any]:
    """Parameters of trial 0 of a search of a model: hand-tuned values."""
    return BASELINES[space_of(name).__name__]


def impossible(trial: Any, reason: str, *, cause: Exception | None = None) -> NoReturn:
    """Give up a trial whose settings cannot be.

    Raises:
        TrialPruned: always; the reason is the user attribute `impossible` of the trial, too.
    """
    trial.set_user_attr("impossible", reason)
    raise TrialPruned(reason) from cause


class Walk:
    """A trial that asks a function for every value, and remembers the distributions.

    Args:
        choose: from the name and the distribution of a parameter to its value.
    """

    def __init__(self, choose: Callable[[str, BaseDistribution], Any]) -> None:
        self.choose = choose
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}
        self.user_attrs: dict[str, Any] = {}

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return self._suggest(name, IntDistribution(low, high, log, step))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return self._suggest(name, FloatDistribution(low, high, log, step))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._suggest(name, CategoricalDistribution(choices))

    def set_user_attr(self, key: str, value: Any) -> None:
        self.user_attrs[key] = value

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        self.distributions[name] = distribution
        self.params[name] = self.choose(name, distribution)
        return self.params[name]


WALKS = 256
"""Ways through a space that find its parameters."""


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Every parameter of a space, whatever it depends on, by name."""
    found: dict[str, BaseDistribution] = {}
    for seed in range(WALKS):
        rng = np.random.default_rng(seed)
        walk = Walk(lambda name, distribution, rng=rng: _draw(distribution, rng))
        with contextlib.suppress(TrialPruned):
            space(walk)
        found |= walk.distributions
    return dict(sorted(found.items()))


def version(space: Space) -> str:
    """Digest of a space: another one for other names, ranges or scales."""
    text = {name: distribution_to_json(value) for name, value in distributions(space).items()}
    return hashlib.sha256(json.dumps(text).encode()).hexdigest()[:12]


def _draw(distribution: BaseDistribution, rng: np.random.Generator) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[rng.integers(len(distribution.choices))]
    if isinstance(distribution, IntDistribution):
        return int(rng.integers(distribution.low, distribution.high, endpoint=True))
    return float(rng.uniform(distribution.low, distribution.high))
