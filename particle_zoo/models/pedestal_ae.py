"""Fully convolutional autoencoder of dark camera frames; what it cannot draw is an anomaly.

It learns pedestal frames alone. Light that it has never seen should be missing in its reconstruction, and so be left in the
residual. In the spirit of arXiv:2512.24290, whose layers, objectives and settings are not public: this is not theirs.

What can pass the bottleneck decides over everything:

- Noise of single pixels that is independent of its neighbours cannot pass, whatever is learned: k numbers for a block of n
  pixels hold at most k / n of its variance (by default 32 / 256), and the best guess of the rest is the pedestal.
- Light is smooth and passes more easily than noise. A bottleneck that is too wide, or has no bounds, draws spots and tracks
  that were in no training frame, and erases them from the residual. `evaluation.anomaly.leak` measures that share.
- Rows, columns and the level of a frame are smooth too, but small. A code that is bounded (tanh, with noise in training, so that
  its range is used) can carry them and no more: light of many standard deviations saturates it.

Two objectives, alike in everything else: `mse` reconstructs what it is given; `denoise` finds random spots and tracks
added to its input and has to give the frame without them.

References:
    Fast reconstruction-based ROI triggering via anomaly detection in the CYGNO optical TPC, arXiv:2512.24290.
    Vincent et al.: Extracting and Composing Robust Features with Denoising Autoencoders, ICML 2008, 1096.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import keras
import pydantic
from keras import layers, ops

from particle_zoo.layers import CropToInput, PadToStride
from particle_zoo.models.base import Count, ZooConfig, ZooModel, cosine
from particle_zoo.pipelines.frames import FramePreprocessor
from particle_zoo.registry import ModelCard, register_model

FIRST_STRIDE = 4
"""Of the first convolution: most of the work of a full frame would be in layers of its own resolution."""

CONTEXT = 15
"""Blocks along a row, or a column, that a code depends on at least."""


class PedestalAEConfig(ZooConfig):
    """Settings of `PedestalAE`, of its training, and of the search for regions in its residual.

    A training that starts from other weights (`--init`) takes the values of `fine_tuning` for what is not set.
    """

    fine_tuning: ClassVar[dict[str, Any]] = {"epochs": 2, "learning_rate": 3e-4}

    objective: Literal["mse", "denoise"] = pydantic.Field(
        "mse", description="mse: draw the input; denoise: draw it without the light that was added"
    )
    filters: tuple[Count, ...] = pydantic.Field(
        (24, 48, 64), min_length=1, description="of convolutions with stride 4, then 2 each"
    )
    bottleneck: int = pydantic.Field(32, ge=1, description="numbers of the code of a block of pixels")
    code: Literal["bounded", "linear"] = pydantic.Field("bounded", description="bounded: tanh, with noise in training")
    code_noise: float = pydantic.Field(0.1, ge=0, description="sigma of the noise on a bounded code in training")
    clip: float = pydantic.Field(50.0, gt=0, description="inputs end at plus and minus this, in sigmas of the pixel")
    common_mode: bool = pydantic.Field(True, description="take level, rows and columns of each frame out before")
    crop: int = pydantic.Field(256, ge=16, description="side of the training crops, px")
    crops: int = pydantic.Field(16, ge=1, description="crops of each frame an epoch")
    monte_carlo: float = pydantic.Field(
        0.0, ge=0, le=1, description="share of crops with simulated events of an optical TPC"
    )
    counts_per_kev: float = pydantic.Field(1700.0, gt=0, description="light of the camera, for the leak at 5.9 keV")
    finder: Literal["matched", "region"] = pydantic.Field("matched", description="search for regions in the residual")
    finder_settings: dict[str, Any] = pydantic.Field({}, description="of the finder; what is left out is its default")
    epochs: int = pydantic.Field(8, ge=1)
    batch_size: int = pydantic.Field(16, ge=1)
    learning_rate: float = pydantic.Field(3e-3, gt=0)

    @property
    def stride(self) -> int:
        """Side of a block of pixels that has one code, px."""
        return FIRST_STRIDE * 2 ** (len(self.filters) - 1)


@keras.saving.register_keras_serializable(package="particle_zoo")
class PedestalAE(ZooModel):
    """Autoencoder of camera frames of any size.

    Call arguments:
        frames: (batch, rows, cols, 1) float32, counts above the pedestal in units of each pixel's noise.

    Returns:
        (batch, rows, cols, 1) float32, the same without what does not belong to a dark frame.
    """

    config_class: ClassVar[type[ZooConfig]] = PedestalAEConfig
    zoo_config: PedestalAEConfig
    preprocessor: FramePreprocessor

    def __init__(self, config: PedestalAEConfig, zoo_name: str = "pedestal_ae", **kwargs: Any) -> None:
        # === Functional model ===
        frames = keras.Input((None, None, 1), name="frames")
        padded = PadToStride(config.stride, name="pad")(frames)
        drawn = _decode(_encode(padded, config), config)
        outputs = CropToInput(dtype="float32", name="reconstruction")(drawn, frames)
        super().__init__(inputs=frames, outputs=outputs, name=zoo_name, **kwargs)

        # === Config ===
        self._identify(config, zoo_name)

    def make_preprocessor(self, config: Any) -> FramePreprocessor:
        return FramePreprocessor(clip=config.clip, common_mode=config.common_mode)

    def make_optimizer(self, steps_per_epoch: int) -> keras.optimizers.Optimizer:
        c = self.zoo_config
        return keras.optimizers.AdamW(
            cosine(max(1, steps_per_epoch * c.epochs), c.learning_rate), weight_decay=c.weight_decay
        )

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Mean squared error, in variances of the noise; without targets the inputs are the targets."""
        return ops.mean(ops.square(y_pred - ops.cast(x if y is None else y, "float32")))


