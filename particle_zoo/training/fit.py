"""The one training loop all families share: `keras.Model.fit` with our batches and callbacks."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.data.cluster_stream import ClusterStream
from particle_zoo.errors import InputError
from particle_zoo.evaluation.batches import fitting
from particle_zoo.pipelines.balance import flat_probabilities
from particle_zoo.pipelines.examples import Examples
from particle_zoo.pipelines.streamed import StreamedExamples
from particle_zoo.training import devices, feed
from particle_zoo.training.checkpoint import CHECKPOINT, Checkpoint
from particle_zoo.training.feed import EpochBatches, first_inputs, training_batches
from particle_zoo.training.fresh_statistics import FreshStatistics
from particle_zoo.training.interruption import Interruption

REPEATS = 10
"""An epoch with repetition draws at most so many times as there are clusters."""


def compile_model(model: Any, steps_per_epoch: int, **options: Any) -> None:
    """Compile with the model's own optimizer, loss and metrics, and further options of `compile`."""
    optimizer = model.make_optimizer(steps_per_epoch)
    if model.dtype_policy.compute_dtype == "float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=model.loss_scale)
    model.compile(optimizer=optimizer, **model.compile_args(), **options)
    model.optimizer.build(model.trainable_variables)


def watch(validation: Clusters, config: Any, seed: int) -> Clusters:
    """The validation clusters that are looked at after every epoch: all, or `watch_clusters` of them, chosen by the seed.

    With `flat_sizes` the choice is flat too, as far as there are clusters of each size.
    """
    n = getattr(config, "watch_clusters", 0)
    if not n or n >= len(validation):
        return validation
    weights = flat_probabilities(validation.sizes) if getattr(config, "flat_sizes", False) else None
    chosen = np.random.default_rng((seed, 2)).choice(len(validation), n, replace=False, p=weights)
    return validation[np.sort(chosen)]


