"""Trained weights for `particle_zoo.load`; one folder a model."""