def _encode(x: Any, config: PedestalAEConfig) -> Any:
    """Frames to (batch, rows / stride, cols / stride, bottleneck) codes."""
    # No rectifier: offsets of rows and columns are small and of either sign, and half of them would be lost.
    x = layers.Conv2D(config.filters[0], FIRST_STRIDE, FIRST_STRIDE, activation="silu", name="down0")(x)
    for i, filters in enumerate(config.filters[1:], 1):
        x = layers.Conv2D(filters, 3, 2, padding="same", activation="silu", name=f"down{i}")(x)
    # What pixels of a row have in common shows in many of them, and light is local.
    along = layers.DepthwiseConv2D((1, CONTEXT), padding="same", name="along")(x)
    across = layers.DepthwiseConv2D((CONTEXT, 1), padding="same", name="across")(x)
    x = layers.Concatenate(name="context")([x, along, across])
    x = layers.Conv2D(config.filters[-1], 1, activation="silu", name="wide")(x)
    if config.code == "linear":
        return layers.Conv2D(config.bottleneck, 1, name="code")(x)
    x = layers.Conv2D(config.bottleneck, 1, activation="tanh", name="code")(x)
    return layers.GaussianNoise(config.code_noise, name="code_noise")(x)


def _decode(x: Any, config: PedestalAEConfig) -> Any:
    """Codes to frames."""
    x = layers.Conv2D(config.filters[-1], 3, padding="same", activation="silu", name="narrow")(x)
    for i, filters in reversed(list(enumerate(config.filters[:-1], 1))):
        x = layers.Conv2DTranspose(filters, 4, 2, padding="same", activation="silu", name=f"up{i}")(x)
    return layers.Conv2DTranspose(1, FIRST_STRIDE, FIRST_STRIDE, dtype="float32", name="up0")(x)


NOTES = (
    "On simulated frames with the common mode of rows and columns taken out, the same search without a network finds as much "
    "(benchmark anomaly); no real frame has been looked at."
)


def _card(name: str, config: PedestalAEConfig, parameters: int, summary: str, notes: str = NOTES) -> ModelCard:
    return ModelCard(
        name=name,
        family="pedestal_ae",
        task="anomaly",
        summary=summary,
        source="ours, in the spirit of arXiv:2512.24290",
        inputs=(
            {
                "name": "frames",
                "shape": (None, None, 1),
                "units": "counts above the pedestal over the noise of the pixel",
                "value_range": f"-{config.clip:g} to {config.clip:g}",
            },
        ),
        output="reconstruction (rows, cols, 1) in units of the pixel's noise",
        parameters=parameters,
        detector="camera",
        default_dataset="camera_frames/simulated_realistic",
        config=config.model_dump(mode="json"),
        notes=notes,
        limits="holds the pedestal and thresholds of one camera at one setting: bring it to another, or to another run, with --init; "
        "light among the dark frames it learns is lost; residuals are no calibrated energies",
    )


@register_model(
    _card("pedestal_ae", PedestalAEConfig(), 141_553, "autoencoder of dark camera frames that draws what it is given"),
    PedestalAEConfig,
)
def pedestal_ae(**overrides: Any) -> PedestalAE:
    """Trained by mean squared error."""
    return PedestalAE(PedestalAEConfig.from_settings(overrides), "pedestal_ae")


class PedestalAEDenoiseConfig(PedestalAEConfig):
    """`PedestalAEConfig` with the other objective."""

    objective: Literal["mse", "denoise"] = "denoise"


@register_model(
    _card(
        "pedestal_ae_denoise",
        PedestalAEDenoiseConfig(),
        141_553,
        "the same autoencoder, trained to leave out light that is added to its input",
    ),
    PedestalAEDenoiseConfig,
)
def pedestal_ae_denoise(**overrides: Any) -> PedestalAE:
    """The same network, trained to leave added light out."""
    return PedestalAE(PedestalAEDenoiseConfig.from_settings(overrides), "pedestal_ae_denoise")


class TinyPedestalAEConfig(PedestalAEConfig):
    """A small `PedestalAEConfig` for tests and notebooks."""

    filters: tuple[Count, ...] = pydantic.Field((8, 8), min_length=1)
    bottleneck: int = pydantic.Field(2, ge=1)
    crop: int = pydantic.Field(64, ge=16)
    crops: int = pydantic.Field(4, ge=1)
    epochs: int = pydantic.Field(2, ge=1)
    batch_size: int = pydantic.Field(8, ge=1)


@register_model(
    _card("tiny_pedestal_ae", TinyPedestalAEConfig(), 2_507, "seconds-fast stand-in for pedestal_ae"),
    TinyPedestalAEConfig,
)
def tiny_pedestal_ae(**overrides: Any) -> PedestalAE:
    """For tests and notebooks."""
    return PedestalAE(TinyPedestalAEConfig.from_settings(overrides), "tiny_pedestal_ae")
