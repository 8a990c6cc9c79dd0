"""Settings of the EfficientNet family."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pydantic

from particle_zoo.models.timepix import TimepixClassifierConfig, TimepixConfig

SOURCE = (
    "Celko: Pretraining of deep CNN autoencoders (seeds 000, 001; https://tomascelko.github.io); "
    "Tan and Le: EfficientNet, arXiv:1905.11946"
)
"""What the family comes from."""

STRIDE = 32
"""An EfficientNet halves its input five times."""

LAPTOP: dict[str, Any] = {"backbone": "B0", "size": 96, "accumulate": 1}
"""What `recipe=laptop` takes for settings that are not given; an autoencoder takes smaller images."""


class EffNetConfig(TimepixConfig):
    """What autoencoder and classifier have in common."""

    laptop: ClassVar[dict[str, Any]] = LAPTOP

    recipe: Literal["full", "laptop"] = pydantic.Field(
        "full",
        description="full: the seed's size, for a GPU; laptop: EfficientNetB0 on small images, about an hour on two cores",
    )
    backbone: Literal["B0", "B1", "B2", "B3", "B4", "B5", "B6", "B7"] = "B4"
    size: int = pydantic.Field(384, ge=STRIDE, le=1024, description="pixels of the square image, a multiple of 32")
    encoder_weights: str = pydantic.Field(
        "none",
        description="where the encoder of a new model starts: none, imagenet, or a keras.applications weights file (.h5)",
    )
    batch_size: int = pydantic.Field(8, ge=1)
    stochastic_depth: float = pydantic.Field(
        0.2, ge=0, lt=1, description="share of the last encoder block's outputs dropped in training; less before it"
    )
    accumulate: int = pydantic.Field(
        2, ge=1, description="batches whose gradients are averaged before a step: a step of 16 in the memory of 8"
    )
    weight_decay: float = pydantic.Field(1e-4, ge=0)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        return {**cls.laptop, **values} if values.get("recipe") == "laptop" else values

    @pydantic.model_validator(mode="after")
    def _check_encoder(self) -> EffNetConfig:
        if self.size % STRIDE:
            raise ValueError(f"size must be a multiple of {STRIDE}, such as {self.size // STRIDE * STRIDE or STRIDE}")
        if self.encoder_weights != "none" and self.time == "drop":
            raise ValueError("ImageNet weights need three channels; use time=zero instead of time=drop")
        return self


class EffNetAEConfig(EffNetConfig):
    """Settings of `EffNetAE`; the defaults are the seed's where it states them, and our recipe."""

    laptop: ClassVar[dict[str, Any]] = {
        **LAPTOP,
        # Whole images at 64 px cost less than half of those at 96, and the weights serve a classifier of any size.
        "size": 64,
        "epochs": 8,
        "epoch_clusters": 10_000,
        "watch_clusters": 500,
        "batch_size": 32,
        "learning_rate": 3e-3,
    }

    mask_rate: float = pydantic.Field(0.25, ge=0, lt=1, description="share of the hit pixels hidden in training")
    mask_seed: int | None = pydantic.Field(None, ge=0, description="seed of the hiding; null follows --seed")
    mask_heads: bool = pydantic.Field(True, description="predict the two binary masks too")
    latent: Literal["pool", "dense"] = pydantic.Field(
        "pool",
        description="pool: mean of the encoder's last map, which the decoder sees whole; dense: all the decoder sees",
    )
    latent_size: int = pydantic.Field(256, ge=1, description="values of a dense latent vector")
    image_loss: Literal["mse", "mae", "huber"] = "huber"
    mask_loss: Literal["bce", "dice", "bce_dice"] = "bce_dice"
    image_weight: float = pydantic.Field(1.0, ge=0)
    mask_weight: float = pydantic.Field(1.0, ge=0)
    over_weight: float = pydantic.Field(0.5, ge=0, description="loss weight of the mask of pixels over `over_kev`")
    stochastic_depth: float = pydantic.Field(
        0.0, ge=0, lt=1, description="as the classifier's; hiding pixels is noise enough for an autoencoder"
    )
    flat_sizes: bool = pydantic.Field(True, description="draw equally many clusters from every octave of sizes")
    epoch_clusters: int = pydantic.Field(20_000, ge=0, description="clusters drawn an epoch; 0: as many as there are")
    watch_clusters: int = pydantic.Field(1_000, ge=0, description="validation clusters after every epoch; 0: all")
    progressive: tuple[int, ...] = pydantic.Field(
        (), description="smaller sizes to train at first, each a multiple of 32, with the same weights"
    )
    progressive_epochs: int = pydantic.Field(2, ge=1, description="epochs at each of them")
    epochs: int = pydantic.Field(20, ge=1)
    snapshots: int = pydantic.Field(
        6, ge=0, description="clusters whose reconstruction is kept after every epoch, for an animation"
    )

    @pydantic.model_validator(mode="after")
    def _check_progressive(self) -> EffNetAEConfig:
        if any(size % STRIDE or not STRIDE <= size < self.size for size in self.progressive):
            raise ValueError(f"progressive sizes must be multiples of {STRIDE} below size={self.size}")
        if self.progressive and self.latent == "dense":
            raise ValueError("a dense latent ties the weights to one size; use latent=pool or no progressive sizes")
        return self


class EffNetClassifierConfig(EffNetConfig, TimepixClassifierConfig):
    """Settings of `EffNetClassifier`.

    A training that starts from other weights (`--init`) takes the values of `fine_tuning` for what is not set; on PyTorch,
    whose optimizers step through all variables at once, one learning rate for all layers.
    """

    fine_tuning: ClassVar[dict[str, Any]] = {"layer_decay": 0.8}
    laptop: ClassVar[dict[str, Any]] = {
        **LAPTOP,
        "epochs": 6,
        "epoch_clusters": 4_000,
        "watch_clusters": 2_000,
        "batch_size": 32,
    }

    # Both parents have these, and the first one's are not a classifier's.
    epochs: int = pydantic.Field(10, ge=1)
    patience: int = pydantic.Field(3, ge=0, description="epochs without improvement before stopping; 0 never stops")

    frozen: bool = pydantic.Field(False, description="train the output layer only")
    layer_decay: float = pydantic.Field(
        1.0, gt=0, le=1, description="learning rate of each stage of the encoder, as a share of that of the next one"
    )
