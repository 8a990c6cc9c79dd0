"""Traces of JAX."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import jax

from particle_zoo.training.profiling.tracer import STEP, TRACE


class JaxTracer:
    """`jax.profiler`, which writes a file for XProf and one for Perfetto."""

    xprof = True

    def start(self, folder: Path) -> None:
        self._folder = folder
        jax.profiler.start_trace(folder, create_perfetto_trace=True)

    def step(self, number: int) -> AbstractContextManager[Any]:
        trace: AbstractContextManager[Any] = jax.profiler.StepTraceAnnotation(STEP, step_num=number)
        return trace

    def stop(self, *, save: bool) -> None:
        # It cannot end without writing; who does not want the folder removes it.
        jax.profiler.stop_trace()
        if save:
            (written,) = self._folder.rglob("perfetto_trace.json.gz")
            written.replace(self._folder / TRACE)
