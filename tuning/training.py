"""One training of a trial, watched from epoch to epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import optuna

from particle_zoo.cli import sentence
from particle_zoo.errors import InputError
from tuning.metrics import COSTS, cost
from tuning.spaces import impossible
from tuning.trial_data import Part, TrialData
from tuning.watch import Watch

OUT_OF_MEMORY = ("MemoryError", "ResourceExhaustedError", "OutOfMemoryError")
"""Names of what Python, TensorFlow and PyTorch raise."""

OF_EPOCHS = {"accuracy": "val_accuracy", "balanced_accuracy": "val_accuracy"}
"""What the logs of an epoch say of a measure that is taken at the end."""


class Training:
    """Train a model once and value it.

    Args:
        data: of the search.
        metrics: names.
        trial: that of Optuna.
        report: whether every epoch is reported to it.
        done: values of the folds before this training.
        stride: reports of a fold.

    Attributes:
        epochs: logs of each epoch.
        best: number of the epoch whose weights count.
        measures: what was measured of the trained model, by name.
        values: one a metric; empty before there are any.
    """

    def __init__(
        self,
        data: TrialData,
        metrics: Sequence[str],
        trial: Any,
        *,
        report: bool,
        done: Sequence[float] = (),
        stride: int = 0,
    ) -> None:
        self.data, self.metrics, self.trial = data, tuple(metrics), trial
        self.reported = OF_EPOCHS.get(self.metrics[0], self.metrics[0]) if report else None
        self.done, self.stride = tuple(done), stride
        self.epochs: list[dict[str, float]] = []
        self.best = 0
        self.measures: dict[str, float] = {}
        self.values: tuple[float, ...] = ()

    def run(self, settings: dict[str, Any], part: Part) -> None:
        """Train, measure and value.

        Raises:
            optuna.TrialPruned: see `Objective`.
            InputError: unusable data, or a metric that there is not.
        """
        measured = self.data.ALWAYS or bool({*self.metrics} & {*self.data.measures})
        needed = [name for name in self.metrics if name not in (*self.data.measures, *COSTS)]
        watch = Watch(
            self.trial,
            report=self.reported,
            needed=needed,
            keep=measured,
            done=self.done,
            first=len(self.done) * self.stride,
        )
        self.epochs = watch.epochs
        try:
            model = self._build(settings, part[0])
            self.trial.set_user_attr("parameters", model.count_params())
            self.data.fit(model, part, [watch])
        except InputError as error:
            # Before the first epoch it is not the settings that are wrong, which were checked, but the data.
            if not watch.epochs:
                raise
            self._diverged(str(error), error)
        except Exception as error:
            if type(error).__name__ not in OUT_OF_MEMORY:
                raise
            impossible(self.trial, "the training needs more memory than there is", error)
        self.best = watch.best
        if watch.error is not None:
            raise watch.error
        if watch.missing:
            names = sorted({*watch.epochs[-1], *self.data.measures, *COSTS})
            raise InputError(f"no metric {watch.missing!r}; {self.data.card.name} has {', '.join(names)}")
        if watch.pruned:
            where = f" of fold {len(self.done) + 1}" if self.done else ""
            raise optuna.TrialPruned(f"the pruner stopped it after {len(watch.epochs)} epochs{where}")
        if measured:
            model.set_weights(watch.weights)
            self.measures = self.data.measure(model, part)
            reason = self.data.refusal(self.measures)
            if reason is not None:
                impossible(self.trial, reason)
        self.values = tuple(self._value(name, model, part) for name in self.metrics)

    def _build(self, settings: dict[str, Any], train: Any) -> Any:
        try:
            return self.data.build(settings, train)
        except InputError:
            raise
        except ValueError as error:
            # A layer that Keras cannot make.
            impossible(self.trial, sentence(str(error)), error)

    def _value(self, name: str, model: Any, part: Part) -> float:
        known = {**self.epochs[self.best], **self.measures}
        value = cost(name, model, part[1][:1]) if name in COSTS else known[name]
        if not np.isfinite(value):
            self._diverged(f"{name} is {value:g} with these settings")
        return float(value)

    def _diverged(self, reason: str, cause: Exception | None = None) -> NoReturn:
        self.trial.set_user_attr("diverged", reason)
        raise optuna.TrialPruned(reason) from cause
