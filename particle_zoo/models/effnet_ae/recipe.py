"""Optimizers of the EfficientNet family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from particle_zoo.errors import InputError
from particle_zoo.models.base import cosine
from particle_zoo.models.effnet_ae.config import EffNetConfig


def adamw(config: Any, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """AdamW with warm-up and cosine, and with gradient accumulation where the configuration asks for it.

    Kernels decay; biases and the scales of batch normalisation do not.
    """
    return _decaying(keras.optimizers.AdamW(**_options(config, steps_per_epoch)))


def layerwise_adamw(config: EffNetConfig, steps_per_epoch: int, shares: Sequence[float]) -> keras.optimizers.Optimizer:
    """`adamw` with a share of the learning rate for each variable.

    Args:
        config: settings.
        steps_per_epoch: batches an epoch.
        shares: of the trainable variables of the model in their order, above 0 to 1.

    Raises:
        InputError: on the PyTorch backend, whose optimizers step through all variables at once.
    """
    if keras.backend.backend() == "torch":
        raise InputError(
            "layer-wise learning rates need the TensorFlow or JAX backend; received torch; set layer_decay=1"
        )
    return _decaying(LayerwiseAdamW(shares=shares, **_options(config, steps_per_epoch)))


def _decaying(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    # Keras works the schedule out anew for every variable that decays: of two thirds of them there is nothing to gain.
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _options(config: Any, steps_per_epoch: int) -> dict[str, Any]:
    # Schedules count batches, also where several of them make a step.
    steps = max(1, steps_per_epoch * config.epochs)
    return {
        "learning_rate": cosine(steps, config.learning_rate),
        "weight_decay": config.weight_decay,
        "gradient_accumulation_steps": config.accumulate if config.accumulate > 1 else None,
    }


@keras.saving.register_keras_serializable(package="particle_zoo")
class LayerwiseAdamW(keras.optimizers.AdamW):
    """AdamW whose steps are shortened variable by variable; weights decay alike everywhere.

    Args:
        shares: of the learning rate, one a trainable variable of the model, in their order.
        kwargs: of `keras.optimizers.AdamW`.
    """

    def __init__(self, *, shares: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shares = list(shares)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        super().update_step(gradient, variable, learning_rate * self.shares[self._get_variable_index(variable)])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "shares": self.shares}
