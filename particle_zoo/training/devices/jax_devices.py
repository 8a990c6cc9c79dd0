"""Several devices under JAX: `keras.distribution`, and several processes that find each other by `jax.distributed`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
import jax
import keras
import numpy as np
from jax.experimental import multihost_utils

from particle_zoo.training.devices import jax_processes
from particle_zoo.training.devices.base import Devices, check
from particle_zoo.training.devices.jax_placement import Gather, Placement, Scatter


def choose(n: int | None) -> Devices:
    """As `particle_zoo.training.devices.spread`."""
    membership = jax_processes.join()
    if n is None and membership.processes == 1:
        return Devices()
    here = jax.local_devices()
    number = len(here) if n is None else n
    check(number, len(here), here[0].platform.upper())
    if number == 1 and membership.processes == 1:
        return Devices()
    by_process: dict[int, list[jax.Device]] = {}
    for device in jax.devices():
        by_process.setdefault(device.process_index, []).append(device)
    return JaxDevices([device for _, own in sorted(by_process.items()) for device in own[:number]], membership)


class JaxDevices(Devices):
    """Devices that hold the same variables and each compute their rows of every batch.

    A step is that of one device: batch normalisation, losses and random numbers are those of the whole batch, for XLA
    divides the compiled step, not the model. A batch that their number does not divide is computed whole on each of them.

    Outside `fit` a model lies on the first device of its process, and needs the others for nothing.

    Args:
        devices: of all processes, in their order.
        membership: of this process.
    """

    def __init__(self, devices: Sequence[jax.Device], membership: jax_processes.Membership) -> None:
        self.number, self.process, self.processes = len(devices), membership.process, membership.processes
        self._membership = membership
        self._placement = Placement(devices)
        self._alone = False

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
        """As `Devices.fit`; after `dismiss` on the first device alone."""
        options: dict[str, Any] = {
            "steps": steps,
            "first": first,
            "epochs": epochs,
            "watched": watched,
            "verbose": verbose,
        }
        if self._alone:
            return super().fit(model, batches, callbacks=callbacks, **options)
        around = [Gather(self._placement), *callbacks, Scatter(self._placement, self._settle)]
        with self._losses(), self._placement.spread(model):
            return super().fit(model, batches, callbacks=around, **options)

    def _settle(self, model: Any) -> None:
        """Stop where the chief stops."""
        model.stop_training = bool(self.agree([np.array(bool(model.stop_training))])[0])

    def agree(self, values: Sequence[np.ndarray]) -> list[np.ndarray]:
        """As `Devices.agree`."""
        arrays = [np.ascontiguousarray(value) for value in values]
        if self.processes == 1 or self._alone or not arrays:
            return arrays
        # As bytes: JAX would make 32 bits out of 64.
        own = np.frombuffer(b"".join(array.tobytes() for array in arrays), np.uint8)
        with self._losses():
            told = np.asarray(multihost_utils.broadcast_one_to_all(own, is_source=self.chief))
        ends = np.cumsum([array.nbytes for array in arrays])
        parts = [told[end - array.nbytes : end].tobytes() for array, end in zip(arrays, ends, strict=True)]
        return [
            np.frombuffer(part, array.dtype).reshape(value.shape)
            for part, array, value in zip(parts, arrays, values, strict=True)
        ]

    def dismiss(self) -> None:
        """As `Devices.dismiss`."""
        self._alone = True
        self._membership.part()
        if not self.chief:
            raise click.exceptions.Exit(0)

    def close(self) -> None:
        """As `Devices.close`."""
        self._membership.abandon(sys.exc_info()[1])

    @contextmanager
    def _losses(self) -> Iterator[None]:
        """Tell what a lost process makes of a computation from other errors."""
        try:
            yield
        except Exception as error:
            lost = jax_processes.loss(error) if self.processes > 1 else None
            if lost is None:
                raise
            sentence = jax_processes.lost(self.processes, lost)
            self._membership.abandon(sentence)
            raise sentence from error
