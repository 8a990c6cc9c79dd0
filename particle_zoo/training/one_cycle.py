"""The one-cycle learning rate."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="particle_zoo")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """Up by a half cosine from `peak / 25` to `peak` over a quarter of the steps, then down by another to `peak / 1e5`.

    The momentum stays as it is: Keras's optimizers hold it constant.

    Args:
        peak: highest learning rate.
        steps: of the whole training.

    References:
        Smith, A disciplined approach to neural network hyper-parameters, arXiv:1803.09820; shares as in fastai.
    """

    RISE, START, END = 0.25, 25.0, 1e5

    def __init__(self, peak: float, steps: int) -> None:
        self.peak, self.steps = float(peak), int(steps)

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        rise = max(1.0, self.RISE * self.steps)
        fall = max(1.0, self.steps - rise)
        up = _half_cosine(self.peak / self.START, self.peak, step / rise)
        down = _half_cosine(self.peak, self.peak / self.END, ops.minimum((step - rise) / fall, 1.0))
        return ops.where(step < rise, up, down)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {"peak": self.peak, "steps": self.steps}


def _half_cosine(start: float, end: float, share: Any) -> Any:
    return start + (end - start) * (1 - ops.cos(math.pi * share)) / 2
