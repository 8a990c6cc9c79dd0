"""What one trial is worth: a training with the settings of its space, and the numbers asked for."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from particle_zoo import registry
from particle_zoo.data import splits
from particle_zoo.errors import InputError
from tuning.metrics import direction
from tuning.spaces import Space, impossible, space_of
from tuning.trial_data import TrialData, open_data

LONGEST = 9_999
"""Epochs of a fold, where a recipe counts steps instead."""


class Objective:
    """The objective of a search: call it with a trial.

    A trial trains once, or once a fold, and stops early where the settings say so. Its value is that of the epoch with the
    lowest validation loss, whose weights a training keeps; with folds it is the mean over them. With one metric a pruner sees
    every epoch. With folds it sees the mean of the folds that are done and of that epoch, and the mean after each fold: bad
    settings show in a few epochs of the first.

    User attributes of a trial: `settings` (for `particle_zoo.train --params`), `parameters`, `epochs_run`, `best_epoch`,
    `seconds`, `versions`, what else was measured of the trained model, with folds `fold_values`, and where a trial came to
    nothing the sentence `impossible` or `diverged`.

    Data are loaded with the first trial and stay. Pickled, as for another process, an objective is its arguments alone.

    Args:
        name: a registered model.
        space: of its settings; that of its family by default.
        dataset: NAME[/CONFIG]; the model's default without it.
        data_dir: where prepared data are kept.
        manual_dir: the user's files.
        classes: names, comma-separated.
        limit: the first so many training examples.
        epochs: of a trial; those of the model's recipe by default.
        seed: of weights, order and folds, the same for all trials.
        precision: dtype policy.
        metric: one or several: a key of the logs of an epoch such as val_loss or val_accuracy, a measure of the family (see
            `TrialData.measures`), parameters, or latency in ms of a forward pass of one example; by default val_loss.
        folds: cross-validation by id on the examples of training and validation; 0 has none.

    Raises:
        InputError: an unknown model or metric, no space for the model, or a number that cannot be.
    """

    def __init__(
        self,
        name: str,
        space: Space | None = None,
        *,
        dataset: str | None = None,
        data_dir: Path | None = None,
        manual_dir: Path | None = None,
        classes: str | None = None,
        limit: int | None = None,
        epochs: int | None = None,
        seed: int = 0,
        precision: str = "float32",
        metric: str | Sequence[str] = (),
        folds: int = 0,
    ) -> None:
        self.card, self.space = registry.info(name), space or space_of(name)
        self.metrics = ((metric,) if isinstance(metric, str) else tuple(metric)) or ("val_loss",)
        self.epochs, self.folds = epochs, folds
        self.choice: dict[str, Any] = {
            "dataset": dataset, "data_dir": data_dir, "manual_dir": manual_dir, "classes": classes, "limit": limit,
            "seed": seed, "precision": precision,
        }  # fmt: skip
        if len(set(self.metrics)) < len(self.metrics):
            raise InputError(f"every --metric once; received {', '.join(self.metrics)}")
        if folds == 1 or folds < 0:
            raise InputError(f"--folds is 2 or more, or 0 for none; received {folds}")

    @cached_property
    def data(self) -> TrialData:
        """What trials train on."""
        return open_data(self.card, **self.choice)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "data"}

    @property
    def directions(self) -> tuple[str, ...]:
        """`minimize` or `maximize`, one a metric."""
        return tuple(map(direction, self.metrics))

    @cached_property
    def conditions(self) -> dict[str, Any]:
        """What the trials of one study must share for their values to be comparable, JSON-ready.

        Raises:
            InputError: unusable data.
        """
        return {
            "model": self.card.name,
            "dataset": self.data.dataset,
            "source": self.data.fingerprint,
            "shares": list(splits.SHARES),
            "classes": list(self.data.classes) if self.data.classes else None,
            "limit": self.choice["limit"],
            "folds": self.folds,
            "epochs": self.epochs,
            "seed": self.choice["seed"],
            "precision": self.choice["precision"],
            "metrics": list(self.metrics),
        }

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of the conditions."""
        return hashlib.sha256(json.dumps(self.conditions, sort_keys=True).encode()).hexdigest()[:16]

    def __call__(self, trial: Any) -> float | tuple[float, ...]:
        """Train with the settings that the space draws for a trial; returns one value a metric.

        Raises:
            optuna.TrialPruned: settings that cannot be, a training that diverged, a model that is of no use, or the pruner.
            InputError: unusable data, or a metric that there is not.
        """
        started = time.perf_counter()
        settings = dict(self.space(trial))
        if self.epochs is not None:
            settings["epochs"] = self.epochs
        trial.set_user_attr("settings", settings)
        try:
            values = self._train(trial, settings)
        finally:
            trial.set_user_attr("seconds", round(time.perf_counter() - started, 2))
        return values[0] if len(values) == 1 else values

    def _train(self, trial: Any, settings: dict[str, Any]) -> tuple[float, ...]:
        from particle_zoo.training import run_folder
        from tuning.memory import free_memory
        from tuning.training import Training

        trial.set_user_attr("versions", run_folder.versions())
        try:
            registry.config_class(self.card.name).from_settings(settings)
        except InputError as error:
            impossible(trial, str(error), error)
        runs: list[Training] = []
        one = len(self.metrics) == 1
        try:
            for part in self.data.parts(self.folds):
                free_memory()
                done = [run.values[0] for run in runs]
                runs.append(Training(self.data, self.metrics, trial, report=one, done=done, stride=self._stride))
                runs[-1].run(settings, part)
                mean = np.mean([run.values for run in runs], axis=0)
                if self.folds and one:
                    trial.report(float(mean[0]), len(runs) * self._stride - 1)
                    if len(runs) < self.folds and trial.should_prune():
                        raise optuna.TrialPruned(f"the pruner stopped it after {len(runs)} of {self.folds} folds")
        finally:
            self._describe(trial, runs)
        return tuple(mean.tolist())

    @property
    def steps(self) -> int | None:
        """Values that a trial reports at most; None where that is not known."""
        return self.epochs if not self.folds or self.epochs is None else self.folds * self._stride

    @property
    def _stride(self) -> int:
        """Reports of one fold: its epochs, and the mean after them."""
        return (self.epochs or LONGEST) + 1

    def _describe(self, trial: Any, runs: list[Any]) -> None:
        """Tell what is known of the trainings, of pruned ones, too."""
        trial.set_user_attr("epochs_run", sum(len(run.epochs) for run in runs))
        judged = [run for run in runs if run.values]
        if not judged:
            return
        trial.set_user_attr("best_epoch", round(float(np.mean([run.best for run in judged]))))
        for name in judged[0].measures:
            trial.set_user_attr(name, float(np.mean([run.measures[name] for run in judged])))
        if self.folds:
            trial.set_user_attr("fold_values", [list(run.values) for run in judged])
