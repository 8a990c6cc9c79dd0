"""The reparameterisation step of a variational autoencoder."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="particle_zoo")
class Sampling(keras.layers.Layer):
    """z = mean + exp(log_var / 2) * eps with eps ~ N(0, 1) in training; the mean at inference.

    The mean at inference makes embeddings reproducible and exported graphs free of random operations.

    Args:
        seed: seed of the layer's own generator; None draws one from the global seed.

    Call arguments:
        mean: (batch, latent).
        log_var: (batch, latent) logarithm of the variance.
        training: whether to sample.

    Returns:
        (batch, latent).

    References:
        Kingma, Welling: Auto-Encoding Variational Bayes, arXiv:1312.6114.
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, mean: Any, log_var: Any, training: bool | None = None) -> Any:
        if not training:
            return mean
        noise = keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_var) * noise

    def compute_output_shape(self, mean_shape: Any, log_var_shape: Any) -> Any:
        return mean_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}
