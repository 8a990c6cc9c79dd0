"""What trainings ask of the devices they run on; by itself the one device that Keras takes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click
import keras
import numpy as np

from particle_zoo.errors import InputError

LOGICAL = "xla_force_host_platform_device_count"
"""The flag of XLA_FLAGS that divides a processor into logical devices."""


class Devices:
    """One device in one process; what spreads a training over several overrides this.

    Every process computes the same global batches, pure functions of seed and step, and its devices take their shares of
    them. Only the chief, process 0, touches the run folder; what it found there the others learn by `agree`.
    """

    number: int = 1
    """Devices of all processes together."""

    process: int = 0
    """Place of this process among all of them."""

    processes: int = 1

    @property
    def chief(self) -> bool:
        """Whether this process reads and writes the run folder, draws and measures."""
        return self.process == 0

    def scope(self) -> AbstractContextManager[Any]:
        """Where a model and its optimizer are built that train on these devices."""
        return nullcontext()

    def fit(
        self,
        model: Any,
        batches: Any,
        *,
        steps: int,
        first: int,
        epochs: int,
        watched: Any,
        callbacks: Sequence[keras.callbacks.Callback],
        verbose: int | str,
    ) -> dict[str, list[float]]:
        """Do what `keras.Model.fit` does, on these devices.

        Args:
            model: a compiled zoo model whose optimizer is built; it has the trained weights and optimizer state afterwards,
                and whenever a callback is called at the beginning or end of an epoch or a validation.
            batches: yields global batches, tuples (x,), (x, y) or (x, y, sample_weight): a tf.data.Dataset under
                TensorFlow or an iterator. The last one of an epoch may be smaller than the others.
            steps: batches an epoch.
            first: number of the first epoch.
            epochs: number after that of the last epoch.
            watched: validation batches: a `keras.utils.PyDataset`, a tuple of arrays, or None.
            callbacks: as in `keras.Model.fit`; those of the chief decide over `stop_training`.
            verbose: as in `keras.Model.fit`.

        Returns:
            The logged values by name, one an epoch.

        Raises:
            PeerLostError: another process has ended.
        """
        result = model.fit(
            batches,
            steps_per_epoch=steps,
            initial_epoch=first,
            epochs=epochs,
            validation_data=watched,
            callbacks=list(callbacks),
            shuffle=False,
            verbose=verbose,
        )
        return dict(result.history)

    def agree(self, values: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The chief's values, on every process.

        Args:
            values: arrays whose shapes and types are the same on all processes.

        Raises:
            PeerLostError: another process has ended.
        """
        return list(values)

    def decide(self, answer: bool) -> bool:
        """The chief's answer to a question, on every process.

        Raises:
            PeerLostError: another process has ended.
        """
        return bool(self.agree([np.array(int(answer))])[0])

    def dismiss(self) -> None:
        """Let only the chief go on: what follows a training is the work of one process; the others end with exit code 0."""
        if not self.chief:
            raise click.exceptions.Exit(0)

    def close(self) -> None:
        """Give up the connections to other processes; also after an error."""


def check(n: int, found: int, kind: str) -> None:
    """Whether there are so many devices.

    Args:
        n: how many are wanted.
        found: how many there are.
        kind: GPU or CPU.

    Raises:
        InputError: there are fewer.
    """
    if n <= found:
        return
    there = f"there is 1 {kind}" if found == 1 else f"there are {found} {kind}s"
    how = (
        f"give --devices {found} or less"
        if kind == "GPU"
        else f"leave it out, or set XLA_FLAGS=--{LOGICAL}={n}, which divides the processor"
    )
    raise InputError(f"--devices {n}: {there}; {how}")
