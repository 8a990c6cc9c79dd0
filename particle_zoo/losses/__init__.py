"""Losses that Keras does not have."""

from particle_zoo.losses.clustering import kl_divergence, target_distribution
from particle_zoo.losses.reconstruction import huber, per_hit, soft_dice
from particle_zoo.losses.variational import gaussian_kl, summed_binary_crossentropy

__all__ = [
    "gaussian_kl",
    "huber",
    "kl_divergence",
    "per_hit",
    "soft_dice",
    "summed_binary_crossentropy",
    "target_distribution",
]
