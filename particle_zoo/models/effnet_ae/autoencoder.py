"""EfficientNet autoencoder of Timepix clusters.

A cluster is drawn in three channels (energy, time of arrival, pixels over a threshold), enlarged, and part of its hit
pixels is hidden. An EfficientNet encodes what is left; its mirror image, without skip connections, predicts the whole
image again and, in two more heads, which pixels belong to the cluster and which are over the threshold. The mask heads
keep thin tracks sharp; hiding pixels asks for the shape of a track instead of its copy. Pretrained on unlabelled
clusters, the encoder is what `EffNetClassifier` starts from.

References:
    T. Celko, Pretraining of deep CNN autoencoders (seeds 000, 001): EfficientNetB4, transposed decoder, heads, masking.
    Tan, Le: EfficientNet, arXiv:1905.11946.
"""

from __future__ import annotations

from typing import Any, ClassVar

import keras
from keras import layers, ops

from particle_zoo.errors import InputError
from particle_zoo.layers import KeepPixels
from particle_zoo.losses import huber, per_hit, soft_dice
from particle_zoo.models.base import ZooConfig, ZooModel
from particle_zoo.models.effnet_ae.config import STRIDE, EffNetAEConfig
from particle_zoo.models.effnet_ae.decoder import build_decoder
from particle_zoo.models.effnet_ae.encoder import EncoderFromElsewhere, blocks, build_encoder, pooled
from particle_zoo.models.effnet_ae.recipe import adamw
from particle_zoo.models.timepix import TimepixModel, enlarge_layer, rasters_input

SQUEEZE = 16
"""A dense latent vector reads the last map with its width divided by this."""


