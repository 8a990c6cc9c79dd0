"""Traces of TensorFlow."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import tensorflow as tf

from particle_zoo.training.profiling.trace_events import write_trace_events
from particle_zoo.training.profiling.tracer import STEP, TRACE


class TensorFlowTracer:
    """`tf.profiler.experimental`, which writes a file for XProf alone; that for Perfetto is made of it."""

    xprof = True

    def start(self, folder: Path) -> None:
        self._folder = folder
        tf.profiler.experimental.start(str(folder))

    def step(self, number: int) -> AbstractContextManager[Any]:
        # _r marks the root event of a step.
        trace: AbstractContextManager[Any] = tf.profiler.experimental.Trace(STEP, step_num=number, _r=1)
        return trace

    def stop(self, *, save: bool) -> None:
        tf.profiler.experimental.stop(save=save)
        if save:
            (written,) = self._folder.rglob("*.xplane.pb")
            write_trace_events(written, self._folder / TRACE)
