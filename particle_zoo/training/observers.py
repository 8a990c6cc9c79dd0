"""What looks on while a model trains and changes nothing: `--profile` and `--tensorboard`."""

from __future__ import annotations

from pathlib import Path

from particle_zoo.training.profiling import Profile
from particle_zoo.training.scalars import Scalars


class Observers:
    """The callbacks asked for, as a context; when it ends, however it ends, their files are closed.

    Args:
        folder: run folder; nothing is written before the training begins.
        profile: whether to trace some steps.
        tensorboard: whether to write the values of every epoch for TensorBoard.

    Raises:
        InputError: a package is missing.
    """

    def __init__(self, folder: Path, *, profile: bool, tensorboard: bool) -> None:
        self.callbacks: list[Profile | Scalars] = []
        if tensorboard:
            self.callbacks.append(Scalars(folder))
        if profile:
            self.callbacks.append(Profile(folder))

    def __enter__(self) -> list[Profile | Scalars]:
        return self.callbacks

    def __exit__(self, *_: object) -> None:
        for callback in self.callbacks:
            callback.close()
