"""Memory of a long camera run: it must not grow with the number of frames."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.anomaly import AnomalyDetector
from particle_zoo.cli import load_keras
from particle_zoo.evaluation.memory import peak_mb

SETTLED = 10
"""Frames after which everything that is kept for a run is there."""


def measure(detector: AnomalyDetector, frames: Sequence[np.ndarray], n: int) -> dict[str, Any]:
    """Regions of n frames in a process of its own, with a detector read from its folder.

    The frames come one by one from a .npy file of a few, again and again: a thousand of one camera would be 10 GB.

    Args:
        detector: calibrated.
        frames: (rows, cols) uint16, those of the file.
        n: more than `SETTLED`.

    Returns:
        `frames`, `regions`, `seconds`, and the peak of the resident memory after the first `SETTLED` frames and at the end, MB.
    """
    with tempfile.TemporaryDirectory() as scratch:
        detector.save(Path(scratch) / "run")
        np.save(Path(scratch) / "frames.npy", np.stack(frames))
        # The peak of a process never falls again, and training a detector has one.
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            return process.submit(_search, Path(scratch) / "run", Path(scratch) / "frames.npy", n).result()


def _search(run: Path, file: Path, n: int) -> dict[str, Any]:
    load_keras()
    from particle_zoo.detectors.camera import open_frames

    detector, stored = AnomalyDetector.load(run), open_frames(file)
    regions, settled = 0, float("nan")
    started = time.perf_counter()
    for number, frame in enumerate(stored[np.arange(n) % len(stored)], 1):
        regions += len(detector.regions(frame))
        if number == SETTLED:
            settled = peak_mb()
    seconds = time.perf_counter() - started
    return {"frames": n, "regions": regions, "seconds": seconds, "settled_mb": settled, "end_mb": peak_mb()}
