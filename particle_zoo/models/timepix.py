"""What all models of Timepix clusters share: rasters in, enlarged on the device."""

from __future__ import annotations

from typing import Any, Literal

import keras
import pydantic

from particle_zoo.layers import Enlarge
from particle_zoo.models.base import ZooConfig
from particle_zoo.pipelines.timepix import MAX_FACTOR, TimepixPreprocessor


class TimepixConfig(ZooConfig):
    """Settings of models of Timepix clusters."""

    size: int = pydantic.Field(96, ge=16, le=1024, description="pixels of the square image")
    time: Literal["toa", "zero", "drop"] = pydantic.Field(
        "toa", description="second channel: filled where clusters have times, empty, or left out"
    )
    over_kev: float = pydantic.Field(40.0, gt=0, description="threshold of the map of energetic pixels, keV")
    fresh_statistics: int = pydantic.Field(
        256,
        ge=0,
        description="training clusters whose statistics replace the running averages of batch normalisation before every "
        "validation; 0: none",
    )


class TimepixClassifierConfig(TimepixConfig):
    """Settings of classifiers of Timepix clusters."""

    classes: int = pydantic.Field(2, ge=2)
    dropout_rate: float = pydantic.Field(0.2, ge=0, lt=1)
    balance: float = pydantic.Field(
        1.0, ge=0, le=1, description="loss weight of a class: its frequency to the power of minus this"
    )
    epoch_clusters: int = pydantic.Field(0, ge=0, description="clusters an epoch; 0: all")
    watch_clusters: int = pydantic.Field(5_000, ge=0, description="validation clusters after every epoch; 0: all")
    test_time_average: bool = pydantic.Field(
        False, description="average probabilities over the 8 symmetries of the square"
    )
    epochs: int = pydantic.Field(10, ge=1)
    patience: int = pydantic.Field(3, ge=0, description="epochs without improvement before stopping; 0 never stops")


class TimepixModel:
    """What a `ZooModel` needs besides to take the rasters of `TimepixPreprocessor`; a mixin, named before it."""

    preprocessor: Any

    def make_preprocessor(self, config: Any) -> TimepixPreprocessor:
        return TimepixPreprocessor(size=config.size, time=config.time, over_kev=config.over_kev)

    def factors(self, clusters: Any) -> Any:
        """(n,) side of a detector pixel in the image the encoder sees, px; below 1 where blocks are averaged."""
        return self.preprocessor.factors(clusters)


def rasters_input(config: TimepixConfig) -> keras.KerasTensor:
    """The symbolic input of a Timepix model: rasters of any side."""
    return keras.Input((None, None, 2 if config.time == "drop" else 3), name="rasters")


def enlarge_layer(config: TimepixConfig) -> Enlarge:
    """The first layer of a Timepix model."""
    return Enlarge(config.size, MAX_FACTOR, name="enlarge")


def rasters_spec(config: TimepixConfig) -> dict[str, Any]:
    """The input of a Timepix model as a card states it."""
    names = "sqrt(E / 100 keV), sqrt(time after the first hit / 100 ns), pixel over the threshold"
    return {
        "name": "rasters",
        "shape": (None, None, 2 if config.time == "drop" else 3),
        "units": f"detector pixels: {names}",
        "value_range": "0 to 3.87, 0 to 3.16, 0 to 1",
    }
