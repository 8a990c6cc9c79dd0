"""Autoencoders of jets: a few numbers in the place of four, 25 or 27.

`ae_3d_200` draws the four-momentum of a jet from three numbers: 4-200-100-50-3-50-100-200-4, tanh after every layer but the
latent and the last one; the first thing the decoder does is a tanh of the latent vector. It can, because jets are nearly massless: (pt, eta,
phi, E) lies near a surface of three dimensions. (m, pt, phi, eta) does not, and its scores belong in another table.

`ae_25d_z*` and `ae_27d_z*` do the same for 25 or 27 variables of the ATLAS xAOD, with three layers of 200, LeakyReLU and batch
normalisation, the latent layer included.

The seed's report swaps the hidden layers of the encoder (50, 100, 200) and counts 50,400 parameters; its code, and this model,
have 52,607. `block` and `dropout` are what it proposes as improvements.

References:
    GSoC 2020 ATLAS autoencoder task (seed 002).
    Wulff, Deep autoencoders for compression in high energy physics, Lund 2020 (LUP 9004751), and the HEPAutoencoders code.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import keras
import numpy as np
import pydantic
from keras import layers, ops

from particle_zoo.jets import AOD_25, AOD_27, FOUR_MOMENTUM, VARIABLES
from particle_zoo.models.base import ZooConfig, ZooModel
from particle_zoo.models.compiled import compiled
from particle_zoo.pipelines.jets import DEFAULT, JetPreprocessor
from particle_zoo.registry import ModelCard, register_model
from particle_zoo.training.one_cycle import OneCycle

Variables = Literal["pt_eta_phi_e", "m_pt_phi_eta", "aod_25", "aod_27"]

STAGES = ((1, 1e-7), (10, 1e-4), (370, 1e-6), (370, 3e-6))
"""Epochs and learning rate of the original's staged schedule; it tells 1e-7, 1e-4 and then long runs, about 750 epochs in all."""


class JetAEConfig(ZooConfig):
    """Settings of `JetAE`; the defaults are `ae_3d_200`."""

    variables: Variables = "pt_eta_phi_e"
    normalisation: Literal["standardised", "custom"] = pydantic.Field(
        "standardised", description="by default the one the variables were published with"
    )
    hidden: tuple[int, ...] = pydantic.Field(
        (200, 100, 50), description="layers of the encoder; the decoder mirrors them"
    )
    latent: int = pydantic.Field(3, ge=1)
    activation: Literal["tanh", "leaky_relu"] = "tanh"
    batch_norm: bool = False
    block: Literal["dense", "residual", "convolution"] = pydantic.Field(
        "dense",
        description="residual: two more layers around every hidden one; convolution: over neighbouring variables",
    )
    dropout: float = pydantic.Field(0.0, ge=0, lt=1, description="after every hidden layer")
    schedule: Literal["one_cycle", "staged"] = "one_cycle"
    stages: tuple[tuple[int, float], ...] = pydantic.Field(STAGES, description="staged: epochs and learning rate")
    epochs: int = pydantic.Field(300, ge=1)
    batch_size: int = pydantic.Field(256, ge=1)
    learning_rate: float = pydantic.Field(1e-3, gt=0, description="one_cycle: the highest")
    weight_decay: float = pydantic.Field(1e-6, ge=0)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _published(cls, values: Any) -> Any:
        values = dict(values)
        if values.get("variables") in DEFAULT:
            values.setdefault("normalisation", DEFAULT[values["variables"]])
        if values.get("schedule") == "staged":
            stages = values.get("stages", cls.model_fields["stages"].default)
            values.setdefault("epochs", sum(int(n) for n, _ in stages))
        return values

    @pydantic.model_validator(mode="after")
    def _check(self) -> JetAEConfig:
        if not self.hidden or any(n < 1 for n in self.hidden):
            raise ValueError("hidden needs one layer of one unit at least")
        if self.normalisation == "custom" and self.variables == "pt_eta_phi_e":
            raise ValueError("there are no custom constants for E; take standardised with pt_eta_phi_e")
        if any(n < 1 or rate <= 0 for n, rate in self.stages) or not self.stages:
            raise ValueError("stages need epochs of 1 or more and learning rates above 0")
        return self


