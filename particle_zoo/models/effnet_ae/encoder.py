"""The encoder: an EfficientNet of keras.applications that sees our values, not an image file's."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from keras import layers, ops

from particle_zoo.cli import sentence
from particle_zoo.errors import InputError

WEIGHTS_FILE = "efficientnet{}_notop.h5"
"""Name under which keras.applications keeps ImageNet weights without the top."""

STOCHASTIC_DEPTH = 0.2
"""Share of the last block's outputs that keras.applications drops; earlier blocks drop less, in proportion."""

MOMENTUM = 0.95
"""Of the statistics of batch normalisation. Keras's 0.99 looks back over a hundred steps of weights that are long gone: a
training of some hundred steps then predicts nothing sensible."""


@dataclass(frozen=True)
class Block:
    """One inverted-residual block (MBConv) of an EfficientNet.

    Args:
        name: "1a" to "7..": stage and position.
        filters_in: channels it receives.
        filters_expanded: channels of its depthwise convolution.
        filters_squeezed: channels of the squeeze-and-excitation bottleneck.
        filters_out: channels it gives.
        kernel: side of the depthwise convolution.
        stride: 1, or 2 where it halves the image.
    """

    name: str
    filters_in: int
    filters_expanded: int
    filters_squeezed: int
    filters_out: int
    kernel: int
    stride: int

    @property
    def residual(self) -> bool:
        """Whether the input is added to the output."""
        return self.stride == 1 and self.filters_in == self.filters_out


def build_backbone(
    backbone: str, size: int, channels: int, *, stochastic_depth: float = STOCHASTIC_DEPTH
) -> keras.Model:
    """`keras.applications.EfficientNetB*` without its top, randomly initialised.

    Blocks with a residual connection begin as the identity, the scale of their last normalisation being 0. Otherwise
    gradients grow with every normalisation on their way back, to hundreds of times the loss at the stem.

    Args:
        backbone: B0 to B7.
        size: side of the square input, px, a multiple of 32.
        channels: of the input.
        stochastic_depth: share of the last block's outputs dropped in training; earlier blocks drop less, in proportion.

    References:
        Goyal et al.: Accurate, Large Minibatch SGD, arXiv:1706.02677, section 5.1.
    """
    make = getattr(keras.applications, f"EfficientNet{backbone}")
    with warnings.catch_warnings():
        # Two channels are unusual for photographs, and meant here.
        warnings.filterwarnings("ignore", message="This model usually expects 1 or 3 input channels")
        net = make(include_top=False, weights=None, input_shape=(size, size, channels), name="backbone")
    for layer in net.layers:
        if isinstance(layer, layers.Dropout):
            layer.rate *= stochastic_depth / STOCHASTIC_DEPTH
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = MOMENTUM
    for block in blocks(net):
        if block.residual:
            scale = net.get_layer(f"block{block.name}_project_bn").gamma
            scale.assign(ops.zeros(scale.shape))
    return net


def build_encoder(backbone: str, size: int, channels: int, *, stochastic_depth: float) -> keras.Model:
    """Adapter and backbone: images in our units to the last feature map, (size / 32, size / 32, width).

    keras.applications puts `Rescaling(1/255)` and an (unadapted) `Normalization` before the first convolution; values
    between 0 and 4 would come out 255 times too small. The adapter multiplies by 255, so the convolutions see exactly
    what `TimepixPreprocessor` says.
    """
    image = keras.Input((size, size, channels), name="image")
    net = build_backbone(backbone, size, channels, stochastic_depth=stochastic_depth)
    features = net(layers.Rescaling(255.0, dtype="float32", name="adapter")(image))
    return keras.Model(image, features, name="encoder")


def blocks(net: keras.Model) -> list[Block]:
    """The blocks of a backbone from input to output, read off its layers."""
    found = []
    for layer in net.layers:
        match = re.fullmatch(r"block(\d+[a-z]+)_dwconv", layer.name)
        if not match:
            continue
        prefix = f"block{match[1]}_"
        names = {other.name for other in net.layers if other.name.startswith(prefix)}
        first = net.get_layer(prefix + ("expand_conv" if prefix + "expand_conv" in names else "dwconv"))
        found.append(
            Block(
                match[1],
                first.input.shape[-1],
                layer.input.shape[-1],
                net.get_layer(prefix + "se_reduce").filters,
                net.get_layer(prefix + "project_conv").filters,
                layer.kernel_size[0],
                layer.strides[0],
            )
        )
    return found


def load_backbone_weights(net: keras.Model, backbone: str, source: str) -> None:
    """Give a backbone the weights of a keras.applications file, ImageNet's by name.

    The statistics of the `Normalization` layer stay out: they describe photographs, and the adapter relies on none.

    Raises:
        InputError: ImageNet weights that cannot be fetched, or a file that is missing, damaged or of another backbone.
    """
    name = WEIGHTS_FILE.format(backbone.lower())
    if source != "imagenet" and not Path(source).is_file():
        raise InputError(
            f"encoder_weights must be none, imagenet or an existing file such as {name}; received {source!r}"
        )
    make = getattr(keras.applications, f"EfficientNet{backbone}")
    try:
        donor = make(include_top=False, weights=source, input_shape=net.input_shape[1:])
    # Keras raises bare Exceptions on failed downloads, and h5py many kinds on foreign files.
    except Exception as error:
        reason = sentence(str(error))[:160]
        if source == "imagenet":
            raise InputError(
                f"ImageNet weights of EfficientNet{backbone} cannot be fetched ({reason}); get {name} of keras.applications "
                "on another machine and give its path as encoder_weights"
            ) from error
        raise InputError(
            f"{source} holds no weights of EfficientNet{backbone} without top ({reason}); give {name} of keras.applications"
        ) from error
    own = [layer for layer in net.layers if layer.weights and not isinstance(layer, layers.Normalization)]
    for layer in own:
        layer.set_weights(donor.get_layer(layer.name).get_weights())


class EncoderFromElsewhere:
    """Initial weights of the encoder of a `ZooModel` as its configuration asks for; a mixin, named before it."""

    zoo_config: Any
    encoder: Any

    def load_initial_weights(self) -> None:
        c = self.zoo_config
        if c.encoder_weights != "none":
            load_backbone_weights(self.encoder.get_layer("backbone"), c.backbone, c.encoder_weights)


def stages(net: keras.Model) -> dict[str, int]:
    """Depth of each weight layer of a backbone, by name: 0 for the stem, 1 to 7 for the stages, 8 for the top."""
    depth: dict[str, int] = {}
    for layer in net.layers:
        match = re.match(r"block(\d+)", layer.name)
        depth[layer.name] = int(match[1]) if match else 8 if layer.name.startswith("top") else 0
    return depth


def pooled(features: Any) -> Any:
    """The latent vector: mean of a feature map over its pixels, float32."""
    return layers.GlobalAveragePooling2D(dtype="float32", name="latent")(features)
