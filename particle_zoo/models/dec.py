"""Deep embedded clustering: an autoencoder whose latent vectors are drawn to the centroids of clusters.

The encoder has three convolutions of stride 2 and a dense layer to ten values, in the manner of DCEC; the decoder mirrors
it. With `units` both are dense, as in DEC. After the autoencoder has been pretrained and k-means has given centroids,

    dec   gamma KL(P || Q) moves encoder and centroids; the decoder is left behind
    idec  the reconstruction goes on beside it, which keeps the latent space from being torn

with Q the Student-t shares of the centroids in a latent vector and P sharpened from all Q. Training is in
`particle_zoo.training.deep_clustering`. DEC assumes clusters of about equal size; where that does not hold it may be worse
than the k-means it starts from.

References:
    Xie, Girshick, Farhadi: Unsupervised deep embedding for clustering analysis, arXiv:1511.06335 (DEC).
    Guo, Gao, Liu, Yin: Improved deep embedded clustering with local structure preservation, IJCAI 2017 (IDEC).
    Guo, Liu, Zhu, Yin: Deep clustering with convolutional autoencoders, ICONIP 2017 (DCEC).
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import keras
import numpy as np
import pydantic
from keras import layers, ops

from particle_zoo.layers import StudentT
from particle_zoo.losses import kl_divergence
from particle_zoo.models.base import ZooConfig, ZooModel
from particle_zoo.pipelines.patches import SIZE, PatchPreprocessor
from particle_zoo.registry import ModelCard, register_model

CHUNK = 256
"""Images encoded at a time."""


class DECConfig(ZooConfig):
    """Settings of `DEC`; `epochs` and `learning_rate` are those of the pretraining."""

    size: int = pydantic.Field(SIZE, ge=8, le=512, description="side of a patch, px; a multiple of 4")
    scaling: Literal["sqrt", "log"] = "log"
    filters: tuple[int, int, int] = (32, 64, 128)
    units: tuple[int, ...] = pydantic.Field((), description="dense layers of the encoder instead of convolutions")
    latent: int = pydantic.Field(10, ge=1)
    k: int | Literal["scan"] = pydantic.Field(
        "scan", description="clusters; scan: what is stable and separate, see scan_most"
    )
    scan_most: int = pydantic.Field(10, ge=2, le=100, description="most clusters a scan tries")
    found: int = pydantic.Field(0, ge=0, description="clusters a scan has found; set by the training")
    gamma: float = pydantic.Field(1.0, gt=0, description="weight of KL(P || Q)")
    reconstruction_weight: float = pydantic.Field(0.0, ge=0, description="of the reconstruction while clustering")
    cluster_optimizer: Literal["sgd", "adam"] = "sgd"
    cluster_learning_rate: float = pydantic.Field(0.01, gt=0)
    cluster_steps: int = pydantic.Field(8_000, ge=1, description="most steps of clustering")
    update_interval: int = pydantic.Field(0, ge=0, description="steps between two targets P; 0: one pass over the set")
    tolerance: float = pydantic.Field(1e-3, ge=0, lt=1, description="share of labels that change at the end")
    restarts: int = pydantic.Field(20, ge=1, description="of k-means")
    patches: int = pydantic.Field(5_000, ge=2, description="simulated patches, where the data set is a simulated one")
    mix: Literal["balanced", "unbalanced"] = pydantic.Field("balanced", description="of the kinds of simulated patches")
    several: bool = pydantic.Field(False, description="take patches that other regions reach into, too")
    batch_size: int = pydantic.Field(64, ge=1)
    epochs: int = pydantic.Field(30, ge=1)

    @property
    def clusters(self) -> int:
        """Centroids of the model; of a scan that is still to come as many as it can find."""
        return self.found or (self.scan_most if self.k == "scan" else self.k)

    @pydantic.model_validator(mode="after")
    def _check(self) -> DECConfig:
        if not self.units and self.size % 4:
            raise ValueError(f"convolutions of stride 2 need a size that is a multiple of 4, not {self.size}")
        if self.k != "scan" and self.k < 2:
            raise ValueError(f"k is 2 or more clusters, or scan, not {self.k}")
        if any(n < 1 for n in (*self.units, *self.filters)):
            raise ValueError("units and filters are 1 or more")
        return self


@keras.saving.register_keras_serializable(package="particle_zoo")
class DEC(ZooModel):
    """Autoencoder and centroids.

    Call arguments:
        image: (batch, size, size, 1) float32, scaled counts of `PatchPreprocessor`.

    Returns:
        A dict: `reconstruction` (batch, size, size, 1) float32, `embedding` (batch, latent) float32, and `soft`
        (batch, clusters) float32, the share of every cluster.
    """

    config_class: ClassVar[type[ZooConfig]] = DECConfig
    zoo_config: DECConfig

    def __init__(self, config: DECConfig, zoo_name: str = "dec", **kwargs: Any) -> None:
        encoder = _dense_encoder(config) if config.units else _encoder(config)
        decoder = _dense_decoder(config) if config.units else _decoder(config)
        assignment = StudentT(config.clusters, name="assignment")
        # === Functional model ===
        image = keras.Input((config.size, config.size, 1), name="image")
        z = encoder(image)
        outputs = {"reconstruction": decoder(z), "embedding": z, "soft": assignment(z)}
        super().__init__(inputs=image, outputs=outputs, name=zoo_name, **kwargs)

        # === Config ===
        self._identify(config, zoo_name)
        self.encoder, self.decoder, self.assignment = encoder, decoder, assignment
        self.mse_tracker, self.kl_tracker = keras.metrics.Mean(name="mse"), keras.metrics.Mean(name="kl")
        self._stage = ""

    def make_preprocessor(self, config: DECConfig) -> PatchPreprocessor:
        return PatchPreprocessor(size=config.size, scaling=config.scaling)

    @property
    def centroids(self) -> np.ndarray:
        """(clusters, latent) float32."""
        return np.asarray(ops.convert_to_numpy(self.assignment.centroids))

    @centroids.setter
    def centroids(self, values: np.ndarray) -> None:
        self.assignment.centroids.assign(values)

    def encode(self, inputs: Any) -> np.ndarray:
        """(n, latent) float32 latent vectors of a batch of model inputs."""
        return self.assign(inputs)[0]

    def assign(self, inputs: Any) -> tuple[np.ndarray, np.ndarray]:
        """(n, latent) latent vectors and (n, clusters) shares of a batch of model inputs, both float32."""
        parts = []
        for start in range(0, len(inputs), CHUNK):
            z = self.encoder(inputs[start : start + CHUNK], training=False)
            parts.append((ops.convert_to_numpy(z), ops.convert_to_numpy(self.assignment(z))))
        z, soft = (np.concatenate(part) for part in zip(*parts, strict=True))
        return z, soft

    def begin(self, stage: Literal["pretraining", "clustering"]) -> None:
        """Compile for a stage: the autoencoder alone, or encoder and centroids and, in IDEC, the decoder."""
        c, clustering = self.zoo_config, stage == "clustering"
        self._stage = stage
        self.assignment.trainable = clustering
        self.decoder.trainable = not clustering or c.reconstruction_weight > 0
        optimizer = self.make_optimizer(0)
        if clustering:
            rate = c.cluster_learning_rate
            sgd = c.cluster_optimizer == "sgd"
            optimizer = keras.optimizers.SGD(rate, momentum=0.9) if sgd else keras.optimizers.Adam(rate)
        self.compile(optimizer=optimizer, **self.compile_args())
        self.optimizer.build(self.trainable_variables)

    @property
    def metrics(self) -> list[Any]:
        # What a stage does not compute would be logged as 0.
        unused = []
        if self._stage == "pretraining":
            unused.append(self.kl_tracker)
        if self._stage == "clustering" and not self.zoo_config.reconstruction_weight:
            unused.append(self.mse_tracker)
        return [metric for metric in super().metrics if metric not in unused]

    def make_optimizer(self, steps_per_epoch: int) -> keras.optimizers.Optimizer:
        return keras.optimizers.AdamW(self.zoo_config.learning_rate, weight_decay=self.zoo_config.weight_decay)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Mean squared error without targets; with P as targets, gamma KL(P || Q) and the weighted error."""
        c = self.zoo_config
        loss, weight = 0.0, 1.0 if y is None else c.reconstruction_weight
        if weight > 0:
            mse = ops.mean(ops.square(y_pred["reconstruction"] - ops.cast(x, "float32")))
            self.mse_tracker.update_state(mse)
            loss = weight * mse
        if y is not None:
            kl = ops.mean(kl_divergence(y, y_pred["soft"]))
            self.kl_tracker.update_state(kl)
            loss = loss + c.gamma * kl
        return loss