@keras.saving.register_keras_serializable(package="particle_zoo")
class JetAE(ZooModel):
    """Encoder and decoder of jets.

    Call arguments:
        jets: (batch, variables) float32, normalised by `JetPreprocessor`.

    Returns:
        (batch, variables) float32, the same variables, normalised alike.
    """

    config_class: ClassVar[type[ZooConfig]] = JetAEConfig
    zoo_config: JetAEConfig
    preprocessor: JetPreprocessor

    def __init__(self, config: JetAEConfig, zoo_name: str = "ae_3d_200", **kwargs: Any) -> None:
        encoder, decoder = _encoder(config), _decoder(config)
        # === Functional model ===
        jets = keras.Input((len(VARIABLES[config.variables]),), name="jets")
        super().__init__(inputs=jets, outputs=decoder(encoder(jets)), name=zoo_name, **kwargs)

        # === Config ===
        self._identify(config, zoo_name)
        self.encoder, self.decoder = encoder, decoder
        self._encode, self._decode = compiled(encoder), compiled(decoder)

    def make_preprocessor(self, config: JetAEConfig) -> JetPreprocessor:
        return JetPreprocessor(variables=config.variables, normalisation=config.normalisation)

    def encode(self, inputs: np.ndarray) -> np.ndarray:
        """(n, latent) float32 latent vectors of (n, variables) normalised jets."""
        return self._encode(inputs)

    def decode(self, latent: np.ndarray) -> np.ndarray:
        """(n, variables) float32 normalised jets of (n, latent) latent vectors."""
        return self._decode(latent)

    def make_optimizer(self, steps_per_epoch: int) -> keras.optimizers.Optimizer:
        c = self.zoo_config
        rate: Any = OneCycle(c.learning_rate, steps_per_epoch * c.epochs)
        if c.schedule == "staged":
            ends = np.cumsum([n for n, _ in c.stages])[:-1] * steps_per_epoch
            rates = [float(r) for _, r in c.stages]
            rate = keras.optimizers.schedules.PiecewiseConstantDecay(ends.tolist(), rates) if len(ends) else rates[0]
        return keras.optimizers.AdamW(rate, beta_1=0.9, beta_2=0.99, weight_decay=c.weight_decay)

    def train_step(self, *arguments: Any) -> Any:
        """As in Keras; under TensorFlow a batch of (steps, batch, variables) jets is so many steps, one after the other.

        To fetch a batch takes TensorFlow a good part of such a step, and so do the conditions by which Keras's own
        `steps_per_execution` looks for the end of the data.
        """
        group: Any = keras.utils.unpack_x_y_sample_weight(arguments[0])[0] if len(arguments) == 1 else None
        if keras.backend.backend() != "tensorflow" or len(group.shape) == 2:
            return super().train_step(*arguments)
        import tensorflow as tf

        one, steps = super().train_step, group.shape[0]
        start = tf.constant(1), one((group[0],))
        # In order: every step needs the weights of the one before.
        return tf.while_loop(
            lambda i, _: i < steps, lambda i, _: (i + 1, one((group[i],))), start, parallel_iterations=1
        )[1]

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Mean squared error of the normalised variables."""
        return ops.mean(ops.square(y_pred - ops.cast(x, "float32")))


def _activate(x: Any, config: JetAEConfig, name: str, dtype: str | None = None) -> Any:
    if config.activation == "tanh":
        x = layers.Activation("tanh", dtype=dtype, name=f"{name}_tanh")(x)
    else:
        x = layers.LeakyReLU(0.01, dtype=dtype, name=f"{name}_leaky")(x)
    if not config.batch_norm:
        return x
    # PyTorch's constants.
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype=dtype, name=f"{name}_norm")(x)


def _hidden(x: Any, units: int, config: JetAEConfig, name: str) -> Any:
    x = _activate(layers.Dense(units, name=name)(x), config, name)
    if config.block == "residual":
        inner = _activate(layers.Dense(units, name=f"{name}_inner")(x), config, f"{name}_inner")
        x = layers.Add(name=f"{name}_add")(
            [x, layers.Dense(units, kernel_initializer="zeros", name=f"{name}_outer")(inner)]
        )
    return layers.Dropout(config.dropout, name=f"{name}_dropout")(x) if config.dropout else x


CHANNELS = 32
"""Of the convolutions over neighbouring variables."""


def _encoder(config: JetAEConfig) -> keras.Model:
    variables = len(VARIABLES[config.variables])
    jets = keras.Input((variables,), name="jets")
    x = jets
    if config.block == "convolution":
        x = layers.Reshape((variables, 1), name="reshape")(x)
        x = _activate(layers.Conv1D(CHANNELS, 3, padding="same", name="conv")(x), config, "conv")
        x = layers.Flatten(name="flatten")(x)
    for i, units in enumerate(config.hidden):
        x = _hidden(x, units, config, f"dense{i}")
    last = config.activation == "leaky_relu"
    z = layers.Dense(config.latent, name="latent", dtype="float32")(x)
    return keras.Model(jets, _activate(z, config, "latent", "float32") if last else z, name="encoder")


def _decoder(config: JetAEConfig) -> keras.Model:
    variables = len(VARIABLES[config.variables])
    z = keras.Input((config.latent,), name="z")
    x = layers.Activation("tanh", name="latent_tanh")(z) if config.activation == "tanh" else z
    for i, units in enumerate(reversed(config.hidden)):
        x = _hidden(x, units, config, f"dense{i}")
    if config.block == "convolution":
        x = layers.Dense(variables * CHANNELS, name="channels")(x)
        x = layers.Reshape((variables, CHANNELS), name="reshape")(_activate(x, config, "channels"))
        x = layers.Conv1D(1, 3, padding="same", name="conv", dtype="float32")(x)
        return keras.Model(z, layers.Reshape((variables,), name="jets", dtype="float32")(x), name="decoder")
    return keras.Model(z, layers.Dense(variables, name="jets", dtype="float32")(x), name="decoder")


NORMALISED = {
    "standardised": "standardised by the training jets (files hold GeV and rad)",
    "custom": "less and over constants of each variable (files hold GeV, rad, and what xAOD has)",
}
"""What a model is given of its variables, by `normalisation`."""

LIMITS = "lossy; knows jets of the spectrum it was trained on and degrades beyond it"


def _card(name: str, config: JetAEConfig, parameters: int, summary: str, source: str, notes: str) -> ModelCard:
    columns = VARIABLES[config.variables]
    return ModelCard(
        name=name,
        family="jet_ae",
        task="compression",
        summary=summary,
        source=source,
        inputs=(
            {
                "name": "jets",
                "shape": (len(columns),),
                "units": f"{', '.join(columns)}; {NORMALISED[config.normalisation]}",
                "value_range": ", ".join(["-30 to 30"] * len(columns)),
            },
        ),
        output=f"({len(columns)},) the same, drawn from {config.latent} numbers",
        parameters=parameters,
        detector="jets",
        default_dataset="jets/files" if config.variables.startswith("aod") else "jets/simulated",
        config=config.model_dump(mode="json"),
        notes=notes,
        limits=f"{LIMITS}; some decoded jets have an energy below their momentum, and leaving the energy out compresses better"
        if "E" in columns
        else LIMITS,
    )


@register_model(
    _card(
        "ae_3d_200", JetAEConfig(), 52_607, f"autoencoder of jets, {', '.join(FOUR_MOMENTUM)} from three numbers",
        "GSoC 2020 ATLAS autoencoder task (seed 002); Wulff, LUP 9004751",
        "massless jets need no network: dropping E and computing it again is the baseline to beat",
    ),
    JetAEConfig,
)  # fmt: skip
def ae_3d_200(**overrides: Any) -> JetAE:
    """4-200-100-50-3-50-100-200-4."""
    return JetAE(JetAEConfig.from_settings(overrides), "ae_3d_200")


class WideJetAEConfig(JetAEConfig):
    """`JetAEConfig` of the xAOD variables; an epoch count that a CPU ends, the original's was 1,500."""

    variables: Variables = "aod_27"
    normalisation: Literal["standardised", "custom"] = "custom"
    hidden: tuple[int, ...] = (200, 200, 200)
    latent: int = pydantic.Field(14, ge=1)
    activation: Literal["tanh", "leaky_relu"] = "leaky_relu"
    batch_norm: bool = True
    batch_size: int = pydantic.Field(4096, ge=1)
    learning_rate: float = pydantic.Field(1e-2, gt=0)
    weight_decay: float = pydantic.Field(1e-2, ge=0)


