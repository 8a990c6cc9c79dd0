"""Enlarging small rasters on the device."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="particle_zoo")
class Enlarge(keras.layers.Layer):
    """Enlarge the cluster of each raster by the largest whole factor that fits, nearest neighbour, and centre it.

    A raster of a few pixels is what travels to the device; the large image never exists on the host. The place of the
    cluster in its raster does not matter. `particle_zoo.pipelines.enlarge` does the same in NumPy.

    Args:
        size: side of the images, px.
        max_factor: largest factor.

    Call arguments:
        rasters: (batch, side, side, channels), any side; channel 0 is positive on hits. A cluster larger than `size`
            loses its margins: whoever draws the rasters averages those first.

    Returns:
        (batch, size, size, channels) of the layer's dtype; an odd pixel of margin is at the bottom right.

    References:
        Seed 001: images of 384x384 px, clusters up to 5 times as large as on the chip.
    """

    def __init__(self, size: int, max_factor: int = 5, **kwargs: Any) -> None:
        # Half precision would round energies before anything is compared with them.
        super().__init__(**{"dtype": "float32", **kwargs})
        self.size, self.max_factor = size, max_factor

    def call(self, rasters: Any) -> Any:
        batch, side, channels = ops.shape(rasters)[0], ops.shape(rasters)[1], rasters.shape[-1]
        hit = rasters[..., 0] > 0
        (top, height), (left, width) = (_span(ops.any(hit, axis=axis), side) for axis in (2, 1))
        factor = ops.clip(self.size // ops.maximum(ops.maximum(height, width), 1), 1, self.max_factor)
        rows, inside_rows = self._source(top, height, factor)
        cols, inside_cols = self._source(left, width, factor)
        image = ops.reshape(ops.arange(batch, dtype="int32"), (-1, 1, 1))
        index = (image * side + rows[:, :, None]) * side + cols[:, None, :]
        taken = ops.take(ops.reshape(rasters, (-1, channels)), index, axis=0)
        inside = ops.logical_and(inside_rows[:, :, None], inside_cols[:, None, :])
        return ops.where(inside[..., None], taken, ops.zeros((), taken.dtype))

    def _source(self, first: Any, length: Any, factor: Any) -> tuple[Any, Any]:
        """(batch, size) raster line that each line of the image shows, and whether it shows any."""
        start = (self.size - factor * length) // 2
        place = ops.arange(self.size, dtype="int32")[None] - start[:, None]
        line = ops.clip(place // factor[:, None], 0, length[:, None] - 1) + first[:, None]
        return line, ops.logical_and(place >= 0, place < (factor * length)[:, None])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape[0], self.size, self.size, input_shape[-1]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size, "max_factor": self.max_factor}


def _span(line: Any, side: Any) -> tuple[Any, Any]:
    """First true place and length from there to the last true one, (batch,) int32."""
    line = ops.cast(line, "int32")
    first = ops.cast(ops.argmax(line, axis=1), "int32")
    return first, side - ops.cast(ops.argmax(ops.flip(line, axis=1), axis=1), "int32") - first
