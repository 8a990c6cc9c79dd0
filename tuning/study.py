"""The study of a search: created once, joined by every process, and refused where its trials could not be compared."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection

from particle_zoo.errors import InputError
from tuning.samplers import make_pruner, make_sampler
from tuning.storage import describe, open_storage, quiet_optuna
from tuning.worker import count

PREPARED_S = 10.0
"""What the process that created a study may take until it has enqueued the first trials."""


@dataclass(frozen=True)
class Plan:
    """What a search is to be; picklable, so that every worker opens the study for itself.

    Args:
        name: of the study in its storage.
        model: name of the model.
        folder: of the search.
        storage: see `tuning.storage.open_storage`.
        sampler: one of `tuning.samplers.SAMPLERS`.
        pruner: one of `tuning.samplers.PRUNERS`, or None for the usual one.
        seed: of the sampler.
        metrics: names of the values of a trial.
        directions: `minimize` or `maximize`, one a metric.
        space: version of the search space.
        conditions: what all trials must share, JSON-ready, by name.
        baseline: parameters of trial 0.
        grid: parameters of all other trials, where not a sampler but a list decides.
        steps: values that a trial reports at most.
        grace: s without a sign of life until the process of another machine is dead.
    """

    name: str
    model: str
    folder: Path
    storage: str | None = None
    sampler: str = "tpe"
    pruner: str | None = None
    seed: int = 0
    metrics: tuple[str, ...] = ("val_loss",)
    directions: tuple[str, ...] = ("minimize",)
    space: str = ""
    conditions: Mapping[str, Any] = field(default_factory=dict)
    baseline: Mapping[str, Any] = field(default_factory=dict)
    grid: Sequence[Mapping[str, Any]] = ()
    steps: int | None = None
    grace: float = 60.0

    @property
    def place(self) -> str:
        """Where the study is kept, for people."""
        return describe(self.storage, self.folder)

    @property
    def elsewhere(self) -> str:
        """How to begin anew."""
        return "--output" if self.storage is None else "--study"

    def open(self) -> optuna.Study:
        """Create the study, or join it.

        Raises:
            InputError: a storage that cannot be used, a sampler that lacks a package or cannot take several objectives, or a
                study of another model, space or data.
        """
        # One line a trial is printed anyway.
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with quiet_optuna():
            sampler = make_sampler(self.sampler, objectives=len(self.directions), seed=self.seed)
        pruner = make_pruner(self.pruner, objectives=len(self.directions), steps=self.steps)
        storage = open_storage(self.storage, self.folder, grace=self.grace)
        study = self._join(storage)
        study.sampler, study.pruner = sampler, pruner
        return study

    def _join(self, storage: BaseStorage) -> optuna.Study:
        if self.storage is None:
            other = [found.study_name for found in storage.get_all_studies() if found.study_name != self.name]
            if other:
                raise InputError(
                    f"{self.place} holds the study {other[0]}; received {self.name}; take another --output"
                )
        directions = [StudyDirection[direction.upper()] for direction in self.directions]
        try:
            study = optuna.create_study(storage=storage, study_name=self.name, directions=directions)
        except DuplicatedStudyError:
            study = optuna.load_study(storage=storage, study_name=self.name)
            if self._await(study) and not self._fits(study):
                optuna.delete_study(storage=storage, study_name=self.name)
                return self._join(storage)
            return study
        self._prepare(study)
        return study

    def _await(self, study: optuna.Study) -> bool:
        """Wait until another process has prepared the study; do it where that one died."""
        until = time.monotonic() + PREPARED_S
        while "prepared" not in study.user_attrs:
            if study.get_trials(deepcopy=False) and "model" not in study.user_attrs:
                raise InputError(
                    f"the study {self.name} in {self.place} was not made by this command; take another {self.elsewhere}"
                )
            if time.monotonic() > until:
                self._prepare(study)
                return False
            time.sleep(0.1)
        return True

    def _prepare(self, study: optuna.Study) -> None:
        study.set_user_attr("model", self.model)
        study.set_user_attr("space", self.space)
        study.set_user_attr("conditions", dict(self.conditions))
        with quiet_optuna():
            study.set_metric_names(list(self.metrics))
        for parameters in (self.baseline, *self.grid):
            study.enqueue_trial(dict(parameters), skip_if_exists=True)
        # Last: the others wait for it.
        study.set_user_attr("prepared", True)

    def _fits(self, study: optuna.Study) -> bool:
        """Whether a study is what this plan says; False where it has no results yet and can be made anew.

        Raises:
            InputError: it is something else.
        """
        found, done = study.user_attrs, any(count(study)[:2])
        if found["model"] != self.model:
            raise InputError(
                f"the study {self.name} in {self.place} searches {found['model']}; received {self.model}; "
                f"take another {self.elsewhere}"
            )
        before = {**found["conditions"], "space": found["space"]}
        now = {**self.conditions, "space": self.space}
        changed = {key: before.get(key) for key in {**now, **before} if before.get(key) != now.get(key)}
        if not changed:
            return True
        if not done:
            return False
        names = {"space": "the search space", "source": "the data", "grid": "the grid"}
        what = ", ".join(names.get(key) or f"{key} ({value}, now {now.get(key)})" for key, value in changed.items())
        raise InputError(
            f"the study {self.name} in {self.place} was begun with other settings, so that values would not compare: {what}; "
            f"repeat the first command, or begin anew with another {self.elsewhere}"
        )
