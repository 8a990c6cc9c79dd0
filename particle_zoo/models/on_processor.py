"""Small networks in NumPy: on a processor they take less time than the calls of a backend around them.

A jet needs 53,000 operations. TensorFlow spends 360 µs around them, NumPy a tenth of that; with thousands of jets NumPy works on
parts that stay in the cache, while TensorFlow and PyTorch write every layer's output to memory and read it again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np

CHUNK = 1024
"""Rows worked on at once: the output of a layer of 200 units takes 0.8 MB, which a core's cache holds."""

FEW = 32
"""Rows whose products no library spreads over threads."""

Step = Callable[..., np.ndarray]


def on_processor(network: keras.Model) -> Callable[[np.ndarray], np.ndarray] | None:
    """A function of (n, k) float32 arrays that applies a network at inference, with the weights it has at each call.

    Returns:
        The function; None where Keras computes on an accelerator, and for networks of another precision or with layers other
        than `Dense`, `Conv1D`, `Activation`, `LeakyReLU`, `BatchNormalization`, `Add`, `Reshape`, `Flatten` and `Dropout`.
    """
    # Keras sorts them so that what a layer needs is made before it.
    layers = [layer for layer in network.layers if type(layer).__name__ != "InputLayer"]
    steps = [step for layer in layers if (step := _step(layer)) is not None]
    if len(steps) < len(layers) or any(layer.compute_dtype != "float32" for layer in layers) or _accelerated():
        return None
    readers = [[_reader(variable) for variable in layer.weights] for layer in layers]
    sources = [[id(tensor) for tensor in _listed(layer.input)] for layer in layers]
    made = [id(layer.output) for layer in layers]
    start, end = id(network.inputs[0]), id(network.outputs[0])

    def rows(inputs: np.ndarray, weights: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
        known = {start: inputs}
        # What is not finite in the inputs is not in the outputs either, and that is for the caller to judge.
        with np.errstate(all="ignore"):
            for step, source, result, arrays in zip(steps, sources, made, weights, strict=True):
                known[result] = step(*(known[tensor] for tensor in source), *arrays)
        return known[end]

    def apply(inputs: np.ndarray) -> np.ndarray:
        weights = [[read() for read in own] for own in readers]
        if len(inputs) <= FEW:
            return rows(inputs, weights)
        found = np.empty((len(inputs), *network.output_shape[1:]), np.float32)

        def part(first: int) -> None:
            found[first : first + CHUNK] = rows(inputs[first : first + CHUNK], weights)

        _in_threads(part, range(0, len(inputs), CHUNK))
        return found

    return apply


def _in_threads(work: Callable[[int], None], parts: range) -> None:
    """Do all parts, as many at once as there are cores, each on one core."""
    from particle_zoo.detectors.camera.bands import cores

    # Threads of the library's own wait for each other in every product, and long where others use the cores, too.
    with _libraries().limit(limits=1, user_api="blas"):
        if len(parts) == 1:
            work(0)
            return
        # A pool that outlives the call would not survive a fork.
        with ThreadPoolExecutor(min(cores(), len(parts))) as pool:
            for done in [pool.submit(work, first) for first in parts]:
                done.result()


@functools.cache
def _libraries() -> Any:
    """The libraries behind NumPy's products; to look for them takes as long as a thousand jets."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _accelerated() -> bool:
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.get_visible_devices("GPU"))
    if backend == "jax":
        import jax

        return bool(jax.default_backend() != "cpu")
    import torch

    return bool(torch.get_default_device().type != "cpu" or torch.cuda.is_available())


def _reader(variable: Any) -> Callable[[], np.ndarray]:
    """A function that gives what a variable holds at the time."""
    value = variable.value
    if keras.backend.backend() == "tensorflow" and hasattr(value, "handle"):
        import tensorflow as tf

        # The plain operation takes a quarter of the time of Keras's and TensorFlow's own ways to it.
        read = functools.partial(tf.raw_ops.ReadVariableOp, resource=value.handle, dtype=value.dtype)
        return lambda: read().numpy()
    return lambda: np.asarray(keras.ops.convert_to_numpy(variable.value))


def _listed(tensors: Any) -> list[Any]:
    return list(tensors) if isinstance(tensors, (list, tuple)) else [tensors]


def _step(layer: Any) -> Step | None:
    """What a layer does to its inputs, with its variables in Keras's order; None for an unknown one."""
    kind = type(layer).__name__
    activation = getattr(layer.activation, "__name__", "") if hasattr(layer, "activation") else "linear"
    if kind == "Dense" and layer.use_bias and activation == "linear":
        return _dense
    if kind == "Activation" and activation == "tanh":
        return np.tanh
    if kind == "LeakyReLU" and layer.negative_slope < 1:
        return functools.partial(_leaky, slope=layer.negative_slope)
    if kind == "BatchNormalization" and layer.center and layer.scale and layer.axis == -1:
        return functools.partial(_normalised, epsilon=layer.epsilon)
    if kind == "Conv1D" and _plain_convolution(layer) and activation == "linear":
        return _convolved
    if kind == "Dropout":
        return _same
    if kind in ("Reshape", "Flatten"):
        return functools.partial(_reshaped, shape=tuple(layer.output.shape[1:]))
    return np.add if kind == "Add" and len(_listed(layer.input)) == 2 else None


def _plain_convolution(layer: Any) -> bool:
    plain: bool = (layer.padding, layer.strides, layer.dilation_rate, layer.groups) == ("same", (1,), (1,), 1)
    return plain and layer.use_bias and layer.kernel_size[0] % 2 == 1


def _dense(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    found: np.ndarray = x @ kernel
    found += bias
    return found


def _leaky(x: np.ndarray, slope: float) -> np.ndarray:
    return np.asarray(np.maximum(x, x * np.float32(slope)))


def _normalised(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, variance: np.ndarray, epsilon: float
) -> np.ndarray:
    factor = gamma / np.sqrt(variance + np.float32(epsilon))
    found: np.ndarray = x * factor
    found += beta - mean * factor
    return found


def _convolved(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    side, n = len(kernel) // 2, x.shape[1]
    padded = np.pad(x, ((0, 0), (side, side), (0, 0)))
    found: np.ndarray = sum(padded[:, i : i + n] @ kernel[i] for i in range(len(kernel))) + bias
    return found


def _reshaped(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return x.reshape(len(x), *shape)


def _same(x: np.ndarray) -> np.ndarray:
    return x
