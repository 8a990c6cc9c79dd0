"""Small networks as compiled functions of arrays, on any backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from particle_zoo.models.on_processor import on_processor

CHUNK = 32_768
"""Rows a call; bounds the memory of the layers between."""


def compiled(network: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """A function of (n, k) arrays that applies a network at inference and gives (n, l) float32 arrays.

    `keras.Model.predict` spends four times as long on a network of four layers, in what surrounds the network. On a processor
    NumPy does the work where it can, see `on_processor`; else the backend.
    """
    call: Any = None

    def apply(inputs: np.ndarray) -> np.ndarray:
        nonlocal call
        # Not before the first use: weights may be loaded, and a dtype policy set, after a model is built.
        call = call or on_processor(network) or _compile(network)
        inputs = np.asarray(inputs, np.float32)
        if len(inputs) <= CHUNK:
            return np.asarray(call(inputs), np.float32)
        return np.concatenate(
            [np.asarray(call(inputs[i : i + CHUNK]), np.float32) for i in range(0, len(inputs), CHUNK)]
        )

    return apply


def _compile(network: keras.Model) -> Callable[[np.ndarray], Any]:
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        function = tf.function(
            lambda x: network(x, training=False), input_signature=[tf.TensorSpec((None, network.input_shape[1]))]
        )
        return lambda x: function(x).numpy()
    if backend == "jax":
        import jax

        def stateless(trainable: Any, fixed: Any, x: Any) -> Any:
            return network.stateless_call(trainable, fixed, x, training=False)[0]

        jitted = jax.jit(stateless)
        return lambda x: jitted(
            [v.value for v in network.trainable_variables], [v.value for v in network.non_trainable_variables], x
        )

    def plain(x: np.ndarray) -> Any:
        import torch

        with torch.inference_mode():
            return keras.ops.convert_to_numpy(network(x, training=False))

    return plain
