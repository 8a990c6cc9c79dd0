"""What all models of the zoo share: a validated configuration and preprocessing that travels with the weights."""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar, Literal, Self

import keras
import numpy as np
import pydantic

from particle_zoo.clusters import Clusters
from particle_zoo.errors import InputError
from particle_zoo.pipelines.ccd import CCDPreprocessor
from particle_zoo.pipelines.preprocessor import Preprocessor

Count = Annotated[int, pydantic.Field(ge=1, le=65_536)]
"""Filters, units or pixels of a layer."""


class ZooConfig(pydantic.BaseModel):
    """Model and recipe settings; subclasses add their own. Unknown names are errors."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    epochs: int = pydantic.Field(30, ge=1)
    batch_size: int = pydantic.Field(32, ge=1)
    learning_rate: float = pydantic.Field(1e-3, gt=0)
    weight_decay: float = pydantic.Field(0.0, ge=0)
    patience: int = pydantic.Field(0, ge=0, description="epochs without improvement before stopping; 0 never stops")

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> Self:
        """Validate settings from a command line, a JSON file or a caller.

        Raises:
            InputError: an unknown name or an impossible value, named.
        """
        try:
            return cls(**settings)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"])) or "settings"
            if first["type"] == "extra_forbidden":
                raise InputError(f"no setting {name!r}; this model has {', '.join(cls.model_fields)}") from error
            raise InputError(f"{name}: {first['msg']}; received {json.dumps(first['input'], default=str)}") from error


class CCDConfig(ZooConfig):
    """Settings of models of CCD clusters."""

    input: Literal["mask", "energy"] = "mask"
    size: int = pydantic.Field(64, ge=8, le=512, description="pixels of the square input image")


class ZooModel(keras.Model):
    """A functional Keras model with `zoo_name`, `zoo_config` and the `preprocessor` of its training data.

    A trained classifier has `class_names`, one an output, in their order.

    Subclasses build their graph in `__init__` from a configuration and pass it on; `get_config` returns that
    configuration, so that saving and rebuilding go through code and never through pickles.
    """

    config_class: ClassVar[type[ZooConfig]] = ZooConfig
    uses_metadata: ClassVar[bool] = False
    loss_scale: ClassVar[float] = 2.0**15
    """Factor of the loss at the beginning of a training in float16; every overflow halves it and leaves a step out."""

    zoo_config: ZooConfig
    zoo_name: str
    preprocessor: Preprocessor
    class_names: tuple[str, ...] = ()

    def _identify(self, config: ZooConfig, zoo_name: str) -> None:
        self.zoo_config = config
        self.zoo_name = zoo_name
        self.preprocessor = self.make_preprocessor(config)

    def make_preprocessor(self, config: Any) -> Preprocessor:
        """What turns clusters into this model's inputs, before it has seen any."""
        return CCDPreprocessor(size=config.size, input=config.input, with_meta=self.uses_metadata)

    def load_initial_weights(self) -> None:
        """Fetch the weights that the configuration asks a new model to start from; most families have none."""

    def start_from(self, other: ZooModel) -> None:
        """Take over the weights of a trained model.

        Raises:
            InputError: they do not fit.
        """
        if [tuple(w.shape) for w in other.weights] != [tuple(w.shape) for w in self.weights]:
            raise InputError(
                f"the weights of that {other.zoo_name} do not fit {self.zoo_name} with these settings; give a run of the same settings"
            )
        self.set_weights(other.get_weights())

    def preprocess(self, clusters: Clusters) -> Any:
        """Model inputs of clusters: an array, or a dict of arrays, with the batch first.

        Raises:
            InputError: clusters without what the model's `input` setting asks for.
        """
        return self.preprocessor(clusters)

    def make_optimizer(self, steps_per_epoch: int) -> keras.optimizers.Optimizer:
        """The optimizer of the recipe."""
        raise NotImplementedError

    def compile_args(self) -> dict[str, Any]:
        """Loss and metrics of the recipe, as keyword arguments of `compile`."""
        return {}

    def get_config(self) -> dict[str, Any]:
        return {**self.zoo_config.model_dump(mode="json"), "zoo_name": self.zoo_name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        settings = dict(config)
        zoo_name = settings.pop("zoo_name")
        return cls(cls.config_class.from_settings(settings), zoo_name=zoo_name)


class Classifier(ZooModel):
    """A model whose output is one logit a class."""

    def compile_args(self) -> dict[str, Any]:
        return {
            "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "metrics": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        }


def cosine(steps: int, peak: float, warmup: float = 0.05) -> keras.optimizers.schedules.CosineDecay:
    """Linear warm-up over a share of the steps, then a cosine to zero."""
    warm = int(np.ceil(warmup * steps))
    return keras.optimizers.schedules.CosineDecay(
        peak / 20, decay_steps=max(1, steps - warm), warmup_target=peak, warmup_steps=warm
    )
