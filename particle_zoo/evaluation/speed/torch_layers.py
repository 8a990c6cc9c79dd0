"""What single Keras layers do, in PyTorch; images lie as (batch, channels, rows, cols)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from particle_zoo.errors import InputError

Step = Callable[..., Any]

ACTIVATIONS = {
    "linear": "Identity", "relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid", "silu": "SiLU", "elu": "ELU", "gelu": "GELU",
}  # fmt: skip
"""Names in Keras and in PyTorch."""


def activation(layer: Any) -> Any:
    """The activation of a layer as a module; None where it changes nothing.

    Raises:
        InputError: an unknown one.
    """
    import torch

    name = layer.activation.__name__
    if name not in ACTIVATIONS:
        raise InputError(f"PyTorch's side of the comparison knows no activation {name}; the layer {layer.name} has it")
    return None if name == "linear" else getattr(torch.nn, ACTIVATIONS[name])()


def copied(module: Any, arrays: list[np.ndarray]) -> Any:
    """The module with its parameters replaced, in their order."""
    import torch

    with torch.no_grad():
        for parameter, array in zip(module.parameters(), arrays, strict=True):
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(array)))
    return module


def followed(*parts: Any) -> Any:
    """Modules one after the other, without what is None."""
    import torch

    kept = [part for part in parts if part is not None]
    return kept[0] if len(kept) == 1 else torch.nn.Sequential(*kept)


def dense(layer: Any) -> Any:
    """`Dense`."""
    import torch

    kernel, *bias = layer.get_weights()
    made = torch.nn.Linear(*kernel.shape, bias=bool(bias))
    return followed(copied(made, [kernel.T, *bias]), activation(layer))


def convolution(layer: Any) -> Any:
    """`Conv2D` and `DepthwiseConv2D`; where "same" is asymmetrical the margins are TensorFlow's.

    Raises:
        InputError: a dilated one.
    """
    import torch

    if tuple(layer.dilation_rate) != (1, 1):
        raise InputError(f"PyTorch's side of the comparison knows no dilation; the layer {layer.name} has it")
    kernel, *bias = layer.get_weights()
    sides, strides = kernel.shape[:2], tuple(layer.strides)
    if type(layer).__name__ == "DepthwiseConv2D":
        groups, kernel = kernel.shape[2], kernel.transpose(2, 3, 0, 1).reshape(-1, 1, *sides)
    else:
        groups, kernel = layer.groups, kernel.transpose(3, 2, 0, 1)
    out, into = len(kernel), kernel.shape[1] * groups
    # Margins that are the same on both sides whatever the size of the image.
    fixed = layer.padding == "same" and strides == (1, 1) and all(side % 2 for side in sides)
    padding = [side // 2 for side in sides] if fixed else 0
    made = torch.nn.Conv2d(into, out, sides, strides, padding, groups=groups, bias=bool(bias))
    room = same_margins(sides, strides) if layer.padding == "same" and not fixed else None
    return followed(room, copied(made, [kernel, *bias]), activation(layer))


def same_margins(sides: tuple[int, ...], strides: tuple[int, ...], value: float = 0.0) -> Any:
    """A module that pads images as TensorFlow's "same": the odd pixel behind, and as many as the size of the image asks for."""
    import torch

    class SameMargins(torch.nn.Module):
        """Margins of "same"."""

        def forward(self, images: Any) -> Any:
            margins: list[int] = []
            # From the last axis to the first, as PyTorch takes them.
            for size, side, stride in zip(images.shape[:1:-1], sides[::-1], strides[::-1], strict=True):
                lacking = max((-(-size // stride) - 1) * stride + side - size, 0)
                margins += [lacking // 2, lacking - lacking // 2]
            return torch.nn.functional.pad(images, margins, value=value) if any(margins) else images

    return SameMargins()


def transposed(layer: Any) -> Any:
    """`Conv2DTranspose`; with "same" the image is as many times larger as the stride says."""
    import torch

    kernel, *bias = layer.get_weights()
    sides, strides, same = kernel.shape[:2], tuple(layer.strides), layer.padding == "same"
    lacking = [max(side - stride, 0) * same for side, stride in zip(sides, strides, strict=True)]
    made = torch.nn.ConvTranspose2d(
        kernel.shape[3], kernel.shape[2], sides, strides,
        padding=[n // 2 for n in lacking],
        output_padding=[max(stride - side, 0) for side, stride in zip(sides, strides, strict=True)],
        bias=bool(bias),
    )  # fmt: skip
    # An odd margin is one pixel more behind than before.
    end = [-(n % 2) for n in lacking]
    cut = torch.nn.ZeroPad2d((0, end[1], 0, end[0])) if any(end) else None
    return followed(copied(made, [kernel.transpose(3, 2, 0, 1), *bias]), cut, activation(layer))


def normalisation(layer: Any) -> Any:
    """`BatchNormalization` of the last axis."""
    import torch

    kind = torch.nn.BatchNorm2d if len(layer.input.shape) == 4 else torch.nn.BatchNorm1d
    made = kind(layer.input.shape[-1], eps=layer.epsilon, momentum=1 - layer.momentum)
    values = {"weight": layer.gamma, "bias": layer.beta, "running_mean": layer.moving_mean}
    values["running_var"] = layer.moving_variance
    with torch.no_grad():
        for name, variable in values.items():
            getattr(made, name).copy_(torch.from_numpy(np.array(_numpy(variable))))
    return made


def max_pooling(layer: Any) -> Any:
    """`MaxPooling2D`."""
    import torch

    sides, strides = tuple(layer.pool_size), tuple(layer.strides)
    if layer.padding == "valid":
        return torch.nn.MaxPool2d(sides, strides)
    if strides == (1, 1) and all(side % 2 for side in sides):
        return torch.nn.MaxPool2d(sides, strides, padding=[side // 2 for side in sides])
    return followed(same_margins(sides, strides, -float("inf")), torch.nn.MaxPool2d(sides, strides))


def dropout(layer: Any) -> Any:
    """`Dropout` of single values or, as in stochastic depth, of whole images.

    Raises:
        InputError: of anything else.
    """
    import torch

    shape = layer.noise_shape
    if shape is None:
        return torch.nn.Dropout(layer.rate)
    if tuple(shape[1:]) != (1, 1, 1):
        raise InputError(f"PyTorch's side of the comparison knows no dropout of {shape}; the layer {layer.name} is one")
    kept = 1 - layer.rate

    class StochasticDepth(torch.nn.Module):
        """Leaves out whole images in training."""

        def forward(self, images: Any) -> Any:
            if not self.training:
                return images
            chosen = torch.rand(len(images), 1, 1, 1, device=images.device, dtype=images.dtype) < kept
            return images * (chosen / kept).to(images.dtype)

    return StochasticDepth()


def constants(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    """Factor and shift, (channels, 1, 1) float32 or of a single value, of `Rescaling` and `Normalization`."""
    if type(layer).__name__ == "Rescaling":
        factor, shift = layer.scale, layer.offset
    else:
        factor = 1 / np.maximum(np.sqrt(_numpy(layer.variance)), 1e-7)
        shift = -_numpy(layer.mean) * factor
    first, second = (np.asarray(v, np.float32).reshape(-1, 1, 1) for v in (factor, shift))
    return first, second


def _numpy(values: Any) -> np.ndarray:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(values))
