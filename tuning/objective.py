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
from particle_zoo.errors import InputError
from tuning.families import Part, TrialData, open_data
from tuning.spaces import Space, impossible, space_of

MAXIMISED = ("accuracy", "auc", "precision", "recall", "f1")
"""Parts of the names of metrics of which more is better."""

WARM_UP, TIMED = 5, 30
"""Forward passes before, and of, a latency."""

JUDGED = ("accuracy", "balanced_accuracy")
"""Metrics of a classifier on the validation data, with the weights of its best epoch."""

COSTS = ("parameters", "latency")
"""Metrics of the network alone."""


class Objective:
    """The objective of a search: call it with a trial.

    The value of a metric is that of the epoch with the lowest validation loss, whose weights a training keeps; over folds the
    mean. With one metric every epoch is reported for pruning, or with folds the mean after each of them. User attributes of
    the trial: `settings` (for `particle_zoo.train --params`), `parameters`, `epochs_run`, `best_epoch`, `seconds`,
    `versions`, with folds `fold_values`, and for a trial that came to nothing the sentence `impossible` or `diverged`.

    Data are loaded with the first trial and stay; pickled, as for another process, it is its arguments alone.

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
        metric: one or more of: a key of the logs of an epoch such as val_loss or val_accuracy; accuracy and
            balanced_accuracy of a classifier on the validation data; parameters; latency, the median time in ms of a forward
            pass of one example.
        folds: cross-validation by id on training and validation examples with so many folds; 0 has none.

    Raises:
        InputError: an unknown model, metric or data set, or no space for the model.
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
        metric: str | Sequence[str] = "val_loss",
        folds: int = 0,
    ) -> None:
        self.card, self.space = registry.info(name), space or space_of(name)
        self.metrics = (metric,) if isinstance(metric, str) else tuple(metric)
        self.epochs, self.folds = epochs, folds
        self.choice: dict[str, Any] = {
            "dataset": dataset, "data_dir": data_dir, "manual_dir": manual_dir, "classes": classes, "limit": limit,
            "seed": seed, "precision": precision,
        }  # fmt: skip
        if not self.metrics or len(set(self.metrics)) < len(self.metrics):
            raise InputError(f"--metric takes different names; received {', '.join(self.metrics) or 'none'}")
        if set(self.metrics) & set(JUDGED) and self.card.task != "classifier":
            raise InputError(f"{name} is a {self.card.task} and has no accuracy; take --metric val_loss")
        if folds == 1 or folds < 0:
            raise InputError(f"cross-validation takes 2 folds or more, 0 is without; received {folds}")

    @cached_property
    def data(self) -> TrialData:
        """What trials train on."""
        return open_data(self.card, **self.choice)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "data"}

    @property
    def directions(self) -> tuple[str, ...]:
        """`minimize` or `maximize`, one a metric."""
        return tuple("maximize" if any(m in name for m in MAXIMISED) else "minimize" for name in self.metrics)

    @cached_property
    def conditions(self) -> dict[str, Any]:
        """What the trials of one study must share for their values to be compared, JSON-ready."""
        from particle_zoo.data import splits

        return {
            "model": self.card.name,
            "dataset": self.data.dataset,
            "data": self.data.fingerprint,
            "split": [list(splits.SHARES), splits.SEED],
            "classes": list(self.data.classes) if self.data.classes else None,
            "limit": self.choice["limit"],
            "epochs": self.epochs,
            "seed": self.choice["seed"],
            "precision": self.choice["precision"],
            "metrics": list(self.metrics),
            "folds": self.folds,
        }

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of the conditions."""
        return hashlib.sha256(json.dumps(self.conditions, sort_keys=True).encode()).hexdigest()[:16]

    def __call__(self, trial: Any) -> float | tuple[float, ...]:
        """Train with the settings that the space draws for a trial.

        Raises:
            optuna.TrialPruned: settings that cannot be, a training that diverged, or one that the pruner stopped.
            InputError: unusable data, or a metric that the epochs do not log.
        """
        import keras

        from particle_zoo.training import run_folder

        keras.utils.clear_session(free_memory=True)
        started = time.perf_counter()
        settings = dict(self.space(trial))
        if self.epochs is not None:
            settings["epochs"] = self.epochs
        trial.set_user_attr("settings", settings)
        trial.set_user_attr("versions", run_folder.versions())
        try:
            values = self._folds(trial, settings)
        finally:
            trial.set_user_attr("seconds", round(time.perf_counter() - started, 2))
        return values if len(values) > 1 else values[0]

    def _folds(self, trial: Any, settings: dict[str, Any]) -> tuple[float, ...]:
        found: list[tuple[float, ...]] = []
        ran, best = 0, []
        try:
            for part in self.data.parts(self.folds):
                watch, values = self._train(trial, settings, part)
                found.append(values)
                ran, best = ran + len(watch.epochs), [*best, watch.best]
                mean = tuple(float(v) for v in np.mean(found, axis=0))
                if self.folds and len(self.metrics) == 1:
                    trial.report(mean[0], len(found) - 1)
                    if len(found) < self.folds and trial.should_prune():
                        raise optuna.TrialPruned(f"stopped by the pruner after {len(found)} of {self.folds} folds")
        finally:
            trial.set_user_attr("epochs_run", ran)
            if best:
                trial.set_user_attr("best_epoch", round(float(np.mean(best))))
            if self.folds:
                trial.set_user_attr("fold_values", [list(values) for values in found])
        return mean

    def _train(self, trial: Any, settings: dict[str, Any], part: Part) -> tuple[Any, tuple[float, ...]]:
        """One training, and the value of every metric."""
        from tuning.watch import Watch

        try:
            model = self.data.build(settings, part[0])
        except InputError as error:
            impossible(trial, str(error), cause=error)
        trial.set_user_attr("parameters", model.count_params())
        watch = Watch(trial, self._reported, keep=bool(set(self.metrics) & set(JUDGED)))
        try:
            self.data.fit(model, part, [watch])
        except InputError as error:
            trial.set_user_attr("diverged", str(error))
            raise optuna.TrialPruned(str(error)) from error
        if watch.error is not None:
            raise watch.error
        if watch.pruned:
            raise optuna.TrialPruned(f"stopped by the pruner after epoch {len(watch.epochs) - 1}")
        if watch.weights is not None:
            model.set_weights(watch.weights)
        return watch, self._values(model, watch, part)

    @property
    def _reported(self) -> str | None:
        """Key of the logs that says after every epoch what the metric may come to."""
        metric = self.metrics[0]
        if self.folds or len(self.metrics) > 1 or metric in COSTS:
            return None
        return "val_accuracy" if metric in JUDGED else metric

    def _values(self, model: Any, watch: Any, part: Part) -> tuple[float, ...]:
        logs = watch.epochs[watch.best]
        judged = self._judge(model, part[1]) if set(self.metrics) & set(JUDGED) else {}
        values = []
        for name in self.metrics:
            if name == "parameters":
                values.append(float(model.count_params()))
            elif name == "latency":
                values.append(latency(model, part[1]))
            elif name in judged:
                values.append(judged[name])
            elif name in logs:
                values.append(logs[name])
            else:
                known = sorted({*logs, *COSTS, *(JUDGED if self.card.task == "classifier" else ())})
                raise InputError(f"no metric {name!r}; {self.card.name} has {', '.join(known)}")
        return tuple(values)

    def _judge(self, model: Any, validation: Any) -> dict[str, float]:
        from particle_zoo.evaluation import classifier
        from particle_zoo.pipelines.examples import class_index

        classes = self.data.classes or ()
        guess = classifier.probabilities(model, validation).argmax(1)
        return classifier.scores(class_index(validation, classes), guess, classes)


def latency(model: Any, examples: Any) -> float:
    """Median time of a forward pass of one example, ms, after a warm-up."""
    inputs = model.preprocess(examples[:1])
    times = []
    for _ in range(WARM_UP + TIMED):
        started = time.perf_counter()
        model.predict_on_batch(inputs)
        times.append(time.perf_counter() - started)
    return float(np.median(times[WARM_UP:]) * 1e3)
