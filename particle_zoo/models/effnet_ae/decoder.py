"""The decoder: the encoder transposed, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from particle_zoo.layers import InsertZeros
from particle_zoo.models.effnet_ae.encoder import MOMENTUM, Block

HEAD_KERNEL = 4
"""Twice the stride of the last transposed convolution: every output pixel then has as many inputs as its neighbours."""

RARE = -3.0
"""First bias of the mask heads: clusters cover a few per cent of their images."""


def build_decoder(
    feature_shape: tuple[int, int, int], encoder_blocks: Sequence[Block], channels: int, *, mask_heads: bool
) -> keras.Model:
    """Mirror an EfficientNet, without skip connections.

    The top convolution comes first, then the blocks in reverse order with input and output widths exchanged; where the
    encoder halves the image the depthwise convolution is a transposed one. The stem's mirror are the
    heads, transposed convolutions of stride 2 from the last, half-size map. Residual blocks begin as the identity, like the
    encoder's.

    Args:
        feature_shape: of the encoder's last map.
        encoder_blocks: from input to output.
        channels: of the image head.
        mask_heads: whether to predict the two masks.

    Returns:
        A model from the map to a dict of float32 images at 32 times its side: `image` and, with mask heads, `mask` and
        `over_threshold` in (0, 1).
    """
    features = keras.Input(feature_shape, name="features")
    x = _conv(encoder_blocks[-1].filters_out, "untop")(features)
    x = layers.Activation("swish", name="untop_activation")(_norm("untop")(x))
    for block in reversed(encoder_blocks):
        x = _transposed(x, block)
    heads = {"image": _head(channels, "image")(x)}
    if mask_heads:
        for name in ("mask", "over_threshold"):
            logits = _head(1, f"{name}_logits", bias=RARE)(x)
            heads[name] = layers.Activation("sigmoid", dtype="float32", name=name)(logits)
    return keras.Model(features, heads, name="decoder")


def _transposed(x: Any, block: Block) -> Any:
    """The mirror image of an inverted-residual block: from its `filters_out` to its `filters_in`."""
    name, skip = f"unblock{block.name}", x
    wide = block.filters_expanded
    if wide != block.filters_out:
        x = _normal(_conv(wide, f"{name}_expand")(x), f"{name}_expand")
    if block.stride > 1:
        x = InsertZeros(block.stride, name=f"{name}_spread")(x)
    x = layers.DepthwiseConv2D(
        block.kernel, padding="same", use_bias=False, depthwise_initializer=_initializer(), name=f"{name}_dwconv"
    )(x)
    x = _normal(x, f"{name}_dwconv")
    squeezed = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    squeezed = _conv(block.filters_squeezed, f"{name}_reduce", activation="swish", use_bias=True)(squeezed)
    gate = _conv(wide, f"{name}_excite", activation="sigmoid", use_bias=True)(squeezed)
    x = layers.Multiply(name=f"{name}_gate")([x, gate])
    x = _norm(f"{name}_project", scale="zeros" if block.residual else "ones")(
        _conv(block.filters_in, f"{name}_project")(x)
    )
    if block.residual:
        x = layers.Add(name=f"{name}_add")([x, skip])
    return x


def _initializer() -> keras.initializers.Initializer:
    """That of EfficientNet; one instance a layer, since an instance without seed repeats its values."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")


def _conv(filters: int, name: str, *, activation: str | None = None, use_bias: bool = False) -> layers.Layer:
    return layers.Conv2D(
        filters,
        1,
        activation=activation,
        use_bias=use_bias,
        kernel_initializer=_initializer(),
        name=name,
    )


def _normal(x: Any, name: str) -> Any:
    return layers.Activation("swish", name=f"{name}_activation")(_norm(name)(x))


def _norm(name: str, *, scale: str = "ones") -> layers.Layer:
    return layers.BatchNormalization(momentum=MOMENTUM, gamma_initializer=scale, name=f"{name}_bn")


def _head(filters: int, name: str, *, bias: float = 0.0) -> layers.Layer:
    return layers.Conv2DTranspose(
        filters,
        HEAD_KERNEL,
        strides=2,
        padding="same",
        # Small, so that a training begins with an empty image instead of noise all over the background.
        kernel_initializer=keras.initializers.RandomNormal(stddev=1e-3),
        bias_initializer=keras.initializers.Constant(bias),
        dtype="float32",
        name=name,
    )
