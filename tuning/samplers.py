"""Samplers and pruners by name."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from particle_zoo.errors import InputError
from tuning.takeover import HISTORY

SAMPLERS = ("tpe", "gp", "random", "cmaes", "grid")
PRUNERS = ("median", "hyperband", "none")

NEEDS = {"gp": ("torch", "gp"), "cmaes": ("cmaes", "tune")}
"""Packages that samplers need, and the extras that bring them."""

STARTUP = 5
"""Trials that the median pruner lets through before it has anything to compare with."""


class Seeded(BaseSampler):
    """A sampler that draws for every trial by its number.

    Its random state is in no storage. With one seed a continued search would draw its first points again, and so would
    every worker; this way a search by one process is the same whether it was stopped in between or not.

    Args:
        make: gives a sampler of a seed.
        seed: of all trials.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self.make, self.seed = make, seed
        self._inner = make(seed)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        state = np.random.SeedSequence((self.seed, trial.number)).generate_state(1)
        self._inner = self.make(int(state[0]))
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As the sampler does."""
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the sampler does."""
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As the sampler does."""
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._inner.after_trial(study, trial, state, values)


class _SparesBaseline(BasePruner):
    """Never stops trial 0 or what repeats it: without its value none knows by how much it was beaten."""

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        # Asked in any case: Hyperband notes the value for the others.
        worse = super().prune(study, trial)  # type: ignore[safe-super]
        return worse and 0 not in (trial.number, *trial.system_attrs.get(HISTORY, ()))


class _Median(_SparesBaseline, optuna.pruners.MedianPruner):
    pass


class _Hyperband(_SparesBaseline, optuna.pruners.HyperbandPruner):
    pass


def make_sampler(name: str, *, objectives: int = 1, seed: int = 0) -> BaseSampler:
    """A sampler by name.

    Args:
        name: one of `SAMPLERS`. A grid is enqueued, not sampled, since Optuna's hands out points twice to several
            processes; what it leaves open is drawn at random.
        objectives: how many values a trial has.
        seed: of all trials.

    Raises:
        InputError: a missing package, or several objectives where the sampler knows one.
    """
    package, extra = NEEDS.get(name, ("", ""))
    if package and importlib.util.find_spec(package) is None:
        raise InputError(
            f"--sampler {name} needs the package {package}; install particle-zoo[{extra}] or take --sampler tpe"
        )
    if name == "cmaes" and objectives > 1:
        raise InputError(f"--sampler cmaes knows one objective, received {objectives}; take --sampler tpe")
    if name == "tpe":
        # As Optuna does by default: parameters are modelled together for one objective only.
        one = objectives == 1
        return Seeded(
            lambda s: optuna.samplers.TPESampler(seed=s, constant_liar=True, multivariate=one, group=one), seed
        )
    if name == "gp":
        return Seeded(lambda s: optuna.samplers.GPSampler(seed=s, warn_independent_sampling=False), seed)
    if name == "cmaes":
        return Seeded(lambda s: optuna.samplers.CmaEsSampler(seed=s, warn_independent_sampling=False), seed)
    return Seeded(lambda s: optuna.samplers.RandomSampler(seed=s), seed)


def make_pruner(name: str | None, *, objectives: int = 1, steps: int | None = None) -> BasePruner:
    """A pruner by name.

    Args:
        name: one of `PRUNERS`; None is median, and none with several objectives.
        objectives: how many values a trial has.
        steps: values that a trial reports at most, where that is known.

    Raises:
        InputError: a pruner with several objectives.
    """
    if objectives > 1 and name not in (None, "none"):
        raise InputError(f"--pruner {name} compares one objective, received {objectives}; take --pruner none")
    if name == "none" or objectives > 1:
        return optuna.pruners.NopPruner()
    if name == "hyperband":
        return _Hyperband(min_resource=1, max_resource=steps or "auto", reduction_factor=3)
    return _Median(n_startup_trials=STARTUP, n_warmup_steps=min(3, (steps or 0) // 10))
