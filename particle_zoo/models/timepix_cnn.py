"""Small CNN on the same input as the EfficientNets: what a deep network has to be better than.

Four convolutions with batch normalisation, each followed by 2x2 pooling, the mean and the maximum over the last map,
one hidden dense layer, logits. About as large as what one would write in an afternoon.
"""

from __future__ import annotations

from typing import Any, ClassVar

import keras
import pydantic
from keras import layers

from particle_zoo.models.base import Classifier, Count, ZooConfig, cosine
from particle_zoo.models.timepix import (
    TimepixClassifierConfig,
    TimepixModel,
    enlarge_layer,
    rasters_input,
    rasters_spec,
)
from particle_zoo.registry import ModelCard, register_model


class TimepixCNNConfig(TimepixClassifierConfig):
    """Settings of `TimepixCNN`."""

    filters: tuple[Count, ...] = (16, 32, 64, 128)
    dense_units: int = pydantic.Field(64, ge=1)
    batch_size: int = pydantic.Field(64, ge=1)
    weight_decay: float = pydantic.Field(1e-4, ge=0)

    @pydantic.model_validator(mode="after")
    def _check_poolings(self) -> TimepixCNNConfig:
        if not self.filters or self.size >> len(self.filters) < 1:
            raise ValueError(f"{len(self.filters)} poolings do not suit a {self.size} px image")
        return self


@keras.saving.register_keras_serializable(package="particle_zoo")
class TimepixCNN(TimepixModel, Classifier):
    """Convolutions with pooling, mean and maximum over the last map, dense layers, logits.

    Call arguments:
        rasters: (batch, side, side, channels) float32 of `TimepixPreprocessor`.

    Returns:
        (batch, classes) float32 logits.
    """

    config_class: ClassVar[type[ZooConfig]] = TimepixCNNConfig
    zoo_config: TimepixCNNConfig

    def __init__(self, config: TimepixCNNConfig, zoo_name: str = "timepix_cnn", **kwargs: Any) -> None:
        rasters = rasters_input(config)
        x = enlarge_layer(config)(rasters)
        for i, filters in enumerate(config.filters):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"conv{i}")(x)
            x = layers.Activation("relu", name=f"relu{i}")(layers.BatchNormalization(momentum=0.95, name=f"bn{i}")(x))
            x = layers.MaxPooling2D(2, name=f"pool{i}")(x)
        mean, peak = layers.GlobalAveragePooling2D(name="mean")(x), layers.GlobalMaxPooling2D(name="peak")(x)
        x = layers.Dense(config.dense_units, activation="relu", name="dense")(
            layers.Concatenate(name="join")([mean, peak])
        )
        x = layers.Dropout(config.dropout_rate, name="dropout")(x)
        logits = layers.Dense(config.classes, dtype="float32", name="logits")(x)
        super().__init__(inputs=rasters, outputs=logits, name=zoo_name, **kwargs)

        self._identify(config, zoo_name)

    def make_optimizer(self, steps_per_epoch: int) -> keras.optimizers.Optimizer:
        c = self.zoo_config
        return keras.optimizers.AdamW(cosine(steps_per_epoch * c.epochs, c.learning_rate), weight_decay=c.weight_decay)


def _card(name: str, config: TimepixCNNConfig, parameters: int, summary: str) -> ModelCard:
    return ModelCard(
        name=name,
        family="timepix_cnn",
        task="classifier",
        summary=summary,
        source="ours",
        inputs=(rasters_spec(config),),
        output="(classes,) logits; by default proton, electron",
        parameters=parameters,
        detector="Timepix",
        default_dataset="timepix1_clusters/satram_simulated_benchmark",
        config=config.model_dump(mode="json"),
        limits="gives every cluster one of its classes, also what is neither; learned from a fast simulation of one sensor and one "
        "pair of spectra, whose priors are in its probabilities; not for dosimetry or flight decisions",
    )


@register_model(
    _card("timepix_cnn", TimepixCNNConfig(), 114_738, "small CNN for Timepix clusters, protons against electrons"),
    TimepixCNNConfig,
)
def timepix_cnn(**overrides: Any) -> TimepixCNN:
    """What the EfficientNets are compared with."""
    return TimepixCNN(TimepixCNNConfig.from_settings(overrides), "timepix_cnn")


class TinyTimepixCNNConfig(TimepixCNNConfig):
    """A small `TimepixCNNConfig` for tests and notebooks."""

    size: int = pydantic.Field(32, ge=16, le=1024)
    filters: tuple[Count, ...] = (8, 16)
    dense_units: int = pydantic.Field(16, ge=1)
    epochs: int = pydantic.Field(3, ge=1)
    epoch_clusters: int = pydantic.Field(1_000, ge=0)
    watch_clusters: int = pydantic.Field(500, ge=0)


@register_model(
    _card("tiny_timepix_cnn", TinyTimepixCNNConfig(), 2_026, "seconds-fast stand-in for timepix_cnn"),
    TinyTimepixCNNConfig,
)
def tiny_timepix_cnn(**overrides: Any) -> TimepixCNN:
    """For tests and notebooks."""
    return TimepixCNN(TinyTimepixCNNConfig.from_settings(overrides), "tiny_timepix_cnn")
