"""Which pixels of a cluster an autoencoder may see while it learns."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="particle_zoo")
class KeepPixels(keras.layers.Layer):
    """Draw which hit pixels stay visible in training; all of them at inference.

    Every hit pixel is hidden with probability `rate`, independently, except one of each cluster: a cluster without any
    pixel has nothing to be completed from.

    Args:
        rate: share of the hit pixels to hide, 0 to below 1.
        seed: seed of the layer's own generator; None draws one from the global seed.

    Call arguments:
        rasters: (batch, rows, cols, channels); channel 0 is positive on hits.
        training: whether to hide anything.

    Returns:
        (batch, rows, cols, 1): 1 visible, 0 hidden; 1 wherever there is no hit.

    References:
        Seed 001, "input pixel masking" of 0, 25 and 50 %.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.rate, self.seed = rate, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, rasters: Any, training: bool | None = None) -> Any:
        hit = rasters[..., :1] > 0
        everything = ops.ones_like(rasters[..., :1])
        if not training or not self.rate:
            return everything
        luck = keras.random.uniform(ops.shape(everything), seed=self.seed_generator)
        luck = ops.where(hit, luck, -1.0)
        luckiest = ops.max(luck, axis=(1, 2, 3), keepdims=True)
        hidden = ops.logical_and(hit, ops.logical_and(luck < self.rate, luck < luckiest))
        return ops.where(hidden, 0.0, everything)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*input_shape[:-1], 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
