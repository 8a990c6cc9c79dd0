"""A detector of camera frames that nothing was trained for, and frames for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

SHAPE = (64, 96)

TRAINED = (80, 104)
"""Of the frames that trainings see."""

Spot = tuple[int, int, float]
"""Row and column of the middle, and counts of light."""


def frames(n: int, seed: int, spots: Sequence[Sequence[Spot]] = (), shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """(n, rows, cols) uint16: 100 counts, white noise of 3, and Gaussian spots of 3 px in the first frames."""
    rng = np.random.default_rng(seed)
    images = rng.normal(100, 3, (n, *shape))
    row, col = np.indices(shape)
    for image, own in zip(images, spots, strict=False):
        for middle, across, light in own:
            image += light / (18 * np.pi) * np.exp(-((row - middle) ** 2 + (col - across) ** 2) / 18)
    return np.round(images).astype(np.uint16)


def dark(n: int, seed: int) -> np.ndarray:
    """(n, rows, cols) uint16 `frames` without light, of the shape `TRAINED`."""
    return frames(n, seed, shape=TRAINED)


def write_run(
    folder: Path, dark: np.ndarray | None = None, calibration: np.ndarray | None = None, *, seed: int = 0
) -> Path:
    """The run folder of a `tiny_pedestal_ae` with random weights, with thresholds for 0.1 and 1 regions a frame.

    Args:
        folder: to write.
        dark: frames of the pedestal.
        calibration: 50 frames or more.
        seed: of the weights, and of the frames that are not given.
    """
    from particle_zoo import registry
    from particle_zoo.anomaly import AnomalyDetector
    from particle_zoo.detectors.camera import MatchedFilter

    keras.utils.set_random_seed(seed)
    model = registry.create("tiny_pedestal_ae")
    model.preprocessor = model.preprocessor.fit(frames(30, seed) if dark is None else dark)
    finder = MatchedFilter(dilation=4, merge=2, widths=(3.0,))
    detector = AnomalyDetector(model, model.preprocessor.pedestal, finder)
    return detector.calibrate(frames(50, seed + 1) if calibration is None else calibration, (0.1, 1.0)).save(folder)
