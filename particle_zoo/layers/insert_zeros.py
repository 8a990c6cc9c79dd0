"""Room between pixels, the first half of a transposed convolution."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="particle_zoo")
class InsertZeros(keras.layers.Layer):
    """Spread an image over one `factor` times as large, with zeros in between.

    Followed by a `DepthwiseConv2D` this is the transposed depthwise convolution that Keras does not have: each of the
    `factor`^2 new pixels of an old one has taps of its own. Repeating pixels instead would give them all the same value
    until their neighbours come in, and fine structure could not be drawn.

    Args:
        factor: new pixels an old one along each axis.

    Call arguments:
        inputs: (batch, rows, cols, channels).

    Returns:
        (batch, factor rows, factor cols, channels); the old pixels are the first of each block.
    """

    def __init__(self, factor: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs: Any) -> Any:
        _, rows, cols, channels = inputs.shape
        room = (0, self.factor - 1)
        # Rows count as images: LiteRT pads no more than five axes.
        spread = ops.pad(ops.reshape(inputs, (-1, 1, cols, 1, channels)), ((0, 0), room, (0, 0), room, (0, 0)))
        return ops.reshape(spread, (-1, rows * self.factor, cols * self.factor, channels))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, rows, cols, channels = input_shape
        return batch, *(None if side is None else side * self.factor for side in (rows, cols)), channels

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}
