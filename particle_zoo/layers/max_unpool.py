"""The inverse of `MaxPoolWithIndices`."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="particle_zoo")
class MaxUnpool(keras.layers.Layer):
    """Put each value back where its window's maximum was; the other three pixels become 0.

    Call arguments:
        values: (batch, rows, cols, channels).
        indices: int32 of the same shape in 0..3, from `MaxPoolWithIndices`.

    Returns:
        (batch, 2 rows, 2 cols, channels).
    """

    def call(self, values: Any, indices: Any) -> Any:
        _, rows, cols, channels = values.shape
        corners = [values * ops.cast(ops.equal(indices, k), values.dtype) for k in range(4)]
        # Interleave the columns of a row pair, then the rows.
        upper, lower = (
            ops.reshape(ops.stack(corners[i : i + 2], axis=3), (-1, rows, 2 * cols, channels)) for i in (0, 2)
        )
        return ops.reshape(ops.stack([upper, lower], axis=2), (-1, 2 * rows, 2 * cols, channels))

    def compute_output_shape(self, values_shape: tuple[int | None, ...], indices_shape: Any) -> tuple[int | None, ...]:
        batch, rows, cols, channels = values_shape
        return batch, None if rows is None else 2 * rows, None if cols is None else 2 * cols, channels
