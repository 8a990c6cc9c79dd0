"""Layers that Keras does not have."""

from particle_zoo.layers.max_pool_with_indices import MaxPoolWithIndices
from particle_zoo.layers.max_unpool import MaxUnpool
from particle_zoo.layers.sampling import Sampling

__all__ = ["MaxPoolWithIndices", "MaxUnpool", "Sampling"]
