"""The callback through which a trial sees its training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np


class Watch(keras.callbacks.Callback):
    """Keep the logs of every epoch, report one of their values to the trial, and stop where its pruner says so.

    Nothing is raised inside `fit`, so that other callbacks end properly: what went wrong is in `error`, for the caller.

    Args:
        trial: that of Optuna.
        report: key of the logs to report after every epoch; None, or one that is not there, reports nothing.
        needed: keys that the logs must have: without one the training stops after its first epoch.
        keep: whether the weights of the best epoch are kept.
        done: values of other trainings of the trial, with which an epoch's is averaged.
        first: number of the first report.

    Attributes:
        epochs: the logs, one dict an epoch.
        best: number of the epoch with the lowest validation loss, which is the one whose weights a training keeps; without
            validation that of the lowest loss.
        weights: of that epoch, where they are kept.
        missing: a needed key that is not there.
        pruned: whether the pruner stopped the training.
        error: what a report raised.
    """

    def __init__(
        self,
        trial: Any,
        *,
        report: str | None,
        needed: Sequence[str],
        keep: bool,
        done: Sequence[float] = (),
        first: int = 0,
    ) -> None:
        super().__init__()
        self.done, self.first = tuple(done), first
        self.trial, self.report, self.needed, self.keep = trial, report, needed, keep
        self.epochs: list[dict[str, float]] = []
        self.best = 0
        self.weights: list[Any] | None = None
        self.missing: str | None = None
        self.pruned = False
        self.error: Exception | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epochs.append({key: float(value) for key, value in (logs or {}).items()})
        self.missing = next((key for key in self.needed if key not in self.epochs[-1]), None)
        now, lowest = self._loss(-1), self._loss(self.best)
        if len(self.epochs) == 1 or now < lowest or np.isnan(lowest):
            self.best = len(self.epochs) - 1
            self.weights = self.model.get_weights() if self.keep else None
        if self.report in self.epochs[-1]:
            try:
                value = float(np.mean([*self.done, self.epochs[-1][self.report]]))
                self.trial.report(value, self.first + epoch)
                self.pruned = self.trial.should_prune()
            except Exception as error:
                self.error = error
        if self.missing or self.pruned or self.error is not None:
            self.model.stop_training = True

    def _loss(self, epoch: int) -> float:
        logs = self.epochs[epoch]
        return logs.get("val_loss", logs.get("loss", float("nan")))