def _kernels(config: DECConfig) -> list[tuple[int, int, str]]:
    """Filters, kernel and padding of each convolution; the last leaves out the border where the side is odd."""
    padding = "same" if config.size % 8 == 0 else "valid"
    return list(zip(config.filters, (5, 5, 3), ("same", "same", padding), strict=True))


def _encoder(config: DECConfig) -> keras.Model:
    image = keras.Input((config.size, config.size, 1), name="image")
    x = image
    for i, (filters, kernel, padding) in enumerate(_kernels(config)):
        x = layers.Conv2D(filters, kernel, strides=2, padding=padding, activation="relu", name=f"conv{i}")(x)
    z = layers.Dense(config.latent, dtype="float32", name="embedding")(layers.Flatten(name="flatten")(x))
    return keras.Model(image, z, name="encoder")


def _decoder(config: DECConfig) -> keras.Model:
    (first, *_), kernels = config.filters, _kernels(config)
    side = config.size // 8
    z = keras.Input((config.latent,), name="z")
    x = layers.Dense(side * side * config.filters[-1], activation="relu", name="dense")(z)
    x = layers.Reshape((side, side, config.filters[-1]), name="reshape")(x)
    for i, filters in ((2, config.filters[1]), (1, first)):
        _, kernel, padding = kernels[i]
        x = layers.Conv2DTranspose(filters, kernel, strides=2, padding=padding, activation="relu", name=f"deconv{i}")(x)
    x = layers.Conv2DTranspose(1, kernels[0][1], strides=2, padding="same", dtype="float32", name="deconv0")(x)
    return keras.Model(z, x, name="decoder")


