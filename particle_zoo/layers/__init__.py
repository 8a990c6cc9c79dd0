"""Layers that Keras does not have."""

from particle_zoo.layers.enlarge import Enlarge
from particle_zoo.layers.frame_size import CropToInput, PadToStride
from particle_zoo.layers.insert_zeros import InsertZeros
from particle_zoo.layers.keep_pixels import KeepPixels
from particle_zoo.layers.max_pool_with_indices import MaxPoolWithIndices
from particle_zoo.layers.max_unpool import MaxUnpool
from particle_zoo.layers.sampling import Sampling
from particle_zoo.layers.student_t import StudentT

__all__ = [
    "CropToInput",
    "Enlarge",
    "InsertZeros",
    "KeepPixels",
    "MaxPoolWithIndices",
    "MaxUnpool",
    "PadToStride",
    "Sampling",
    "StudentT",
]
