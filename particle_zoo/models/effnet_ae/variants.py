"""The registered autoencoders: hiding 0, 25 or 50 % of the hit pixels, with and without mask heads."""

from __future__ import annotations

from typing import Any, Literal

import pydantic

from particle_zoo.models.effnet_ae.autoencoder import EffNetAE
from particle_zoo.models.effnet_ae.config import SOURCE, EffNetAEConfig
from particle_zoo.models.timepix import rasters_spec
from particle_zoo.registry import ModelCard, register_model

PARAMETERS = 35_345_516
"""Of the three-headed EfficientNetB4 autoencoder."""

PARAMETERS_IMAGE_HEAD = 35_343_978
"""Without the mask heads."""


MEMORY = (
    "a step of batch 16 at 384 px in mixed_bfloat16 without accumulation takes 9.5 GB, 122 images/s (JAX 0.11.2), or 25.9 GB, "
    "22 images/s (PyTorch 2.11.0), on an H100: KERAS_BACKEND=jax, or torch, python -m particle_zoo.benchmark network "
    "effnet_ae_mask25 --set accumulate=1 --batch-size 16 --precision mixed_bfloat16; speed and memory only, no training of "
    "this size has been run"
)
"""Measured with Keras 3.15.1."""


def _card(
    name: str, config: EffNetAEConfig, parameters: int, summary: str, source: str, measured: str = ""
) -> ModelCard:
    heads = "image" + (", mask and over_threshold (1 channel each, probabilities)" if config.mask_heads else "")
    return ModelCard(
        name=name,
        family="effnet_ae",
        task="autoencoder",
        summary=summary,
        source=source,
        inputs=(rasters_spec(config),),
        output=f"(size, size, .) {heads}; encode: the mean of the encoder's last map, or the dense latent vector",
        parameters=parameters,
        detector="Timepix3",
        default_dataset="timepix3_clusters/simulated_field",
        config=config.model_dump(mode="json"),
        limits="a start for classifiers and maps; energies of its reconstructions are worse than those of PCA, so neither measure "
        "nor compress with it; learned from a fast simulation of one sensor",
        notes="clusters are enlarged up to 5 times on the device; pixels count as 1500 keV and 1000 ns at most"
        + (f"; {measured}" if measured else ""),
    )


class Mask0Config(EffNetAEConfig):
    """Nothing hidden."""

    mask_rate: float = pydantic.Field(0.0, ge=0, lt=1)


class Mask25Config(EffNetAEConfig):
    """25 % hidden."""


class Mask50Config(EffNetAEConfig):
    """50 % hidden."""

    mask_rate: float = pydantic.Field(0.5, ge=0, lt=1)


class Mask0ImageHeadConfig(Mask0Config):
    """Nothing hidden, no mask heads."""

    mask_heads: bool = False


class Mask25ImageHeadConfig(Mask25Config):
    """25 % hidden, no mask heads."""

    mask_heads: bool = False


class Mask50ImageHeadConfig(Mask50Config):
    """50 % hidden, no mask heads."""

    mask_heads: bool = False


def _register(name: str, config: type[EffNetAEConfig]) -> None:
    defaults = config()
    parameters = PARAMETERS if defaults.mask_heads else PARAMETERS_IMAGE_HEAD
    hidden = f"{defaults.mask_rate:.0%} of the hit pixels hidden in training"
    heads = "three heads" if defaults.mask_heads else "the image head only"

    def build(**overrides: Any) -> EffNetAE:
        return EffNetAE(config.from_settings(overrides), name)

    build.__name__ = name
    register_model(
        _card(
            name,
            defaults,
            parameters,
            f"EfficientNet autoencoder with {heads}, {hidden}",
            SOURCE,
            MEMORY if defaults.mask_heads else "",
        ),
        config,
    )(build)


for _rate, _with_masks, _image_only in (
    (0, Mask0Config, Mask0ImageHeadConfig),
    (25, Mask25Config, Mask25ImageHeadConfig),
    (50, Mask50Config, Mask50ImageHeadConfig),
):
    _register(f"effnet_ae_mask{_rate}", _with_masks)
    _register(f"effnet_ae_mask{_rate}_imagehead", _image_only)


class TinyEffNetAEConfig(EffNetAEConfig):
    """A small `EffNetAEConfig` for tests and notebooks."""

    backbone: Literal["B0", "B1", "B2", "B3", "B4", "B5", "B6", "B7"] = "B0"
    size: int = pydantic.Field(64, ge=32, le=1024)
    batch_size: int = pydantic.Field(32, ge=1)
    accumulate: int = pydantic.Field(1, ge=1)
    epochs: int = pydantic.Field(2, ge=1)
    epoch_clusters: int = pydantic.Field(640, ge=0)
    watch_clusters: int = pydantic.Field(160, ge=0)
    fresh_statistics: int = pydantic.Field(64, ge=0)


@register_model(
    _card("tiny_effnet_ae", TinyEffNetAEConfig(), 8_096_868, "EfficientNetB0 stand-in for effnet_ae_mask25", "ours"),
    TinyEffNetAEConfig,
)
def tiny_effnet_ae(**overrides: Any) -> EffNetAE:
    """For tests and notebooks."""
    return EffNetAE(TinyEffNetAEConfig.from_settings(overrides), "tiny_effnet_ae")
