"""Supervised CNN fed the image and four metadata values, the second hyperparameter table of the seed.

Three convolutions, each followed by a stride-1 max-pooling, three dense layers; height, width, size and energy sum
join before the output. The seed wrote it in PyTorch, hence explicit paddings.

Deviations from the seed, both deliberate: logits without the ReLU it applied to them, and dropout off at validation.

References:
    Preuss, Lomholt Christensen, Sejr, Bergmann: Classification of data from Charge Coupled Devices (seed 003), second table.
"""

from __future__ import annotations

from typing import Any, ClassVar

import keras
import pydantic
from keras import layers

from particle_zoo.models.base import Classifier, Count, ZooConfig, cosine
from particle_zoo.models.cnn import CCD, IMAGE, LIMITS, ClassifierConfig, take_whole
from particle_zoo.registry import ModelCard, register_model

SEED_RECIPE = {
    "epochs": 100,
    "batch_size": 1,
    "learning_rate": 1.1811e-4 / 2,
    "patience": 0,
    "test_time_average": False,
    "balance": 0.0,
    "pretrain_epochs": 0,
}


class CNNMetaConfig(ClassifierConfig):
    """Settings of `CNNMeta`; the defaults are the seed's architecture and our recipe."""

    filters: tuple[Count, ...] = (41, 49, 9)
    kernel_sizes: tuple[Count, ...] = (6, 3, 7)
    strides: tuple[Count, ...] = (1, 1, 2)
    paddings: tuple[pydantic.NonNegativeInt, ...] = (3, 2, 2)
    dense_units: tuple[Count, ...] = (84, 55, 99)
    dropout_rate: float = pydantic.Field(0.4275, ge=0, lt=1)
    epochs: int = pydantic.Field(40, ge=1)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _accept_table(cls, values: Any) -> Any:
        """Translate the names of the seed's table, as a search writes them, and fill in the seed's recipe."""
        values = dict(values)
        if "N_conv_layers" in values:
            convolutions = range(take_whole(values, "N_conv_layers"))
            hidden = range(take_whole(values, "N_dense_layers"))
            for ours, theirs in (
                ("filters", "filters"),
                ("kernel_sizes", "filter_size"),
                ("strides", "stride"),
                ("paddings", "padding"),
            ):
                values[ours] = [take_whole(values, f"{theirs}_layer{i}") for i in convolutions]
            values["dense_units"] = [take_whole(values, f"dense_layer{i}") for i in hidden]
        return {**SEED_RECIPE, **values} if values.get("recipe") == "seed" else values

    @pydantic.model_validator(mode="after")
    def _check_lengths(self) -> CNNMetaConfig:
        if not len(self.filters) == len(self.kernel_sizes) == len(self.strides) == len(self.paddings) > 0:
            raise ValueError("filters, kernel_sizes, strides and paddings need one entry a convolution")
        side = self.size
        for kernel, stride, padding in zip(self.kernel_sizes, self.strides, self.paddings, strict=True):
            side = (side + 2 * padding - kernel) // stride + 1
            if side < 1:
                raise ValueError(f"kernels {self.kernel_sizes} shrink a {self.size} px image to nothing")
        return self


@keras.saving.register_keras_serializable(package="particle_zoo")
class CNNMeta(Classifier):
    """Convolutions, dense layers, metadata joined before the output.

    Call arguments:
        image: (batch, size, size, 1) float32 in [0, 1].
        meta: (batch, 4) float32 standardised logarithms of height, width, size and energy sum.

    Returns:
        (batch, classes) float32 logits.
    """

    config_class: ClassVar[type[ZooConfig]] = CNNMetaConfig
    zoo_config: CNNMetaConfig
    uses_metadata: ClassVar[bool] = True

    def __init__(self, config: CNNMetaConfig, zoo_name: str = "cnn_meta", **kwargs: Any) -> None:
        # === Layers ===
        convolutions = [
            layers.Conv2D(filters, kernel, strides=stride, activation="relu", name=f"conv{i}")
            for i, (filters, kernel, stride) in enumerate(
                zip(config.filters, config.kernel_sizes, config.strides, strict=True)
            )
        ]
        hidden = [
            layers.Dense(units, activation="relu", name=f"dense{i}") for i, units in enumerate(config.dense_units)
        ]
        output = layers.Dense(config.classes, dtype="float32", name="logits")

        # === Functional model ===
        image = keras.Input((config.size, config.size, 1), name="image")
        meta = keras.Input((4,), name="meta")
        x = image
        for i, (convolution, padding) in enumerate(zip(convolutions, config.paddings, strict=True)):
            x = convolution(layers.ZeroPadding2D(padding, name=f"pad{i}")(x))
            # After the ReLU a zero border never wins, so "same" is PyTorch's padding 1.
            x = layers.MaxPooling2D(3, strides=1, padding="same", name=f"pool{i}")(x)
        x = layers.Dropout(config.dropout_rate, name="dropout")(layers.Flatten(name="flatten")(x))
        for dense in hidden:
            x = dense(x)
        x = layers.Concatenate(name="join")([x, meta])
        super().__init__(inputs={"image": image, "meta": meta}, outputs=output(x), name=zoo_name, **kwargs)

        # === Config ===
        self._identify(config, zoo_name)

    def make_optimizer(self, steps_per_epoch: int) -> keras.optimizers.Optimizer:
        c = self.zoo_config
        if c.recipe == "seed":
            return keras.optimizers.Adam(c.learning_rate)
        return keras.optimizers.AdamW(cosine(steps_per_epoch * c.epochs, c.learning_rate), weight_decay=c.weight_decay)


META = {
    "name": "meta",
    "shape": (4,),
    "units": "standardised log of height (px), width (px), size (px), energy sum",
    "value_range": "about -3 to 3; 0 where unknown",
}


@register_model(
    ModelCard(
        name="cnn_meta",
        family="cnn_meta",
        task="classifier",
        summary="supervised CNN for CCD clusters with four metadata values, second hyperparameter table",
        source=f"{CCD}, second table",
        inputs=(IMAGE, META),
        output="(classes,) logits; by default xray, electron, muon",
        parameters=875_164,
        config=CNNMetaConfig().model_dump(mode="json"),
        limits=f"{LIMITS}; energies count here, so that a change of gain shifts its answers",
        notes="logits without the seed's ReLU; dropout off at evaluation; batch 32 unless recipe=seed",
    ),
    CNNMetaConfig,
)
def cnn_meta(**overrides: Any) -> CNNMeta:
    """The second table."""
    return CNNMeta(CNNMetaConfig.from_settings(overrides), "cnn_meta")
