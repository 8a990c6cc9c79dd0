"""Exceptions a user can meet. Every message says what was received and what to do next."""

from __future__ import annotations


class ParticleZooError(Exception):
    """Base of all errors that a command turns into one sentence and an exit code."""

    exit_code = 2


class InputError(ParticleZooError, ValueError):
    """A file, option or value from outside that cannot be used as it is."""


class FormatRefusedError(InputError):
    """A model that a file format cannot hold, or holds as another model."""


class UnknownModelError(ParticleZooError, ValueError):
    """A model name that no registered model carries."""


class WeightsNotFoundError(ParticleZooError, FileNotFoundError):
    """No weights for a known model in any of the places where they may lie."""

    # OSError.__str__ would print the arguments as a tuple.
    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class PeerLostError(ParticleZooError):
    """Another process of a training on several hosts has ended, or did not come."""

    exit_code = 1
