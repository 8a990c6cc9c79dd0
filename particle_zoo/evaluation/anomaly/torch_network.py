"""The network of an anomaly model in PyTorch, where that is installed: the same layers with the same weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from particle_zoo.errors import InputError

WITHOUT_WORK = ("GaussianNoise", "Dropout", "SpatialDropout2D", "Identity")
"""Layers that change nothing outside of training."""

ACTIVATIONS = {"linear": "Identity", "relu": "ReLU", "tanh": "Tanh", "elu": "ELU", "silu": "SiLU", "gelu": "GELU"}
"""Names in Keras and in PyTorch."""


def version() -> str | None:
    """That of PyTorch; None where it is not installed."""
    try:
        import torch
    except ImportError:
        return None
    return str(torch.__version__)


def build(model: Any) -> Any:
    """A `torch.nn.Module` with the layers, connections and weights of a functional Keras model.

    Args:
        model: of `PadToStride`, `CropToInput`, `Conv2D`, `DepthwiseConv2D`, `Conv2DTranspose`, `Activation`, `Concatenate`, `Add` and
            layers that only train.

    Returns:
        A module from (1, 1, rows, cols) to the same.

    Raises:
        InputError: a layer of another kind, or another number of parameters.
    """
    import torch

    # Keras sorts them so that what a layer needs is made before it.
    layers = [layer for layer in model.layers if type(layer).__name__ != "InputLayer"]
    steps = {layer.name: _step(layer) for layer in layers}
    sources = {layer.name: [id(tensor) for tensor in _listed(layer.input)] for layer in layers}
    made = {layer.name: id(layer.output) for layer in layers}
    result = id(model.outputs[0])

    class Network(torch.nn.Module):
        """The graph of the model."""

        def __init__(self) -> None:
            super().__init__()
            self.steps = torch.nn.ModuleDict(
                {name: step for name, step in steps.items() if isinstance(step, torch.nn.Module)}
            )

        def forward(self, frames: Any) -> Any:
            known = dict.fromkeys((id(tensor) for tensor in model.inputs), frames)
            for name, step in steps.items():
                known[made[name]] = step(*(known[source] for source in sources[name]))
            return known[result]

    network = Network().eval()
    count = sum(weight.numel() for weight in network.parameters())
    if count != model.count_params():
        raise InputError(f"the model has {model.count_params():,} parameters, the same in PyTorch {count:,}")
    return network


def measure(
    model: Any, inputs: Sequence[np.ndarray], expected: np.ndarray, n: int, *, accelerated: bool = False
) -> dict[str, Any]:
    """Time the network from NumPy to NumPy, one frame at once.

    Args:
        model: the Keras model.
        inputs: (1, rows, cols, 1) float32 each.
        expected: what the Keras model makes of the first.
        n: timed frames.
        accelerated: on a GPU, where PyTorch finds one; else on the processor.

    Returns:
        `ms` of each frame, `device`, `parameters`, and `difference`, the largest from what is expected, as a share of its largest value.
    """
    import torch

    device = "cuda" if accelerated and torch.cuda.is_available() else "cpu"
    network = build(model).to(device)

    def run(frame: np.ndarray) -> np.ndarray:
        # With one channel the two layouts are the same memory.
        with torch.inference_mode():
            found: np.ndarray = network(torch.from_numpy(frame.transpose(0, 3, 1, 2)).to(device)).cpu().numpy()
        return found.transpose(0, 2, 3, 1)

    difference = float(np.abs(run(inputs[0]) - expected).max() / np.abs(expected).max())
    ms = []
    for i in range(n):
        started = time.perf_counter()
        run(inputs[i % len(inputs)])
        ms.append(1e3 * (time.perf_counter() - started))
    return {
        "ms": ms,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "parameters": model.count_params(),
        "difference": difference,
    }


def _listed(tensors: Any) -> list[Any]:
    return list(tensors) if isinstance(tensors, (list, tuple)) else [tensors]


def _step(layer: Any) -> Callable[..., Any]:
    """What a layer does to its inputs."""
    import torch

    kind = type(layer).__name__
    if kind in WITHOUT_WORK:
        return lambda image: image
    if kind in ("Conv2D", "DepthwiseConv2D", "Conv2DTranspose"):
        return _convolution(layer, kind)
    if kind == "Activation":
        return _activation(layer)
    if kind == "PadToStride":
        stride = layer.stride
        return lambda image: torch.nn.functional.pad(image, (0, -image.shape[3] % stride, 0, -image.shape[2] % stride))
    if kind == "CropToInput":
        return lambda image, like: image[:, :, : like.shape[2], : like.shape[3]]
    if kind == "Concatenate":
        return lambda *images: torch.cat(images, 1)
    if kind == "Add":
        return lambda *images: sum(images)
    raise InputError(f"the comparison with PyTorch knows no layer {kind}; the layer {layer.name} is one")


def _activation(layer: Any) -> Any:
    import torch

    name = layer.activation.__name__
    if name not in ACTIVATIONS:
        raise InputError(f"the comparison with PyTorch knows no activation {name}; the layer {layer.name} has it")
    return getattr(torch.nn, ACTIVATIONS[name])()


def _convolution(layer: Any, kind: str) -> Any:
    """A convolution with the padding of Keras, and its activation."""
    import torch

    weights = [torch.from_numpy(np.array(array)) for array in layer.get_weights()]
    kernel, bias = weights[0], weights[1:]
    sides, strides = tuple(kernel.shape[:2]), layer.strides
    # "same" pads by what the kernel is longer than the stride, the larger half behind, where the stride divides the sides.
    lacking = [max(k - s, 0) * (layer.padding == "same") for k, s in zip(sides, strides, strict=True)]
    even = all(n % 2 == 0 for n in lacking)
    options = {"stride": strides, "padding": [n // 2 for n in lacking] if even else 0, "bias": bool(bias)}
    if kind == "DepthwiseConv2D":
        groups = kernel.shape[2]
        kernel = kernel.permute(2, 3, 0, 1).reshape(-1, 1, *sides)
        made = torch.nn.Conv2d(groups, len(kernel), sides, groups=groups, **options)
    elif kind == "Conv2D":
        kernel = kernel.permute(3, 2, 0, 1)
        made = torch.nn.Conv2d(kernel.shape[1], kernel.shape[0], sides, **options)
    else:
        kernel = kernel.permute(3, 2, 0, 1)
        made = torch.nn.ConvTranspose2d(kernel.shape[0], kernel.shape[1], sides, **options)
    with torch.no_grad():
        for weight, value in zip(made.parameters(), [kernel, *bias], strict=True):
            weight.copy_(value)
    parts = [made]
    if not even:
        (top, left), (bottom, right) = [n // 2 for n in lacking], [n - n // 2 for n in lacking]
        margins = (left, right, top, bottom)
        # A transposed convolution has them too many, any other too few.
        if kind == "Conv2DTranspose":
            parts.append(torch.nn.ZeroPad2d(tuple(-n for n in margins)))
        else:
            parts.insert(0, torch.nn.ZeroPad2d(margins))
    return torch.nn.Sequential(*parts, _activation(layer))
