"""What `keras.Model.fit` does, on the devices of a `tf.distribute` strategy.

`keras.Model.fit` itself splits a batch so that means over unequal parts count alike, and keeps what its metrics have counted
in variables of single devices; a loss curve would depend on the number of devices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from particle_zoo.training.devices.strategy_step import StrategyStep
from particle_zoo.training.devices.twin import copy_state, make_twin

VALIDATION_BATCH = 32
"""Of arrays to validate on, as in Keras."""


class _Totals:
    """Losses and metrics of the steps so far, summed on the host."""

    def __init__(self, metrics: Sequence[Any]) -> None:
        self.loss = self.count = 0.0
        self.metrics = metrics
        self.sums = [[np.zeros(v.shape) for v in metric.variables] for metric in metrics]

    def add(self, loss: float, count: float, added: list[list[np.ndarray]]) -> None:
        self.loss, self.count = self.loss + loss, self.count + count
        self.sums = [
            [a + b for a, b in zip(one, more, strict=True)] for one, more in zip(self.sums, added, strict=True)
        ]

    def logs(self) -> dict[str, float]:
        found = {"loss": self.loss / max(self.count, 1.0)}
        for metric, sums in zip(self.metrics, self.sums, strict=True):
            for variable, value in zip(metric.variables, sums, strict=True):
                variable.assign(value.astype(variable.dtype))
            found[metric.name] = float(metric.result())
        return found


def strategy_fit(
    strategy: Any,
    model: Any,
    batches: Any,
    *,
    steps: int,
    first: int,
    epochs: int,
    watched: Any,
    callbacks: Sequence[keras.callbacks.Callback],
    verbose: int | str,
    agree: Callable[[bool], bool],
) -> dict[str, list[float]]:
    """Train a twin of the model on the devices; see `particle_zoo.training.devices.base.Devices.fit`.

    Args:
        strategy: a `tf.distribute.Strategy`.
        model: what the callbacks see; it has the state of the twin whenever one is called at the beginning or end of an
            epoch or a validation, and what they change in it goes back.
        batches: as in `Devices.fit`.
        steps: as in `Devices.fit`.
        first: as in `Devices.fit`.
        epochs: as in `Devices.fit`.
        watched: as in `Devices.fit`.
        callbacks: as in `Devices.fit`.
        verbose: as in `Devices.fit`.
        agree: whether the chief wants to stop.
    """
    source = iter(batches)
    start = next(source)
    with strategy.scope():
        twin = make_twin(model)
    # Metrics of the compilation have no variables before they have seen what they compare.
    for built in (model, twin):
        built._symbolic_build(data_batch=start)
    metrics = _reported(model)
    names = [metric.name for metric in metrics]
    listeners = keras.callbacks.CallbackList(
        list(callbacks),
        add_history=True,
        add_progbar=verbose != 0,
        verbose=verbose,
        epochs=epochs,
        steps=steps,
        model=model,
    )
    learn = StrategyStep(strategy, twin, names, start, training=True)
    look = None
    logs: dict[str, Any] = {}
    model.stop_training = False
    listeners.on_train_begin()
    for epoch in range(first, epochs):
        listeners.on_epoch_begin(epoch)
        totals = _Totals(metrics)
        for step in range(steps):
            batch = next(source) if start is None else start
            start = None
            listeners.on_train_batch_begin(step)
            totals.add(*learn(batch))
            logs = totals.logs()
            listeners.on_train_batch_end(step, logs)
            # What is no number is that on all processes; other reasons to stop come at the end of an epoch.
            if model.stop_training:
                break
        copy_state(twin, model)
        if watched is not None:
            listeners.on_test_begin()
            copy_state(model, twin)
            totals = _Totals(metrics)
            for step, batch in enumerate(_validation(watched)):
                look = look or StrategyStep(strategy, twin, names, batch, training=False)
                listeners.on_test_batch_begin(step)
                totals.add(*look(batch))
                listeners.on_test_batch_end(step, {})
            found = totals.logs()
            listeners.on_test_end(found)
            logs = {**logs, **{f"val_{name}": value for name, value in found.items()}}
        listeners.on_epoch_end(epoch, logs)
        copy_state(model, twin)
        model.stop_training = agree(bool(model.stop_training))
        if model.stop_training:
            break
    listeners.on_train_end(logs)
    return dict(model.history.history)


def _reported(model: Any) -> list[Any]:
    """The metrics whose values are logged, in Keras's order, without the loss."""
    single: list[Any] = []
    for metric in model.metrics:
        inner = getattr(metric, "metrics", None)
        single += [metric] if inner is None else inner
    return [metric for metric in single if metric.name != "loss"]


def _validation(watched: Any) -> Iterator[Any]:
    if isinstance(watched, tuple):
        for start in range(0, len(watched[0]), VALIDATION_BATCH):
            yield tuple(array[start : start + VALIDATION_BATCH] for array in watched)
        return
    for step in range(len(watched)):
        yield watched[step]
