"""Data-parallel training on several devices, of one host or several.

`spread` chooses the devices, once, before any model is built; trainings ask `current` for them.
"""

from __future__ import annotations

import keras

from particle_zoo.errors import InputError
from particle_zoo.training.devices.base import Devices

__all__ = ["Devices", "current", "spread"]

_chosen = Devices()


def spread(n: int | None = None) -> Devices:
    """Choose the devices of all trainings of this process that follow.

    Several hosts come into it where the environment says so: TF_CONFIG under TensorFlow, the variables of
    `jax.distributed` under JAX.

    Args:
        n: devices of this process; None: all of them where there are several hosts, else the one that Keras takes.

    Raises:
        InputError: there are fewer devices, a backend that cannot spread, or a malformed environment.
        PeerLostError: the other processes did not come.
    """
    global _chosen
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from particle_zoo.training.devices import tensorflow_devices

        _chosen = tensorflow_devices.choose(n)
    elif backend == "jax":
        from particle_zoo.training.devices import jax_devices

        _chosen = jax_devices.choose(n)
    elif n is not None and n > 1:
        raise InputError(
            f"--devices {n} needs KERAS_BACKEND=tensorflow or jax; on {backend} a training has one device: leave it out"
        )
    else:
        _chosen = Devices()
    return _chosen


def current() -> Devices:
    """The devices that `spread` has chosen; before that the one that Keras takes."""
    return _chosen
