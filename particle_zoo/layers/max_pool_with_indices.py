"""Max-pooling that remembers where each maximum was."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="particle_zoo")
class MaxPoolWithIndices(keras.layers.Layer):
    """2x2 max-pooling with stride 2 that also returns the position of the maximum in its window.

    Call arguments:
        inputs: (batch, rows, cols, channels), rows and cols even.

    Returns:
        pooled: (batch, rows / 2, cols / 2, channels).
        indices: int32 of the same shape in 0..3: 0 top left, 1 top right, 2 bottom left, 3 bottom right; the first of
            equal values, as in PyTorch's `MaxPool2d(return_indices=True)`.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if input_shape[1] is None or input_shape[2] is None or input_shape[1] % 2 or input_shape[2] % 2:
            raise ValueError(
                f"rows and columns must be even to unpool to the same shape. Received: input_shape={input_shape}"
            )
        self.built = True

    def call(self, inputs: Any) -> tuple[Any, Any]:
        corners = [inputs[:, row::2, col::2, :] for row in (0, 1) for col in (0, 1)]
        pooled = ops.maximum(ops.maximum(corners[0], corners[1]), ops.maximum(corners[2], corners[3]))
        # Not argmax: Keras tells zeros of either sign apart by their bits, which ONNX and LiteRT cannot.
        indices = ops.full_like(pooled, 3, dtype="int32")
        for k in (2, 1, 0):
            indices = ops.where(ops.equal(corners[k], pooled), k, indices)
        return pooled, indices

    def compute_output_spec(self, inputs: Any) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        batch, rows, cols, channels = inputs.shape
        shape = (batch, rows // 2, cols // 2, channels)
        return keras.KerasTensor(shape, dtype=self.compute_dtype), keras.KerasTensor(shape, dtype="int32")
