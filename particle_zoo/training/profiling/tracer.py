"""What records a trace, by backend."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import keras

TRACE = "trace.json.gz"
"""Name of the file for Perfetto, in the trace event format of browsers."""

STEP = "train"
"""Name of the events that are steps; XProf looks for it."""

TRACERS = {
    "tensorflow": "particle_zoo.training.profiling.tensorflow_tracer.TensorFlowTracer",
    "jax": "particle_zoo.training.profiling.jax_tracer.JaxTracer",
    "torch": "particle_zoo.training.profiling.torch_tracer.TorchTracer",
}


class Tracer(Protocol):
    """The profiler of a backend."""

    xprof: bool
    """Whether it writes a file for XProf, too."""

    def start(self, folder: Path) -> None:
        """Begin to record what `stop` will write into a folder that does not exist yet."""

    def step(self, number: int) -> AbstractContextManager[Any]:
        """Mark what is done within as a training step."""

    def stop(self, *, save: bool) -> None:
        """End; with `save` write `TRACE` and what else there is, without it forget what was recorded."""


def make_tracer() -> Tracer:
    """The tracer of the backend in use, whose library is imported already."""
    module, _, name = TRACERS[keras.backend.backend()].rpartition(".")
    tracer: Tracer = getattr(importlib.import_module(module), name)()
    return tracer
