"""Train autoencoders of jets into a run folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from particle_zoo import registry
from particle_zoo.data import jets as jet_data
from particle_zoo.errors import InputError
from particle_zoo.jets import VARIABLES, Jets
from particle_zoo.registry import ModelCard
from particle_zoo.training import devices, run_folder
from particle_zoo.training.fit import compile_model, run_epochs
from particle_zoo.weights import load_run, locate, write_card

WATCHED = 8192
"""Validation jets a batch: nothing but memory limits it."""


@dataclass(frozen=True)
class JetJob:
    """A model with fitted normalisation and the jets to train it on.

    Args:
        card: of the model.
        model: a `JetAE`.
        dataset: name of the data set.
        training: jets of the training split.
        validation: jets whose loss chooses the best epoch; with none the training loss does.
        seed: of weights and order.
        precision: dtype policy.
        limit: of the training jets.
        init: run folder or published name whose weights the model starts from, or none.
        fingerprint: of the source of the jets.
    """

    card: ModelCard
    model: Any
    dataset: str
    training: Jets
    validation: Jets
    seed: int
    precision: str
    limit: int | None
    init: str
    fingerprint: str

    def config(self) -> dict[str, Any]:
        """What config.json says: everything needed to rebuild the model and to repeat the run."""
        return {
            "model": self.card.name,
            "config": self.model.zoo_config.model_dump(mode="json"),
            "preprocessing": self.model.preprocessor.to_dict(),
            "classes": None,
            "dataset": self.dataset,
            "fingerprint": self.fingerprint,
            "split": "train",
            "init": self.init,
            "seed": self.seed,
            "precision": self.precision,
            "limit": self.limit,
            "backend": keras.backend.backend(),
            "versions": run_folder.versions(),
        }

    def describe(self) -> str:
        """What is trained on what."""
        return (
            f"{self.card.name}: {self.model.count_params():,} parameters, {len(self.training):,} training and "
            f"{len(self.validation):,} validation jets of {self.dataset}"
        )

    def initialise(self) -> None:
        """Start from the weights of another run of the same settings.

        Raises:
            InputError: weights that do not fit.
        """
        if self.init != "none":
            self.model.start_from(load_run(locate(self.init))[0])

    def train(
        self, folder: Path, *, quiet: bool = False, callbacks: Sequence[keras.callbacks.Callback] = ()
    ) -> dict[str, Any]:
        """Fit, then write metrics, card and figures; returns the metrics. A checkpoint in the folder is continued.

        The callbacks are called in the fit.

        Raises:
            InputError: the training diverged.
        """
        from particle_zoo.evaluation.jets.after_training import after_training

        # A bar on a terminal, one line an epoch in a log file.
        verbose = 0 if quiet else (1 if sys.stdout.isatty() else 2)
        options: dict[str, Any] = {"seed": self.seed, "folder": folder, "verbose": verbose, "callbacks": callbacks}
        train_model(self.model, self.training, self.validation, **options)
        devices.current().dismiss()
        metrics = after_training(self.model, self.training, self.validation, folder)
        write_card(folder, self.model, {"metrics": metrics, "dataset": self.dataset})
        return metrics


def prepare(
    card: ModelCard,
    overrides: dict[str, Any],
    *,
    seed: int,
    dataset: str | None = None,
    data_dir: Path | None = None,
    manual_dir: Path | None = None,
    limit: int | None = None,
    precision: str = "float32",
    init: str = "none",
) -> JetJob:
    """Load the jets, build the model and fit its normalisation on the training jets.

    Args:
        card: of a model of this task.
        overrides: settings of its configuration.
        seed: of weights and order.
        dataset: jets/simulated or jets/files; the card's default without it.
        data_dir: as in `particle_zoo.data.jets.load_jets`.
        manual_dir: as there.
        limit: the first so many training jets.
        precision: dtype policy.
        init: run folder or published name of the same settings to start from, or none.

    Raises:
        InputError: unusable settings or jets.
    """
    if init == "imagenet":
        raise InputError(f"{card.name} has no ImageNet weights; give --init none or the folder of a run")
    settings = registry.config_class(card.name).from_settings(overrides)
    dataset = dataset or card.default_dataset
    where: dict[str, Any] = {"data_dir": data_dir, "manual_dir": manual_dir, "want": VARIABLES[settings.variables]}
    training = jet_data.load_jets(dataset, "train", limit=limit, **where)
    validation = jet_data.load_jets(dataset, "validation", allow_empty=True, **where)
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(seed)
    model = registry.create(card.name, **settings.model_dump())
    model.preprocessor = model.preprocessor.fit(training)
    if len(validation):
        # Before the first epoch ends, and before there is a run folder.
        model.preprocess(validation)
    found = jet_data.fingerprint(dataset, data_dir=data_dir, manual_dir=manual_dir)
    return JetJob(card, model, dataset, training, validation, seed, precision, limit, init, found)


def train_model(
    model: Any,
    training: Jets,
    validation: Jets,
    *,
    seed: int = 0,
    folder: Path | None = None,
    verbose: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, list[float]]:
    """Train a model with a fitted normalisation; with a folder, resumably.

    Args:
        model: a `JetAE`.
        training: jets to learn from, in a new order every epoch; what is left over of the last batch waits for the next.
        validation: jets whose loss chooses the best weights; none: the training loss does.
        seed: of the order.
        folder: as in `particle_zoo.training.fit.fit`.
        verbose: as in `keras.Model.fit`.
        callbacks: further callbacks.

    Returns:
        The logged values by name, one an epoch of this call.

    Raises:
        InputError: the training diverged.
    """
    x = model.preprocess(training)
    batch = min(model.zoo_config.batch_size, len(x))
    steps, together = whole_executions(len(x) // batch)
    grouped = compile_together(model, steps, together)
    watched = ArrayBatches(model.preprocess(validation), WATCHED) if len(validation) else None
    return run_epochs(
        model,
        partial(jet_batches, x, steps, batch, seed, grouped),
        steps=steps // grouped,
        epochs=model.zoo_config.epochs,
        watched=watched,
        callbacks=callbacks,
        folder=folder,
        verbose=verbose,
    )


class ArrayBatches(keras.utils.PyDataset):
    """One fixed pass over an array, for validation on any backend."""

    def __init__(self, x: np.ndarray, batch: int) -> None:
        super().__init__()
        self.x, self.batch = x, batch

    def __len__(self) -> int:
        return -(-len(self.x) // self.batch)

    def __getitem__(self, step: int) -> tuple[np.ndarray]:
        return (self.x[step * self.batch : (step + 1) * self.batch],)


MOST_TOGETHER = 64
"""A step takes a millisecond, and calling it as long: so many are called at once."""


def whole_executions(steps: int) -> tuple[int, int]:
    """Steps an epoch, and how many of them are called together: a divisor, for Keras ends no execution early."""
    if keras.backend.backend() == "torch":
        # Keras calls them one by one there.
        return steps, 1
    most = min(steps, MOST_TOGETHER)
    together = min(range(-(-most // 2), most + 1), key=lambda k: (steps % k, -k))
    return steps - steps % together, together


def shuffled_jets(
    x: np.ndarray, steps: int, batch: int, seed: int, first_epoch: int, epochs: int
) -> Iterator[np.ndarray]:
    """Yield the (steps, batch, variables) inputs of one epoch after the other; the order depends on seed and epoch."""
    for epoch in range(first_epoch, epochs):
        order = np.random.default_rng((seed, epoch)).permutation(len(x))[: steps * batch]
        yield x[order].reshape(steps, batch, x.shape[1])


def compile_together(model: Any, steps: int, together: int) -> int:
    """Compile a model to do several steps at once; returns how many of them are one batch of `jet_batches`.

    Under TensorFlow the model itself takes them from one batch, elsewhere Keras calls together what it fetches one by one.
    Several devices share single steps.
    """
    if devices.current().number > 1:
        together = 1
    grouped = keras.backend.backend() == "tensorflow"
    compile_model(model, steps, steps_per_execution=1 if grouped else together)
    return together if grouped else 1


def jet_batches(x: np.ndarray, steps: int, batch: int, seed: int, grouped: int, first_epoch: int, epochs: int) -> Any:
    """All batches from one epoch to another, as `shuffled_jets` has them.

    Returns:
        Under TensorFlow a tf.data.Dataset of (grouped, batch, variables) float32, of (batch, variables) with `grouped` 1;
        elsewhere a generator of (batch, variables).
    """
    whole = partial(shuffled_jets, x, steps, batch, seed, first_epoch, epochs)
    if keras.backend.backend() != "tensorflow":
        return ((part,) for shuffled in whole() for part in shuffled)
    import tensorflow as tf

    shape = (grouped, batch, x.shape[1]) if grouped > 1 else (batch, x.shape[1])

    def parts() -> Iterator[tuple[np.ndarray]]:
        for shuffled in whole():
            yield (shuffled.reshape(-1, *shape),)

    # One Python call an epoch, while the one before is trained on.
    signature = (tf.TensorSpec((steps // grouped, *shape), tf.float32),)
    return tf.data.Dataset.from_generator(parts, output_signature=signature).prefetch(1).unbatch().prefetch(2)
