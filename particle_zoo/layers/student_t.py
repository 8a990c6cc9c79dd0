"""Soft assignment of latent vectors to centroids."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="particle_zoo")
class StudentT(keras.layers.Layer):
    """Share of every cluster in a latent vector, by a Student-t kernel around its centroid, a weight of the layer.

        q_ij ~ (1 + |z_i - m_j|^2 / alpha)^(-(alpha + 1) / 2), with sum_j q_ij = 1

    Args:
        clusters: number of centroids.
        alpha: degrees of freedom.

    Call arguments:
        z: (batch, latent).

    Returns:
        (batch, clusters) float32 q, each above 0.

    References:
        Xie, Girshick, Farhadi: Unsupervised deep embedding for clustering analysis, arXiv:1511.06335, equation 1.
    """

    def __init__(self, clusters: int, alpha: float = 1.0, **kwargs: Any) -> None:
        # Differences of float16 vectors would round centroids of close clusters together.
        super().__init__(**{"dtype": "float32", **kwargs})
        self.clusters, self.alpha = clusters, alpha

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.centroids = self.add_weight(
            shape=(self.clusters, input_shape[-1]), initializer="glorot_uniform", name="centroids"
        )

    def call(self, z: Any) -> Any:
        distance2 = ops.sum(ops.square(ops.expand_dims(z, 1) - self.centroids), axis=-1)
        q = ops.power(1 + distance2 / self.alpha, -(self.alpha + 1) / 2)
        return q / ops.sum(q, axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], self.clusters)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "clusters": self.clusters, "alpha": self.alpha}
