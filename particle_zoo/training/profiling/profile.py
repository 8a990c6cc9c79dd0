"""`--profile`: a trace of a few steps of a training."""

from __future__ import annotations

import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import keras

from particle_zoo.training.profiling.tracer import TRACE, make_tracer

FOLDER = "profile"
"""Name of the folder of a trace in a run folder."""

WARM_UP = 5
"""Steps before the first one that is recorded: they compile, and fill caches and the input pipeline."""

STEPS = 10
"""Steps recorded; what lies between them, such as a validation, is recorded too."""


class Profile(keras.callbacks.Callback):
    """Record a few steps after the first ones and write what happened in them into `profile/` of a run folder.

    `profile/trace.json.gz` opens in Perfetto, and the `.xplane.pb` file that TensorFlow and JAX write beside it in XProf.
    Of a training of fewer steps the last ones are recorded. The folder appears only once it is whole, in the place of that
    of an earlier start.

    Args:
        folder: run folder.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder / FOLDER
        self.recorded: tuple[int, int] | None = None
        """First and last step of the finished trace, counted from 1 in this start of the run."""

        self._temporary = folder / f".{FOLDER}.{os.getpid()}.tmp"
        self._tracer = make_tracer()
        self._first: int | None = None
        self._done = 0
        self._running = False
        self._step: AbstractContextManager[Any] | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._first is None:
            # A call may make several steps at once; they are one here.
            calls = -(-self.params["steps"] // self.model.steps_per_execution)
            self._first = min(WARM_UP, (self.params["epochs"] - epoch) * calls - 1)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._done == self._first:
            self._tracer.start(self._temporary)
            self._running = True
        if self._running:
            self._step = self._tracer.step(self._done + 1)
            self._step.__enter__()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._done += 1
        if self._step is not None:
            # Devices work behind Python's back: a step has ended once its numbers are known.
            for value in (logs or {}).values():
                float(value)
            self._end_step()
        if self._running and self._done - (self._first or 0) == STEPS:
            self._save()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._running:
            self._save()

    def close(self) -> None:
        """Give up a trace that an error or Ctrl-C has cut; without one nothing happens."""
        if self._running:
            self._running = False
            self._end_step()
            self._tracer.stop(save=False)
            shutil.rmtree(self._temporary, ignore_errors=True)

    def describe(self) -> str:
        """What was recorded, and how to look at it."""
        if self.recorded is None:
            return "profile: this start of the run trained no step, so there is none"
        first, last = self.recorded
        said = f"profile of steps {first} to {last}: open {self.folder / TRACE} in https://ui.perfetto.dev"
        # XProf asks for other versions of libraries than TensorFlow and Beam do.
        more = f"; XProf, in an environment of its own (pip install xprof), shows more: xprof {self.folder}"
        return said + (more if self._tracer.xprof else "")

    def _end_step(self) -> None:
        if self._step is not None:
            self._step.__exit__(None, None, None)
            self._step = None

    def _save(self) -> None:
        self._running = False
        try:
            self._tracer.stop(save=True)
            shutil.rmtree(self.folder, ignore_errors=True)
            self._temporary.replace(self.folder)
        finally:
            shutil.rmtree(self._temporary, ignore_errors=True)
        self.recorded = ((self._first or 0) + 1, self._done)
