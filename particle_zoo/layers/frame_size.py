"""Frames of any size through networks that halve them."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="particle_zoo")
class PadToStride(keras.layers.Layer):
    """Zeros below and to the right of images until both sides are multiples of a stride.

    Args:
        stride: of the network, px.

    Call arguments:
        images: (batch, rows, cols, channels), any size.

    Returns:
        (batch, rows, cols, channels), up to stride - 1 rows and columns more.
    """

    def __init__(self, stride: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stride = stride

    def call(self, images: Any) -> Any:
        rows, cols = ops.shape(images)[1:3]
        return ops.pad(images, ((0, 0), (0, -rows % self.stride), (0, -cols % self.stride), (0, 0)))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        batch, *sides, channels = input_shape
        return batch, *(None if side is None else side + -side % self.stride for side in sides), channels

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stride": self.stride}


@keras.saving.register_keras_serializable(package="particle_zoo")
class CropToInput(keras.layers.Layer):
    """Take away what `PadToStride` added.

    Call arguments:
        images: (batch, rows, cols, channels).
        like: (batch, rows, cols, channels), no larger; gives the rows and columns to keep.

    Returns:
        (batch, rows, cols, channels), of the size of `like` and with the channels of `images`.
    """

    def call(self, images: Any, like: Any) -> Any:
        rows, cols = ops.shape(like)[1:3]
        return images[:, :rows, :cols]

    def compute_output_shape(
        self, images_shape: tuple[int | None, ...], like_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        return *like_shape[:3], images_shape[-1]
