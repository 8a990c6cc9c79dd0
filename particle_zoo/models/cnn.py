"""Supervised CNN on 64x64 cluster images, the first hyperparameter table of the seed.

Two convolutions with pooling, dropout, two hidden dense layers. The table was found by Optuna on hand-labelled CCD
clusters; every value of it is a field of `CNNConfig`, and its names (`conv_filter_exp0`, ...) are understood too.

Deviations from the seed, both deliberate: the output are logits (the seed applied a ReLU to its second network's), and
dropout is off at evaluation. Augmentation happens on the fly and after the split; the seed's order leaks.

References:
    Preuss, Lomholt Christensen, Sejr, Bergmann: Classification of data from Charge Coupled Devices (seed 003), first table.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import keras
import pydantic
from keras import layers

from particle_zoo.models.base import CCDConfig, Classifier, Count, ZooConfig, cosine
from particle_zoo.registry import ModelCard, register_model

SEED_RECIPE = {
    "epochs": 30,
    "batch_size": 32,
    "learning_rate": 3.676e-4,
    "patience": 0,
    "test_time_average": False,
    "balance": 0.0,
    "pretrain_epochs": 0,
}


def take_whole(values: dict[str, Any], name: str) -> int:
    """Take a whole number of a search's table out of settings.

    Raises:
        ValueError: there is none of that name, or what it is is no whole number from 0 to 1024.
    """
    if name not in values:
        raise ValueError(f"the table is not complete: there is no {name}")
    found = values.pop(name)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= 1024:
        raise ValueError(f"{name} is a whole number from 0 to 1024, not {found!r}")
    return found


class ClassifierConfig(CCDConfig):
    """What both CNNs have in common.

    With `pretrain_epochs` a training on real clusters starts from simulated ones and goes on by `fine_tuning`: a few
    hundred hand labels correct a network that knows the shapes, and ruin it when they are learned by heart.
    """

    fine_tuning: ClassVar[dict[str, Any]] = {"epochs": 10, "learning_rate": 3e-5, "balance": 1.0}

    classes: int = pydantic.Field(3, ge=2)
    dropout_rate: float = pydantic.Field(0.4981, ge=0, lt=1)
    recipe: Literal["best", "seed"] = "best"
    pretrain_epochs: int = pydantic.Field(
        0, ge=0, description="epochs on simulated clusters of the same classes before real training clusters"
    )
    pretrain_clusters: int = pydantic.Field(18_000, ge=1, description="how many of them")
    pretrain_rate: float = pydantic.Field(1e-3, gt=0, description="peak learning rate on them")
    balance: float = pydantic.Field(
        0.0, ge=0, le=1, description="loss weight of a class: its frequency to the power of minus this"
    )
    test_time_average: bool = pydantic.Field(
        True, description="average probabilities over the 8 symmetries of the square"
    )


class CNNConfig(ClassifierConfig):
    """Settings of `CNN`; the defaults are the seed's architecture and our recipe."""

    filters: tuple[Count, ...] = (64, 16)
    kernel_sizes: tuple[Count, ...] = (2, 5)
    dense_units: tuple[Count, ...] = pydantic.Field((16, 8), description="hidden dense layers, without the output")
    epochs: int = pydantic.Field(120, ge=1)
    pretrain_epochs: int = pydantic.Field(5, ge=0, description="0 trains on the given clusters alone")
    decay_steps: int = pydantic.Field(3866, ge=1, description="seed recipe: steps of the exponential decay")
    decay_rate: float = pydantic.Field(0.9122, gt=0, le=1, description="seed recipe: rate of the exponential decay")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _accept_table(cls, values: Any) -> Any:
        """Translate the names of the seed's table, as a search writes them, and fill in the seed's recipe."""
        values = dict(values)
        if "N_conv_layers" in values:
            convolutions = range(take_whole(values, "N_conv_layers"))
            # The table counts the output layer.
            hidden = range(take_whole(values, "N_dense_layers") - 1)
            values["filters"] = [2 ** take_whole(values, f"conv_filter_exp{i}") for i in convolutions]
            values["kernel_sizes"] = [take_whole(values, f"conv_kernel_size{i}") for i in convolutions]
            values["dense_units"] = [2 ** take_whole(values, f"dense_units_exp{i}") for i in hidden]
            values.setdefault("recipe", "seed")
            for ours, theirs in (
                ("learning_rate", "adam_learning_rate"),
                ("decay_steps", "adam_decay_steps"),
                ("decay_rate", "adam_decay_rate"),
            ):
                if theirs in values:
                    values[ours] = values.pop(theirs)
        return {**SEED_RECIPE, **values} if values.get("recipe") == "seed" else values

    @pydantic.model_validator(mode="after")
    def _check_lengths(self) -> CNNConfig:
        if len(self.filters) != len(self.kernel_sizes) or not self.filters:
            raise ValueError("filters and kernel_sizes need one entry a convolution")
        if self.size >> len(self.filters) < 1:
            raise ValueError(f"{len(self.filters)} poolings shrink a {self.size} px image to nothing")
        return self


