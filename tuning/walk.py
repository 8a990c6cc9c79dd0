"""Walks through a define-by-run space: its parameters, and their values for given settings."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from optuna import TrialPruned
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

Space = Callable[[Any], dict[str, Any]]
"""Draws settings of a model's configuration from a trial."""

WALKS = 256
"""Random ways through a space; what depends on three choices is still met by many of them."""


class Walk:
    """Stands in for a trial: asks a function for every value, and remembers what it was asked for.

    Args:
        choose: from the name and the distribution of a parameter to its value.
    """

    number = 0

    def __init__(self, choose: Callable[[str, BaseDistribution], Any]) -> None:
        self.choose = choose
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}
        self.user_attrs: dict[str, Any] = {}

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """As `optuna.Trial.suggest_int`."""
        return self._suggest(name, IntDistribution(low, high, log, step))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """As `optuna.Trial.suggest_float`."""
        return self._suggest(name, FloatDistribution(low, high, log, step))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """As `optuna.Trial.suggest_categorical`."""
        return self._suggest(name, CategoricalDistribution(choices))

    def set_user_attr(self, key: str, value: Any) -> None:
        """As `optuna.Trial.set_user_attr`."""
        self.user_attrs[key] = value

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        self.distributions[name] = distribution
        self.params[name] = self.choose(name, distribution)
        return self.params[name]


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Every parameter of a space, whatever choice it depends on, by name and sorted."""
    found: dict[str, BaseDistribution] = {}
    for seed in range(WALKS):
        walk = Walk(Draw(seed))
        with contextlib.suppress(TrialPruned):
            space(walk)
        found |= walk.distributions
    return dict(sorted(found.items()))


def version(space: Space) -> str:
    """Digest of a space: another one where names, ranges or scales change, or the settings made of the ends of the ranges."""
    text: list[dict[str, Any]] = [{name: distribution_to_json(value) for name, value in distributions(space).items()}]
    for end in (0, -1):
        with contextlib.suppress(TrialPruned):
            text.append(space(Walk(partial(_end, end))))
    return hashlib.sha256(json.dumps(text, sort_keys=True).encode()).hexdigest()[:12]


def _end(end: int, name: str, distribution: BaseDistribution) -> Any:
    """The first or last value of a distribution, whatever the name."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[end]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return distribution.high if end else distribution.low


def parameters_of(space: Space, settings: dict[str, Any]) -> dict[str, Any]:
    """The parameters with which a space gives these settings of a configuration.

    A parameter is named like the setting, `n_NAME` like its length, or `NAME0` like one of its entries.

    Raises:
        KeyError: a parameter with another name.
    """

    def find(name: str, _: BaseDistribution) -> Any:
        if name in settings:
            return settings[name]
        if name.removeprefix("n_") in settings:
            return len(settings[name.removeprefix("n_")])
        entry = re.fullmatch(r"(\w+?)(\d+)", name)
        if entry is None or int(entry[2]) >= len(settings.get(entry[1], ())):
            raise KeyError(name)
        return settings[entry[1]][int(entry[2])]

    walk = Walk(find)
    space(walk)
    return walk.params


class Draw:
    """Random values of parameters, uniform in their range.

    Args:
        seed: of the values.
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def __call__(self, name: str, distribution: BaseDistribution) -> Any:
        """A value of the distribution, whatever the name."""
        if isinstance(distribution, CategoricalDistribution):
            return distribution.choices[self.rng.integers(len(distribution.choices))]
        if isinstance(distribution, IntDistribution):
            return int(self.rng.choice(np.arange(distribution.low, distribution.high + 1, distribution.step)))
        assert isinstance(distribution, FloatDistribution)
        return float(self.rng.uniform(distribution.low, distribution.high))
