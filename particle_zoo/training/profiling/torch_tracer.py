"""Traces of PyTorch."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch

from particle_zoo.training.profiling.tracer import STEP, TRACE


class TorchTracer:
    """`torch.profiler`, which writes a file for Perfetto."""

    xprof = False

    def start(self, folder: Path) -> None:
        self._folder = folder
        self._profiler = torch.profiler.profile()
        self._profiler.start()

    def step(self, number: int) -> AbstractContextManager[Any]:
        trace: AbstractContextManager[Any] = torch.profiler.record_function(f"{STEP} {number}")
        return trace

    def stop(self, *, save: bool) -> None:
        self._profiler.stop()
        if save:
            self._folder.mkdir()
            self._profiler.export_chrome_trace(str(self._folder / TRACE))
        # It holds all that was recorded.
        del self._profiler
