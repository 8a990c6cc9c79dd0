"""Metadata convolutional variational autoencoder for 64x64 cluster images.

Two convolutions, one max-pooling, a dense layer to 200; four metadata values join there, a second dense layer makes
the 50 latent means and log-variances. The decoder mirrors it. In `vae`, as in the seed, the decoder un-pools with the
encoder's pooling indices: positions leak around the latent vector, so z alone cannot generate, and a reconstruction
with another image's indices shows how much they carry. `vae_generative` repeats pixels instead.

Intermediate sizes with 64 px: 55, 52, pooled 26, 43,264 values, 200 + 4 metadata, 50 latent.

References:
    Preuss, Lomholt Christensen, Sejr, Bergmann: Classification of data from Charge Coupled Devices (seed 003), last table.
    Kingma, Welling: Auto-Encoding Variational Bayes, arXiv:1312.6114.
"""

from __future__ import annotations

from typing import Any, ClassVar

import keras
import pydantic
from keras import layers, ops

from particle_zoo.layers import MaxPoolWithIndices, MaxUnpool, Sampling
from particle_zoo.losses import gaussian_kl, summed_binary_crossentropy
from particle_zoo.models.base import CCDConfig, Count, ZooConfig, ZooModel
from particle_zoo.models.cnn import CCD, IMAGE
from particle_zoo.models.cnn_meta import META
from particle_zoo.registry import ModelCard, register_model

PADDING = 1

XLA_SIZE = 32
"""Of smaller images XLA takes longer to compile a model than TensorFlow to train it."""


class VAEConfig(CCDConfig):
    """Settings of `VAE`; the defaults are the seed's."""

    filters: tuple[Count, Count] = (32, 64)
    kernel_sizes: tuple[Count, Count] = (12, 6)
    image_units: int = pydantic.Field(200, ge=1, description="dense units before the metadata join")
    latent: int = pydantic.Field(50, ge=1)
    kl_weight: float = pydantic.Field(1.0, ge=0, description="lambda of loss = BCE + lambda KL")
    use_indices: bool = pydantic.Field(True, description="un-pool with the encoder's pooling indices, as the seed does")
    weight_decay: float = pydantic.Field(1e-5, ge=0)
    epochs: int = pydantic.Field(0, ge=0, description="0: as many as make about `steps` steps")
    steps: int = pydantic.Field(360, ge=1, description="training steps with epochs=0; small sets need more epochs")

    @property
    def pooled(self) -> int:
        """Side of the pooled feature map, px."""
        return self.unpooled // 2

    @property
    def unpooled(self) -> int:
        """Side of the feature map before pooling, px."""
        return self.size - sum(kernel - 1 - 2 * PADDING for kernel in self.kernel_sizes)

    @pydantic.model_validator(mode="after")
    def _check_sizes(self) -> VAEConfig:
        if self.unpooled < 2 or self.unpooled % 2:
            raise ValueError(
                f"a {self.size} px image leaves {self.unpooled} px before pooling, which must be even and at least 2"
            )
        return self