def _dense(units: int, name: str, activation: str | None = "relu", dtype: str | None = None) -> layers.Dense:
    start = keras.initializers.VarianceScaling(1 / 3, mode="fan_in", distribution="uniform")
    return layers.Dense(units, activation=activation, kernel_initializer=start, dtype=dtype, name=name)


def _dense_encoder(config: DECConfig) -> keras.Model:
    image = keras.Input((config.size, config.size, 1), name="image")
    x = layers.Flatten(name="flatten")(image)
    for i, units in enumerate(config.units):
        x = _dense(units, f"dense{i}")(x)
    return keras.Model(image, _dense(config.latent, "embedding", None, "float32")(x), name="encoder")


def _dense_decoder(config: DECConfig) -> keras.Model:
    z = keras.Input((config.latent,), name="z")
    x = z
    for i, units in reversed(list(enumerate(config.units))):
        x = _dense(units, f"dense{i}")(x)
    x = _dense(config.size**2, "pixels", None, "float32")(x)
    return keras.Model(z, layers.Reshape((config.size, config.size, 1), dtype="float32")(x), name="decoder")


def _card(name: str, config: DECConfig, parameters: int, summary: str, source: str) -> ModelCard:
    shape, most = (config.size, config.size, 1), 19.02 if config.scaling == "sqrt" else 5.99
    return ModelCard(
        name=name,
        family="dec",
        task="deep_clustering",
        summary=summary,
        source=source,
        inputs=(
            {
                "name": "image",
                "shape": shape,
                "units": f"{config.scaling} of counts over the noise, see PatchPreprocessor",
                "value_range": f"-{most:g} to {most:g}",
            },
        ),
        output=f"reconstruction {shape}; embedding ({config.latent},); soft ({config.clusters},) shares of the clusters",
        parameters=parameters,
        detector="camera",
        default_dataset="camera_frames/simulated_realistic",
        config=config.model_dump(mode="json"),
        limits="finds as many kinds as it is told to, whether there are so many or not; rare kinds disappear in frequent ones; "
        "numbers of clusters change from training to training",
        notes="assumes clusters of about equal size; compare with k-means on the same latent space, which is its start",
    )


@register_model(
    _card(
        "dec", DECConfig(), 638_959, "patches of camera frames sorted into clusters without labels (DEC)",
        "Xie et al., arXiv:1511.06335, with the convolutions of DCEC",
    ),
    DECConfig,
)  # fmt: skip
def dec(**overrides: Any) -> DEC:
    """Only the divergence of P and Q after the start."""
    return DEC(DECConfig.from_settings(overrides), "dec")


class IDECConfig(DECConfig):
    """`DECConfig` of IDEC."""

    gamma: float = pydantic.Field(0.1, gt=0)
    reconstruction_weight: float = pydantic.Field(1.0, ge=0)
    cluster_optimizer: Literal["sgd", "adam"] = "adam"
    cluster_learning_rate: float = pydantic.Field(1e-3, gt=0)


@register_model(
    _card(
        "idec", IDECConfig(), 638_959, "patches of camera frames sorted into clusters without labels, their reconstruction kept (IDEC)",
        "Guo et al., IJCAI 2017, with the convolutions of DCEC",
    ),
    IDECConfig,
)  # fmt: skip
def idec(**overrides: Any) -> DEC:
    """With reconstruction."""
    return DEC(IDECConfig.from_settings(overrides), "idec")


class TinyDECConfig(IDECConfig):
    """A small `IDECConfig` for tests and notebooks."""

    size: int = pydantic.Field(32, ge=8, le=512)
    filters: tuple[int, int, int] = (4, 8, 8)
    latent: int = pydantic.Field(4, ge=1)
    k: int | Literal["scan"] = 5
    scan_most: int = pydantic.Field(6, ge=2, le=100)
    cluster_steps: int = pydantic.Field(20, ge=1)
    restarts: int = pydantic.Field(3, ge=1)
    patches: int = pydantic.Field(60, ge=2)
    batch_size: int = pydantic.Field(16, ge=1)
    epochs: int = pydantic.Field(3, ge=1)
    learning_rate: float = pydantic.Field(3e-3, gt=0)


@register_model(
    _card("tiny_dec", TinyDECConfig(), 4_161, "seconds-fast stand-in for idec", "ours"),
    TinyDECConfig,
)
def tiny_dec(**overrides: Any) -> DEC:
    """For tests and notebooks."""
    return DEC(TinyDECConfig.from_settings(overrides), "tiny_dec")
