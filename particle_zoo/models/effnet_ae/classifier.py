"""EfficientNet classifier of Timepix clusters, from scratch, from ImageNet or from a pretrained autoencoder.

The encoder of `EffNetAE`, the mean of its last map, dropout, one dense layer. Early stages learn more slowly than late
ones, by a factor a stage: what pretraining knows of pixels and short lines serves any task.

References:
    T. Celko, Pretraining of deep CNN autoencoders (seeds 000, 001): protons against electrons.
    Howard, Ruder: Universal language model fine-tuning, arXiv:1801.06146: a learning rate a layer.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import keras
import pydantic
from keras import layers, ops

from particle_zoo.errors import InputError
from particle_zoo.models.base import Classifier, ZooConfig, ZooModel
from particle_zoo.models.effnet_ae.autoencoder import EffNetAE, check_encoder
from particle_zoo.models.effnet_ae.config import SOURCE, EffNetClassifierConfig
from particle_zoo.models.effnet_ae.encoder import EncoderFromElsewhere, build_encoder, pooled, stages
from particle_zoo.models.effnet_ae.recipe import adamw, layerwise_adamw
from particle_zoo.models.timepix import TimepixModel, enlarge_layer, rasters_input, rasters_spec
from particle_zoo.registry import ModelCard, register_model


@keras.saving.register_keras_serializable(package="particle_zoo")
class EffNetClassifier(EncoderFromElsewhere, TimepixModel, Classifier):
    """Encoder, mean over the last map, logits.

    Call arguments:
        rasters: (batch, side, side, channels) float32 of `TimepixPreprocessor`.

    Returns:
        (batch, classes) float32 logits.
    """

    config_class: ClassVar[type[ZooConfig]] = EffNetClassifierConfig
    zoo_config: EffNetClassifierConfig

    def __init__(self, config: EffNetClassifierConfig, zoo_name: str = "effnet_classifier", **kwargs: Any) -> None:
        # === Layers ===
        rasters = rasters_input(config)
        enlarge = enlarge_layer(config)
        # A frozen encoder runs as at inference: its batch normalisation follows `trainable`, stochastic depth does not.
        depth = 0.0 if config.frozen else config.stochastic_depth
        encoder = build_encoder(config.backbone, config.size, rasters.shape[-1], stochastic_depth=depth)
        encoder.trainable = not config.frozen

        # === Functional model ===
        latent = pooled(encoder(enlarge(rasters)))
        x = layers.Dropout(config.dropout_rate, dtype="float32", name="dropout")(latent)
        logits = layers.Dense(config.classes, dtype="float32", name="logits")(x)
        super().__init__(inputs=rasters, outputs=logits, name=zoo_name, **kwargs)

        # === Config ===
        self._identify(config, zoo_name)
        self.encoder, self.enlarger = encoder, enlarge

    def encode(self, rasters: Any) -> Any:
        """(batch, latent) float32 means of the encoder's last map."""
        features = self.encoder(self.enlarger(ops.convert_to_tensor(rasters)), training=False)
        return ops.convert_to_numpy(ops.mean(ops.cast(features, "float32"), axis=(1, 2)))

    def start_from(self, other: ZooModel) -> None:
        """Take over the encoder of an autoencoder, or everything of a classifier with as many classes; any size.

        Raises:
            InputError: another model, or another encoder.
        """
        if not isinstance(other, (EffNetAE, EffNetClassifier)):
            raise InputError(
                f"that run holds a {other.zoo_name}; give one of an EfficientNet autoencoder or classifier"
            )
        check_encoder(self, other)
        if isinstance(other, EffNetClassifier):
            super().start_from(other)
        else:
            self.encoder.set_weights(other.encoder.get_weights())

    def make_optimizer(self, steps_per_epoch: int) -> keras.optimizers.Optimizer:
        c = self.zoo_config
        if c.frozen or c.layer_decay == 1:
            return adamw(c, steps_per_epoch)
        net = self.encoder.get_layer("backbone")
        depth = stages(net)
        last = max(depth.values()) + 1
        # Ids of the variables themselves: layers of one model may share names with those of another.
        shares = {
            id(variable): c.layer_decay ** (last - depth[layer.name])
            for layer in net.layers
            for variable in layer.trainable_variables
        }
        return layerwise_adamw(c, steps_per_epoch, [shares.get(id(v), 1.0) for v in self.trainable_variables])


def _card(name: str, config: EffNetClassifierConfig, parameters: int, summary: str, source: str) -> ModelCard:
    return ModelCard(
        name=name,
        family="effnet_ae",
        task="classifier",
        summary=summary,
        source=source,
        inputs=(rasters_spec(config),),
        output="(classes,) logits; by default proton, electron",
        parameters=parameters,
        detector="Timepix",
        default_dataset="timepix1_clusters/satram_simulated_benchmark",
        config=config.model_dump(mode="json"),
        limits="gives every cluster one of its classes, also what is neither; learned from a fast simulation of one sensor and one "
        "pair of spectra, whose priors are in its probabilities; a random forest on shapes does better where its features can be had",
        notes="fine-tune it from an autoencoder with --init RUN, or from ImageNet with --init imagenet",
    )


@register_model(
    _card(
        "effnet_classifier", EffNetClassifierConfig(), 17_677_409,
        "EfficientNet encoder with one dense layer, protons against electrons",
        SOURCE,
    ),
    EffNetClassifierConfig,
)  # fmt: skip
def effnet_classifier(**overrides: Any) -> EffNetClassifier:
    """The seed's fine-tuned encoder."""
    return EffNetClassifier(EffNetClassifierConfig.from_settings(overrides), "effnet_classifier")


class TinyEffNetClassifierConfig(EffNetClassifierConfig):
    """A small `EffNetClassifierConfig` for tests and notebooks."""

    backbone: Literal["B0", "B1", "B2", "B3", "B4", "B5", "B6", "B7"] = "B0"
    size: int = pydantic.Field(64, ge=32, le=1024)
    batch_size: int = pydantic.Field(32, ge=1)
    accumulate: int = pydantic.Field(1, ge=1)
    epochs: int = pydantic.Field(2, ge=1)
    epoch_clusters: int = pydantic.Field(640, ge=0)
    watch_clusters: int = pydantic.Field(320, ge=0)
    fresh_statistics: int = pydantic.Field(64, ge=0)


@register_model(
    _card("tiny_effnet_classifier", TinyEffNetClassifierConfig(), 4_052_133, "EfficientNetB0 stand-in for effnet_classifier", "ours"),
    TinyEffNetClassifierConfig,
)  # fmt: skip
def tiny_effnet_classifier(**overrides: Any) -> EffNetClassifier:
    """For tests and notebooks."""
    return EffNetClassifier(TinyEffNetClassifierConfig.from_settings(overrides), "tiny_effnet_classifier")