@keras.saving.register_keras_serializable(package="particle_zoo")
class VAE(ZooModel):
    """Variational autoencoder of image and metadata.

    Call arguments:
        image: (batch, size, size, 1) float32 in [0, 1].
        meta: (batch, 4) float32 standardised logarithms of height, width, size and energy sum.

    Returns:
        A dict: `reconstruction` (batch, size, size, 1) float32 in (0, 1), `z_mean` and `z_log_var` (batch, latent).
    """

    config_class: ClassVar[type[ZooConfig]] = VAEConfig
    zoo_config: VAEConfig
    uses_metadata: ClassVar[bool] = True
    # Nats of a whole image begin near 2,850: from 2^15 the first eleven steps would be left out.
    loss_scale: ClassVar[float] = 2.0**4

    def __init__(self, config: VAEConfig, zoo_name: str = "vae", **kwargs: Any) -> None:
        encoder, decoder = _encoder(config), _decoder(config)
        # === Functional model ===
        image = keras.Input((config.size, config.size, 1), name="image")
        meta = keras.Input((4,), name="meta")
        mean, log_var, *indices = encoder({"image": image, "meta": meta})
        z = Sampling(name="sampling", dtype="float32")(mean, log_var)
        outputs = {"reconstruction": decoder([z, *indices]), "z_mean": mean, "z_log_var": log_var}
        super().__init__(inputs={"image": image, "meta": meta}, outputs=outputs, name=zoo_name, **kwargs)

        # === Config ===
        self._identify(config, zoo_name)
        self.encoder, self.decoder = encoder, decoder
        self.bce_tracker, self.kl_tracker = keras.metrics.Mean(name="bce"), keras.metrics.Mean(name="kl")

    def encode(self, inputs: dict[str, Any]) -> Any:
        """(batch, latent) latent means of a batch of model inputs."""
        return ops.convert_to_numpy(self.encoder(inputs, training=False)[0])

    def decode(self, z: Any, indices: Any = None) -> Any:
        """(batch, size, size, 1) images of latent vectors.

        Args:
            z: (batch, latent).
            indices: (batch, pooled, pooled, filters) pooling indices; needed by models with `use_indices`.

        Raises:
            ValueError: the model needs indices and none are given, or the other way round.
        """
        if self.zoo_config.use_indices != (indices is not None):
            needs = "needs the pooling indices of an image" if indices is None else "takes no pooling indices"
            raise ValueError(
                f"{self.zoo_name} {needs}; vae_generative decodes z alone. Received: indices={indices is not None}"
            )
        return ops.convert_to_numpy(self.decoder([z] if indices is None else [z, indices], training=False))

    def reconstruct(self, inputs: dict[str, Any], indices_from: dict[str, Any] | None = None) -> Any:
        """(batch, size, size, 1) reconstructions at the latent mean.

        Args:
            inputs: model inputs.
            indices_from: inputs of other images whose pooling indices to use instead, to see what they carry.
        """
        mean, _, *indices = self.encoder(inputs, training=False)
        if indices_from is not None:
            _, _, *indices = self.encoder(indices_from, training=False)
        return self.decode(mean, *indices)

    def make_optimizer(self, steps_per_epoch: int) -> keras.optimizers.Optimizer:
        c = self.zoo_config
        return keras.optimizers.AdamW(c.learning_rate, weight_decay=c.weight_decay)

    def compile_args(self) -> dict[str, Any]:
        # Keras leaves XLA off on CPUs, where it makes the steps of the full model 1.6 times as fast.
        large = self.zoo_config.size >= XLA_SIZE
        return {"jit_compile": large} if keras.backend.backend() == "tensorflow" else {}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Mean over the batch of summed BCE + kl_weight * KL, both also reported on their own."""
        bce = summed_binary_crossentropy(x["image"], y_pred["reconstruction"])
        kl = gaussian_kl(ops.cast(y_pred["z_mean"], "float32"), ops.cast(y_pred["z_log_var"], "float32"))
        self.bce_tracker.update_state(bce)
        self.kl_tracker.update_state(kl)
        return ops.mean(bce + self.zoo_config.kl_weight * kl)


def _encoder(config: VAEConfig) -> keras.Model:
    """Image and metadata to mean, log-variance and, with `use_indices`, pooling indices."""
    image = keras.Input((config.size, config.size, 1), name="image")
    meta = keras.Input((4,), name="meta")
    x = image
    for i, (filters, kernel) in enumerate(zip(config.filters, config.kernel_sizes, strict=True)):
        x = layers.ZeroPadding2D(PADDING, name=f"pad{i}")(x)
        x = layers.Conv2D(filters, kernel, activation="relu", name=f"conv{i}")(x)
    indices: list[Any] = []
    if config.use_indices:
        x, where = MaxPoolWithIndices(name="pool")(x)
        indices = [where]
    else:
        x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Dense(config.image_units, activation="relu", name="dense_image")(layers.Flatten(name="flatten")(x))
    x = layers.Concatenate(name="join")([x, meta])
    # Linear: the seed states no activation here, and a ReLU can die and take the whole latent vector with it.
    x = layers.Dense(config.latent, name="dense_joined")(x)
    mean = layers.Dense(config.latent, dtype="float32", name="mean")(x)
    log_var = layers.Dense(config.latent, dtype="float32", name="log_var")(x)
    return keras.Model({"image": image, "meta": meta}, [mean, log_var, *indices], name="encoder")


def _decoder(config: VAEConfig) -> keras.Model:
    """Latent vector (and pooling indices) to an image in (0, 1)."""
    side, channels = config.pooled, config.filters[1]
    z = keras.Input((config.latent,), name="z")
    x = layers.Dense(config.image_units, activation="relu", name="dense0")(z)
    x = layers.Dense(side * side * channels, activation="relu", name="dense1")(x)
    x = layers.Reshape((side, side, channels), name="reshape")(x)
    inputs = [z]
    if config.use_indices:
        inputs.append(keras.Input((side, side, channels), dtype="int32", name="indices"))
        x = MaxUnpool(name="unpool")(x, inputs[1])
    else:
        x = layers.UpSampling2D(2, name="upsample")(x)
    x = layers.Conv2DTranspose(config.filters[0], config.kernel_sizes[1], activation="relu", name="deconv0")(x)
    # The crop is PyTorch's padding of a transposed convolution.
    x = layers.Cropping2D(PADDING, name="crop0")(x)
    x = layers.Conv2DTranspose(1, config.kernel_sizes[0], dtype="float32", name="deconv1")(x)
    x = layers.Activation("sigmoid", dtype="float32", name="reconstruction")(
        layers.Cropping2D(PADDING, dtype="float32", name="crop1")(x)
    )
    return keras.Model(inputs, x, name="decoder")


def _card(name: str, config: VAEConfig, parameters: int, summary: str, source: str, notes: str = "") -> ModelCard:
    image = {**IMAGE, "shape": (config.size, config.size, 1)}
    return ModelCard(
        name=name,
        family="vae",
        task="vae",
        summary=summary,
        source=source,
        inputs=(image, META),
        output=f"reconstruction {image['shape']} in 0 to 1; z_mean and z_log_var ({config.latent},)",
        parameters=parameters,
        config=config.model_dump(mode="json"),
        notes=notes,
        limits="says what clusters look like, not what they are; reconstructions are probabilities of lit pixels, no energies; a "
        "latent distance is no p-value for something new",
    )


@register_model(
    _card(
        "vae", VAEConfig(), 17_531_415, "variational autoencoder of image and metadata, un-pooling with indices",
        f"{CCD}, last table; Kingma and Welling, arXiv:1312.6114", "pooling indices carry positions around z; use vae_generative to generate",
    ),
    VAEConfig,
)  # fmt: skip
def vae(**overrides: Any) -> VAE:
    """As in the seed."""
    return VAE(VAEConfig.from_settings(overrides), "vae")


class VAEGenerativeConfig(VAEConfig):
    """`VAEConfig` without indices."""

    use_indices: bool = False


@register_model(
    _card(
        "vae_generative", VAEGenerativeConfig(), 17_531_415,
        "variational autoencoder of image and metadata without pooling indices, so z alone generates",
        f"{CCD}, repaired; Kingma and Welling, arXiv:1312.6114",
    ),
    VAEGenerativeConfig,
)  # fmt: skip
def vae_generative(**overrides: Any) -> VAE:
    """The same without indices."""
    return VAE(VAEGenerativeConfig.from_settings(overrides), "vae_generative")


class TinyVAEConfig(VAEConfig):
    """A small `VAEConfig` for tests and notebooks."""

    size: int = pydantic.Field(16, ge=8, le=512)
    filters: tuple[Count, Count] = (4, 8)
    kernel_sizes: tuple[Count, Count] = (5, 3)
    image_units: int = pydantic.Field(16, ge=1)
    latent: int = pydantic.Field(4, ge=1)
    learning_rate: float = pydantic.Field(3e-3, gt=0)
    kl_weight: float = pydantic.Field(0.1, ge=0)
    steps: int = pydantic.Field(200, ge=1)


@register_model(
    _card("tiny_vae", TinyVAEConfig(), 13_949, "seconds-fast stand-in for vae", "ours"),
    TinyVAEConfig,
)
def tiny_vae(**overrides: Any) -> VAE:
    """For tests and notebooks."""
    return VAE(TinyVAEConfig.from_settings(overrides), "tiny_vae")