CCD = (
    "Preuss, Lomholt Christensen, Sejr, Bergmann: Classification of data from Charge Coupled Devices (seed 003; "
    "https://github.com/AsbjornPreuss/AppMLFinalProject)"
)
"""What the CCD models come from."""

LIMITS = (
    "sees the shape of a cluster alone, not its energy, scaled to 64 px where it is larger; knows no classes but those it was "
    "trained on and gives every cluster one of them; not for CCDs of other pixels or thresholds without training on labels from them"
)


@keras.saving.register_keras_serializable(package="particle_zoo")
class CNN(Classifier):
    """Convolutions with max-pooling, dropout, dense layers, logits.

    Call arguments:
        image: (batch, size, size, 1) float32 in [0, 1].

    Returns:
        (batch, classes) float32 logits.
    """

    config_class: ClassVar[type[ZooConfig]] = CNNConfig
    zoo_config: CNNConfig

    def __init__(self, config: CNNConfig, zoo_name: str = "cnn", **kwargs: Any) -> None:
        # === Layers ===
        convolutions = [
            layers.Conv2D(filters, kernel, padding="same", activation="relu", name=f"conv{i}")
            for i, (filters, kernel) in enumerate(zip(config.filters, config.kernel_sizes, strict=True))
        ]
        hidden = [
            layers.Dense(units, activation="relu", name=f"dense{i}") for i, units in enumerate(config.dense_units)
        ]
        output = layers.Dense(config.classes, dtype="float32", name="logits")

        # === Functional model ===
        image = keras.Input((config.size, config.size, 1), name="image")
        x = image
        for i, convolution in enumerate(convolutions):
            x = layers.MaxPooling2D(2, name=f"pool{i}")(convolution(x))
        x = layers.Dropout(config.dropout_rate, name="dropout")(layers.Flatten(name="flatten")(x))
        for dense in hidden:
            x = dense(x)
        super().__init__(inputs=image, outputs=output(x), name=zoo_name, **kwargs)

        # === Config ===
        self._identify(config, zoo_name)

    def make_optimizer(self, steps_per_epoch: int) -> keras.optimizers.Optimizer:
        c = self.zoo_config
        if c.recipe == "seed":
            rate = keras.optimizers.schedules.ExponentialDecay(c.learning_rate, c.decay_steps, c.decay_rate)
            return keras.optimizers.Adam(rate)
        return keras.optimizers.AdamW(cosine(steps_per_epoch * c.epochs, c.learning_rate), weight_decay=c.weight_decay)


IMAGE = {
    "name": "image",
    "shape": (64, 64, 1),
    "units": "share of a pixel hit (input=mask) or energy over a scale",
    "value_range": "0 to 1",
}


@register_model(
    ModelCard(
        name="cnn",
        family="cnn",
        task="classifier",
        summary="supervised CNN for CCD clusters, first hyperparameter table",
        source=f"{CCD}, first table",
        inputs=(IMAGE,),
        output="(classes,) logits; by default xray, electron, muon",
        parameters=91_651,
        config=CNNConfig().model_dump(mode="json"),
        notes="logits without the seed's ReLU; dropout off at evaluation; split by cluster before augmentation",
        limits=LIMITS,
    ),
    CNNConfig,
)
def cnn(**overrides: Any) -> CNN:
    """The first table."""
    return CNN(CNNConfig.from_settings(overrides), "cnn")


class TinyCNNConfig(CNNConfig):
    """A small `CNNConfig` for tests and notebooks."""

    size: int = pydantic.Field(16, ge=8, le=512)
    filters: tuple[Count, ...] = (8, 8)
    kernel_sizes: tuple[Count, ...] = (3, 3)
    dense_units: tuple[Count, ...] = (8,)
    dropout_rate: float = pydantic.Field(0.2, ge=0, lt=1)
    epochs: int = pydantic.Field(10, ge=1)
    pretrain_epochs: int = pydantic.Field(0, ge=0)


@register_model(
    ModelCard(
        name="tiny_cnn",
        family="cnn",
        task="classifier",
        summary="seconds-fast stand-in for cnn",
        source="ours",
        inputs=({**IMAGE, "shape": (16, 16, 1)},),
        output="(classes,) logits",
        parameters=1_723,
        config=TinyCNNConfig().model_dump(mode="json"),
        limits="a stand-in: not for results",
    ),
    TinyCNNConfig,
)
def tiny_cnn(**overrides: Any) -> CNN:
    """For tests and notebooks."""
    return CNN(TinyCNNConfig.from_settings(overrides), "tiny_cnn")
