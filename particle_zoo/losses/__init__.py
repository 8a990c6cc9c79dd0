"""Losses that Keras does not have."""

from particle_zoo.losses.variational import gaussian_kl, summed_binary_crossentropy

__all__ = ["gaussian_kl", "summed_binary_crossentropy"]
