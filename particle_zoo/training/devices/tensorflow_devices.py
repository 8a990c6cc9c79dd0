"""Several devices under TensorFlow: `tf.distribute`."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras

from particle_zoo.training.devices.base import LOGICAL, Devices, check
from particle_zoo.training.devices.tf_config import read_cluster


def choose(n: int | None) -> Devices:
    """As `particle_zoo.training.devices.spread`."""
    import tensorflow as tf

    cluster = read_cluster()
    if cluster is not None:
        from particle_zoo.training.devices.several_hosts import SeveralHosts

        return SeveralHosts.start(cluster, n)
    _divide_processor(tf)
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    if n is None or n == 1:
        return Devices()
    found = [device.name for device in tf.config.list_logical_devices(kind)]
    check(n, len(found), kind)
    return MirroredDevices(_strategy(tuple(found[:n]), kind))


@functools.cache
def _strategy(devices: tuple[str, ...], kind: str) -> Any:
    """The strategy of these devices, one a process: TensorFlow numbers the sums of every new one from the start again."""
    import tensorflow as tf

    # Logical processors share their memory, and have nothing to gain from sums in rings.
    sums = None if kind == "GPU" else tf.distribute.ReductionToOneDevice()
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=sums)


def _divide_processor(tf: Any) -> None:
    """Make as many logical processors as XLA_FLAGS says, as JAX does; nothing happens once TensorFlow has its devices."""
    match = re.search(rf"--{LOGICAL}=(\d+)", os.environ.get("XLA_FLAGS", ""))
    cpus = tf.config.list_physical_devices("CPU")
    if match is None or int(match[1]) < 2 or not cpus:
        return
    try:
        tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * int(match[1]))
    except RuntimeError:
        return


class MirroredDevices(Devices):
    """The devices of a strategy with a copy of the variables on each.

    Args:
        strategy: a `tf.distribute.MirroredStrategy` or `tf.distribute.MultiWorkerMirroredStrategy`.
    """

    def __init__(self, strategy: Any) -> None:
        self.strategy = strategy
        self.number = strategy.num_replicas_in_sync

    def scope(self) -> AbstractContextManager[Any]:
        scope: AbstractContextManager[Any] = self.strategy.scope()
        return scope

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
        from particle_zoo.training.devices.strategy_fit import strategy_fit

        return strategy_fit(
            self.strategy,
            model,
            batches,
            steps=steps,
            first=first,
            epochs=epochs,
            watched=watched,
            callbacks=callbacks,
            verbose=verbose,
            agree=self.decide,
        )