def _register_wide(dimensions: int, latent: int) -> None:
    name = f"ae_{dimensions}d_z{latent}"
    fields: dict[str, Any] = {
        "variables": (Variables, f"aod_{dimensions}"),
        "latent": (int, pydantic.Field(latent, ge=1)),
    }
    config: Any = pydantic.create_model(f"AE{dimensions}D{latent}Config", __base__=WideJetAEConfig, **fields)

    def build(**overrides: Any) -> JetAE:
        return JetAE(config.from_settings(overrides), name)

    build.__name__ = name
    columns = AOD_25 if dimensions == 25 else AOD_27
    card = _card(
        name, config(), wide_parameters(len(columns), latent),
        f"autoencoder of {dimensions} xAOD jet variables, {latent} numbers",
        "Wulff, LUP 9004751; HEPAutoencoders, AE_bn_LeakyReLU",
        "no weights and no simulation: train it on your own files",
    )  # fmt: skip
    register_model(card, config)(build)


def wide_parameters(variables: int, latent: int, hidden: int = 200) -> int:
    """Parameters of a wide model, four of them a unit of batch normalisation."""
    weights = 2 * variables * hidden + 4 * hidden**2 + 2 * hidden * latent
    return weights + 6 * 5 * hidden + 5 * latent + variables


for _dimensions in (25, 27):
    for _latent in range(8, 21, 2):
        _register_wide(_dimensions, _latent)


class TinyJetAEConfig(JetAEConfig):
    """A small `JetAEConfig` for tests and notebooks."""

    hidden: tuple[int, ...] = (16, 8)
    epochs: int = pydantic.Field(5, ge=1)


@register_model(
    _card("tiny_jet_ae", TinyJetAEConfig(), 487, "seconds-fast stand-in for ae_3d_200", "ours", ""), TinyJetAEConfig
)
def tiny_jet_ae(**overrides: Any) -> JetAE:
    """For tests and notebooks."""
    return JetAE(TinyJetAEConfig.from_settings(overrides), "tiny_jet_ae")
