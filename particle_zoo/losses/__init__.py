"""Losses that Keras does not have."""

from particle_zoo.losses.reconstruction import huber, mean_binary_crossentropy, per_hit, soft_dice
from particle_zoo.losses.variational import gaussian_kl, summed_binary_crossentropy

__all__ = [
    "gaussian_kl",
    "huber",
    "mean_binary_crossentropy",
    "per_hit",
    "soft_dice",
    "summed_binary_crossentropy",
]