def fit(
    model: Any,
    train: Clusters | ClusterStream,
    validation: Clusters | None,
    *,
    classes: Sequence[str] | None,
    seed: int = 0,
    symmetry: np.ndarray | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    folder: Path | None = None,
    spent: float = 0.0,
    verbose: int | str = 0,
) -> dict[str, list[float]]:
    """Train a model on clusters; with a folder, resumably.

    Args:
        model: a zoo model with a fitted preprocessor.
        train: training clusters, or a stream of them, augmented by the 8 symmetries of the square on the fly.
        validation: clusters watched for early stopping and the best epoch; None or empty: the training loss is watched.
        classes: class names in target order; None for models without targets.
        seed: seed of order and augmentation.
        symmetry: (n,) one fixed symmetry a training cluster instead of a random one; not with a stream.
        epochs: defaults to the model's config.
        batch_size: defaults to the model's config.
        callbacks: further callbacks.
        folder: where `history.csv`, `checkpoint.npz` and `model.weights.h5` (best epoch) are kept; a checkpoint that
            is already there is continued. On return the model carries the best weights.
        spent: seconds of a pretraining in this process, which the checkpoint counts, too.
        verbose: as in `keras.Model.fit`.

    Returns:
        The logged values by name, one an epoch of this call.

    Raises:
        InputError: the training diverged; nothing of a diverged epoch is kept. Or a stream with `symmetry`.
    """
    config = model.zoo_config
    batch_size = batch_size or config.batch_size
    recipe: dict[str, Any] = {"classes": classes, "batch_size": batch_size, "seed": seed, "augment": True}
    recipe |= {"balance": getattr(config, "balance", 0.0)}
    samples = min(getattr(config, "epoch_clusters", 0), REPEATS * len(train))
    flat = getattr(config, "flat_sizes", False)
    examples: Examples | StreamedExamples
    if isinstance(train, ClusterStream):
        if symmetry is not None:
            raise InputError(
                "a stream has no symmetry for each cluster; leave symmetry out, or train on clusters in memory"
            )
        examples = StreamedExamples(train, model.preprocess, flat=flat, samples=samples, **recipe)
    else:
        draw = flat_probabilities(train.sizes) if flat else None
        shuffled: dict[str, Any] = {"symmetry": symmetry, "shuffle": True, "draw": draw, "samples": samples}
        examples = Examples(train, model.preprocess, **shuffled, **recipe)
    epochs = epochs or config.epochs or -(-config.steps // len(examples))
    compile_model(model, len(examples))
    watched = None
    if validation is not None and len(validation):
        validation = watch(validation, config, seed)
        # Weighted like the training: otherwise the best epoch would be that of the most frequent class.
        balance = getattr(config, "balance", 0.0)
        held_out = Examples(
            validation,
            model.preprocess,
            classes=classes,
            batch_size=max(batch_size, fitting(model, 32)),
            balance=balance,
        )
        watched = EpochBatches(held_out)
    around = list(callbacks)
    if getattr(config, "fresh_statistics", 0):
        # Before what looks at predictions or keeps weights.
        around.insert(0, FreshStatistics(first_inputs(examples, config.fresh_statistics)))
    return run_epochs(
        model,
        partial(training_batches, examples),
        steps=len(examples),
        epochs=epochs,
        watched=watched,
        callbacks=around,
        folder=folder,
        spent=spent,
        verbose=verbose,
    )


def run_epochs(
    model: Any,
    batches: Callable[[int, int], Any],
    *,
    steps: int,
    epochs: int,
    watched: Any = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    folder: Path | None = None,
    spent: float = 0.0,
    verbose: int | str = 0,
) -> dict[str, list[float]]:
    """Train a compiled model on batches; with a folder, resumably.

    Args:
        model: a zoo model.
        batches: gives every batch from the start of one epoch to the end of the other, counted from 0 and from 1.
        steps: batches an epoch.
        epochs: how many there are.
        watched: what `keras.Model.fit` validates on; None: the training loss is watched.
        callbacks: further callbacks.
        folder: as in `fit`.
        spent: as in `fit`.
        verbose: as in `keras.Model.fit`.

    Returns:
        The logged values by name, one an epoch of this call.

    Raises:
        InputError: the training diverged; nothing of a diverged epoch is kept. Or a batch could not be made.
        MemoryError: there was too little for a batch.
    """
    config = model.zoo_config
    monitor = "loss" if watched is None else "val_loss"
    spread = devices.current()
    if not spread.chief:
        # One process keeps the run, tells where it goes on, and when it ends.
        folder, verbose = None, 0

    interruption = Interruption()
    all_callbacks: list[keras.callbacks.Callback] = [interruption, keras.callbacks.TerminateOnNaN()]
    all_callbacks += callbacks
    stopper = None
    if config.patience:
        stopper = keras.callbacks.EarlyStopping(monitor, patience=config.patience)
        all_callbacks.append(stopper)
    first, checkpoint, history = 0, None, None
    if folder is not None:
        checkpoint = Checkpoint(folder / CHECKPOINT, folder / "model.weights.h5", monitor, stopper, spent)
        first = checkpoint.restore(model)
        history = keras.callbacks.CSVLogger(str(folder / "history.csv"), append=first > 0)
        # The row before the state: a kill between the two leaves a row too many, which the resume removes.
        all_callbacks += [history, checkpoint]

    if spread.processes > 1:
        first = _agree(spread, model, epochs if checkpoint and checkpoint.finished else first)
    logs: dict[str, list[float]] = {}
    if first < epochs and not (checkpoint and checkpoint.finished):
        feed.failure()
        failed = None
        try:
            logs = spread.fit(
                model,
                batches(first, epochs),
                steps=steps,
                first=first,
                epochs=epochs,
                watched=watched,
                callbacks=all_callbacks,
                verbose=verbose,
            )
        except Exception:
            failed = feed.failure()
            if failed is None:
                raise
        finally:
            interruption.restore()
            if history is not None and history.csv_file is not None:
                # Keras closes it at the end of a training that has one.
                history.csv_file.close()
        if failed is not None:
            # Its threads would be waited for when Python ends, and they for Python.
            gc.collect()
            raise failed
        if not np.isfinite(logs["loss"][-1]):
            raise InputError(
                f"the loss is {logs['loss'][-1]} in epoch {first + len(logs['loss']) - 1}: the training diverged; lower "
                f"learning_rate (now {config.learning_rate:g}) and start again"
            )
        if checkpoint is not None and not checkpoint.weights_path.exists():
            raise InputError(
                f"the validation loss was {logs[monitor][-1]} after every epoch, although the loss is {logs['loss'][-1]:g}, so no "
                f"weights are kept; take float32 or a lower learning_rate (now {config.learning_rate:g}) and start again"
            )
    if checkpoint is not None and checkpoint.weights_path.exists():
        model.load_weights(checkpoint.weights_path)
    return logs


def _agree(spread: devices.Devices, model: Any, first: int) -> int:
    """Give the model of every process the state of the chief's; returns the epoch that the chief begins with."""
    variables = Checkpoint.variables(model)
    values = [np.asarray(keras.ops.convert_to_numpy(variable.value)) for variable in variables]
    number, *values = spread.agree([np.array(first), *values])
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return int(number)
