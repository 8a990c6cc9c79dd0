"""Where the variables of a model are: on all devices while its steps run, on one of this process whenever others look."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import jax
import keras
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

BATCH = "batch"
"""The axis of the mesh of devices, as `keras.distribution.DataParallel` calls it."""

STEPS = ("train_step", "test_step")
COMPILERS = ("make_train_function", "make_test_function")


class Placement:
    """Moves the variables of models between one device and all.

    Args:
        devices: of all processes.
    """

    def __init__(self, devices: Sequence[jax.Device]) -> None:
        self.number = len(devices)
        self._distribution = _Replicated(self, devices)
        mesh = self._distribution.device_mesh.backend_mesh
        self.everywhere: Sharding = NamedSharding(mesh, PartitionSpec())
        self.rows: Sharding = NamedSharding(mesh, PartitionSpec(BATCH))
        self.here: Sharding = SingleDeviceSharding(next(d for d in devices if d.process_index == jax.process_index()))
        self.now = self.here
        self._moved: dict[int, tuple[Any, Any]] = {}

    @contextmanager
    def spread(self, model: Any) -> Iterator[None]:
        """A compiled model on all devices, each of which computes its rows in a step; afterwards on one again."""
        for name in STEPS:
            setattr(model, name, self._divided(getattr(model, name)))
        for name in COMPILERS:
            setattr(model, name, self._scattered(model, getattr(model, name)))
        try:
            with self._distribution.scope():
                yield
        finally:
            for name in (*STEPS, *COMPILERS):
                delattr(model, name)
            # Compiled for all devices.
            model.train_function = model.test_function = model.predict_function = None
            # After an error buffers may be lost: what remains to be said is the error.
            with suppress(Exception):
                self.gather(model)

    def gather(self, model: Any) -> None:
        """Leave on every process what its first device has."""
        self.now = self.here
        self._moved.clear()
        for variable in _variables(model):
            whole = variable.value
            if whole.sharding == self.here:
                continue
            variable.assign(whole.addressable_data(0))
            self._moved[id(variable)] = variable.value, whole

    def scatter(self, model: Any) -> None:
        """Copy from the first device to all; what has not changed since `gather` is there still."""
        self.now = self.everywhere
        for variable in _variables(model):
            if variable.value.sharding == self.everywhere:
                continue
            part, whole = self._moved.get(id(variable), (None, None))
            if variable.value is not part:
                whole = jax.make_array_from_process_local_data(self.everywhere, np.asarray(variable.value))
            variable.assign(whole)
        self._moved.clear()

    def _divided(self, step: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def on_rows(state: Any, data: Any) -> Any:
            return step(state, jax.tree.map(self._divide, data))

        return on_rows

    def _scattered(self, model: Any, make: Callable[..., None]) -> Callable[..., None]:
        """What compiles a step takes the places of its results from the variables, of which metrics have made some by then."""

        def scattered(force: bool = False) -> None:
            self.scatter(model)
            make(force)

        return scattered

    def _divide(self, array: Any) -> Any:
        if not array.ndim or array.shape[0] % self.number:
            return array
        return jax.lax.with_sharding_constraint(array, self.rows)


class _Replicated(keras.distribution.DataParallel):
    """Copies batches to all devices, where the compiled step takes its rows of them.

    Keras would divide them on their way, by the shape of the first batch of an epoch, and fail at a last one of fewer rows.
    """

    def __init__(self, placement: Placement, devices: Sequence[jax.Device]) -> None:
        # Every process gives the whole batch.
        super().__init__(devices=[f"{d.platform}:{d.id}" for d in devices], auto_shard_dataset=False)
        self._placement = placement

    def get_data_layout(self, data_shape: Sequence[int]) -> keras.distribution.TensorLayout:
        return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)

    def get_variable_layout(self, variable: Any) -> keras.distribution.TensorLayout:
        return _Layout([None] * len(variable.shape), self.device_mesh, self._placement)


class _Layout(keras.distribution.TensorLayout):
    """Of variables that Keras makes while a model is spread: the sums of its metrics."""

    def __init__(self, axes: Sequence[None], mesh: keras.distribution.DeviceMesh, placement: Placement) -> None:
        super().__init__(axes, mesh)
        self._placement = placement

    @property
    def backend_layout(self) -> Sharding:
        return self._placement.now


class _Mover(keras.callbacks.Callback):
    def __init__(self, placement: Placement) -> None:
        super().__init__()
        self.placement = placement


class Gather(_Mover):
    """Before other callbacks: they find the model on one device."""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.placement.gather(self.model)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.placement.gather(self.model)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.placement.gather(self.model)

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        self.placement.gather(self.model)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.placement.gather(self.model)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.placement.gather(self.model)


class Scatter(_Mover):
    """After other callbacks: the next steps find it on all.

    Args:
        placement: of the model.
        settle: called with the model at the end of every epoch.
    """

    def __init__(self, placement: Placement, settle: Callable[[Any], None]) -> None:
        super().__init__(placement)
        self.settle = settle

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.placement.scatter(self.model)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.placement.scatter(self.model)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.placement.scatter(self.model)

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        self.placement.scatter(self.model)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.settle(self.model)
        self.placement.scatter(self.model)


def _variables(model: Any) -> list[Any]:
    parts = [model.trainable_variables, model.non_trainable_variables, model.metrics_variables]
    everything = [v for part in (*parts, model.optimizer.variables) for v in part]
    return list({id(v): v for v in everything}.values())
