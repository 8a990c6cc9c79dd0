"""One process of a training of several under JAX; `test_jax_devices` runs it.

`FOLDER EPOCHS` trains in FOLDER, where the chief alone reads and writes, and `--killed K` ends this process without a word
in epoch K. The last line of its output is what the training came to, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np

from particle_zoo import cli, registry
from particle_zoo.simulation import ccd
from particle_zoo.training import devices
from particle_zoo.training.checkpoint import Checkpoint
from particle_zoo.training.feed import EpochBatches, training_batches
from particle_zoo.training.fit import Examples, compile_model
from particle_zoo.training.session import build


class _Killed(keras.callbacks.Callback):
    """The end of this process in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.last, self.epoch = epoch, 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.epoch == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("epochs", type=int)
@click.option("--killed", type=int, default=-1)
@click.option("--devices", "number", type=int)
def main(folder: Path, epochs: int, killed: int, number: int | None) -> None:
    """Train the classifier of the tests."""
    found = devices.spread(number)
    with contextlib.ExitStack() as stack:
        stack.callback(found.close)
        logs, weights = train(found, folder, epochs, killed)
        found.dismiss()
    # What a chief does alone.
    click.echo(json.dumps({"loss": logs["loss"], "val_loss": logs["val_loss"], "number": found.number}))
    np.savez(folder / "weights.npz", *weights)


def train(
    found: devices.Devices, folder: Path, epochs: int, killed: int = -1
) -> tuple[dict[str, list[float]], list[Any]]:
    """Train; returns the logged values and the weights."""
    clusters = ccd.generate(120, seed=3)
    clusters = clusters[np.isin(clusters.labels, ["xray", "electron", "muon"])]
    classes = ("xray", "electron", "muon")
    settings = registry.config_class("tiny_cnn")(epochs=epochs, batch_size=16, learning_rate=1e-3).model_dump()
    # Its own seed for each: what the chief has counts.
    model = build(registry.info("tiny_cnn"), settings, clusters[:46], classes, seed=1 + found.process)
    train = Examples(
        clusters[:46], model.preprocess, classes=classes, batch_size=16, seed=1, augment=True, shuffle=True
    )
    watched = EpochBatches(Examples(clusters[-37:], model.preprocess, classes=classes, batch_size=32))
    compile_model(model, 50)
    checkpoint = Checkpoint(folder / "checkpoint.npz", folder / "model.weights.h5", "val_loss")
    first = checkpoint.restore(model) if found.chief else 0
    variables = [*model.variables, *model.optimizer.variables]
    first, *values = found.agree([np.array(first), *(np.asarray(v.value) for v in variables)])
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    around: list[keras.callbacks.Callback] = [checkpoint] if found.chief else []
    if killed >= 0:
        around.append(_Killed(killed))
    batches = training_batches(train, int(first), epochs)
    options: dict[str, Any] = {"steps": len(train), "first": int(first), "epochs": epochs}
    logs = found.fit(model, batches, watched=watched, callbacks=around, verbose=0, **options)
    return logs, model.get_weights()


if __name__ == "__main__":
    cli.run(main)
