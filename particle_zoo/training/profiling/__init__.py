"""Traces of a few training steps, for Perfetto and XProf, under every backend."""

from particle_zoo.training.profiling.profile import Profile

__all__ = ["Profile"]