@keras.saving.register_keras_serializable(package="particle_zoo")
class EffNetAE(EncoderFromElsewhere, TimepixModel, ZooModel):
    """Autoencoder with an image head and two mask heads.

    Call arguments:
        rasters: (batch, side, side, channels) float32 of `TimepixPreprocessor`.

    Returns:
        A dict of float32 images (batch, size, size, .): `image` in the units of the rasters and, with mask heads, `mask`
        (the whole cluster) and `over_threshold`, probabilities.
    """

    config_class: ClassVar[type[ZooConfig]] = EffNetAEConfig
    zoo_config: EffNetAEConfig

    def __init__(self, config: EffNetAEConfig, zoo_name: str = "effnet_ae_mask25", **kwargs: Any) -> None:
        # === Layers ===
        rasters = rasters_input(config)
        channels = rasters.shape[-1]
        encoder = build_encoder(config.backbone, config.size, channels, stochastic_depth=config.stochastic_depth)
        width, side = encoder.output.shape[-1], config.size // STRIDE
        layout = blocks(encoder.get_layer("backbone"))
        decoder = build_decoder((side, side, width), layout, channels, mask_heads=config.mask_heads)
        bottleneck = _pool_bottleneck if config.latent == "pool" else _dense_bottleneck
        to_latent, to_map = bottleneck(side, width, config.latent_size)
        enlarge = enlarge_layer(config)

        # === Functional model ===
        keep = KeepPixels(config.mask_rate, seed=config.mask_seed, name="keep_pixels")(rasters)
        # Enlarged together, so that hidden pixels at the rim do not move the cluster away from its target.
        both = enlarge(layers.Concatenate(dtype="float32", name="with_visibility")([rasters, keep]))
        visible = layers.Multiply(dtype="float32", name="visible")([both[..., :channels], both[..., channels:]])
        features = encoder(visible)
        super().__init__(inputs=rasters, outputs=decoder(to_map(features, to_latent)), name=zoo_name, **kwargs)

        # === Config ===
        self._identify(config, zoo_name)
        self.encoder, self.decoder, self.to_latent, self.enlarger = encoder, decoder, to_latent, enlarge
        # Symbolic: an exported graph gives the latent vector and the heads of one pass.
        self.features = features
        # Keras finds metrics that are attributes of their own, and none in a dict.
        self.image_tracker = keras.metrics.Mean(name="image_loss")
        if config.mask_heads:
            self.mask_tracker = keras.metrics.Mean(name="mask_loss")
            self.over_threshold_tracker = keras.metrics.Mean(name="over_threshold_loss")

    def enlarge(self, rasters: Any) -> Any:
        """(batch, size, size, channels) what the encoder sees at inference."""
        return ops.convert_to_numpy(self.enlarger(ops.convert_to_tensor(rasters)))

    def encode(self, rasters: Any) -> Any:
        """(batch, latent) float32 latent vectors of a batch of model inputs."""
        features = self.encoder(self.enlarger(ops.convert_to_tensor(rasters)), training=False)
        return ops.convert_to_numpy(self.to_latent(features, training=False))

    def reconstruct(self, rasters: Any) -> dict[str, Any]:
        """The heads as NumPy arrays, nothing hidden."""
        return {name: ops.convert_to_numpy(head) for name, head in self(rasters, training=False).items()}

    def start_from(self, other: ZooModel) -> None:
        """Take over the weights of an autoencoder of the same architecture, whatever its hiding and a pooled one's size.

        Raises:
            InputError: another encoder or other heads.
        """
        if not isinstance(other, EffNetAE):
            raise InputError(f"that run holds a {other.zoo_name}; give one of an EfficientNet autoencoder")
        check_encoder(self, other)
        for field in ("mask_heads", "latent"):
            own, theirs = getattr(self.zoo_config, field), getattr(other.zoo_config, field)
            if own != theirs:
                raise InputError(f"that run has {field}={theirs}, this model {own}; add --set {field}={theirs}")
        super().start_from(other)

    def make_optimizer(self, steps_per_epoch: int) -> keras.optimizers.Optimizer:
        return adamw(self.zoo_config, steps_per_epoch)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Mean over the batch of the weighted losses of the heads, each also reported on its own."""
        c = self.zoo_config
        target = self.enlarger(x)
        hit = ops.cast(target[..., :1] > 0, "float32")
        difference = y_pred["image"] - target
        error = {"mse": ops.square, "mae": ops.abs, "huber": huber}[c.image_loss](difference)
        losses, weights = {"image": per_hit(error, hit)}, {"image": c.image_weight}
        if c.mask_heads:
            for name, truth, weight in (
                ("mask", hit, c.mask_weight),
                ("over_threshold", target[..., -1:], c.over_weight),
            ):
                losses[name], weights[name] = self._mask_loss(truth, y_pred[name], hit), weight
        for name, loss in losses.items():
            getattr(self, f"{name}_tracker").update_state(loss)
        return sum(weights[name] * ops.mean(loss) for name, loss in losses.items())

    def _mask_loss(self, truth: Any, probability: Any, hit: Any) -> Any:
        kind, total = self.zoo_config.mask_loss, 0.0
        if "bce" in kind:
            total = total + per_hit(ops.binary_crossentropy(truth, probability), hit)
        if "dice" in kind:
            total = total + soft_dice(truth, probability)
        return total


def check_encoder(model: Any, other: Any) -> None:
    """Refuse weights of another encoder.

    Raises:
        InputError: another EfficientNet, other channels or another threshold of the last one.
    """
    for field, what in (("backbone", "EfficientNet"), ("time", "time channel"), ("over_kev", "threshold in keV")):
        own, theirs = getattr(model.zoo_config, field), getattr(other.zoo_config, field)
        # A filled time channel may become an empty one: that is pretraining on Timepix3 for Timepix1.
        same = (own == "drop") == (theirs == "drop") if field == "time" else own == theirs
        if not same:
            raise InputError(
                f"that run's encoder has {what} {theirs}, this model {own}; give a run of the same encoder, or --set {field}={theirs}"
            )
    shown, seen = (m.zoo_config.time == "toa" and m.preprocessor.times for m in (model, other))
    if shown and not seen:
        raise InputError(
            "that run's encoder never saw times of arrival, and these clusters have them; add --set time=zero, or give a "
            "run that was trained on times"
        )


def _pool_bottleneck(side: int, width: int, latent: int) -> tuple[Any, Any]:
    features = keras.Input((side, side, width), name="features")
    return keras.Model(features, pooled(features), name="to_latent"), lambda x, _: x


def _dense_bottleneck(side: int, width: int, latent: int) -> tuple[Any, Any]:
    narrow = max(1, width // SQUEEZE)
    features = keras.Input((side, side, width), name="features")
    x = layers.Conv2D(narrow, 1, activation="swish", name="squeeze")(features)
    x = layers.Dense(latent, dtype="float32", name="latent")(layers.Flatten(name="flatten")(x))
    to_latent = keras.Model(features, x, name="to_latent")

    def to_map(features: Any, to_latent: keras.Model) -> Any:
        x = layers.Dense(side * side * narrow, activation="swish", name="unlatent")(to_latent(features))
        x = layers.Reshape((side, side, narrow), name="unflatten")(x)
        return layers.Conv2D(width, 1, activation="swish", name="unsqueeze")(x)

    return to_latent, to_map
