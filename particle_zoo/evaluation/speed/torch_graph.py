"""A functional Keras model as a `torch.nn.Module` with the same layers, connections and weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from particle_zoo.errors import InputError
from particle_zoo.evaluation.speed import torch_layers, torch_own_layers
from particle_zoo.evaluation.speed.torch_layers import Step


def translate(model: Any) -> Any:
    """Rebuild a model of the zoo in PyTorch.

    Images lie in memory as Keras has them, (batch, rows, cols, channels), which PyTorch calls channels_last.

    Args:
        model: a functional model, other models among its layers included.

    Returns:
        A module of the model's inputs, one argument each in the order of `model.inputs` and shaped alike, to what the model
        returns: a tensor, or a dict of tensors; float32 where the model's are.

    Raises:
        InputError: a layer that has no counterpart here, or another number of parameters.
    """
    import torch

    outer, names = _graph(model), _names(model)
    ranks = [len(tensor.shape) for tensor in model.inputs]

    class Network(torch.nn.Module):
        """Turns images around the graph, in which channels come before rows."""

        def __init__(self) -> None:
            super().__init__()
            self.graph = outer

        def forward(self, *inputs: Any) -> Any:
            turned = (x.permute(0, 3, 1, 2) if rank == 4 else x for x, rank in zip(inputs, ranks, strict=True))
            found = [x.permute(0, 2, 3, 1) if x.ndim == 4 else x for x in self.graph(*turned)]
            return found[0] if names is None else dict(zip(names, found, strict=True))

    network = Network().to(memory_format=torch.channels_last)
    moving = sum(w.numel() for name, w in network.named_buffers() if name.rpartition(".")[2].startswith("running_"))
    count = moving + sum(weight.numel() for weight in network.parameters())
    # `Normalization` keeps its constants as weights.
    expected = sum(int(np.prod(w.shape)) for w in model.weights if w.name not in ("mean", "variance", "count"))
    if count != expected:
        raise InputError(
            f"{model.name} has {expected:,} weights and its translation to PyTorch {count:,}; report it with the settings"
        )
    return network


def _names(model: Any) -> list[str] | None:
    """Keys of the model's outputs in the order of `model.outputs`; None where it returns one tensor."""
    structure = model.output
    if not isinstance(structure, dict):
        return None
    return [next(name for name, found in structure.items() if found is tensor) for tensor in model.outputs]


def _graph(model: Any) -> Any:
    """The nodes of a model as a module of tensors, images with their channels first, that gives a tuple of them."""
    import torch

    places: dict[int, int] = {id(tensor): i for i, tensor in enumerate(model.inputs)}
    plan: list[tuple[Step, list[int], list[int]]] = []
    # Keras offers layers, not the operations between them, and of a layer only its first call.
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            sources = [places[id(tensor)] for tensor in node.arguments.keras_tensors]
            made = range(len(places), len(places) + len(node.outputs))
            places |= {id(tensor): place for tensor, place in zip(node.outputs, made, strict=True)}
            plan.append((_step(node), sources, list(made)))
    wanted = [places[id(tensor)] for tensor in model.outputs]
    single = [str(tensor.dtype) == "float32" for tensor in model.outputs]
    count = len(places)

    class Graph(torch.nn.Module):
        """Layers in the order in which what they need is made."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.ModuleList([step for step, _, _ in plan if isinstance(step, torch.nn.Module)])

        def forward(self, *inputs: Any) -> Any:
            known: list[Any] = [*inputs, *[None] * (count - len(inputs))]
            for step, sources, made in plan:
                found = step(*[known[source] for source in sources])
                for place, value in zip(made, found if isinstance(found, (tuple, list)) else (found,), strict=True):
                    known[place] = value
            return tuple(known[i].float() if full else known[i] for i, full in zip(wanted, single, strict=True))

    return Graph()


def _step(node: Any) -> Step:
    """What a node does to its tensors: a module, or a function where nothing is to be kept.

    Raises:
        InputError: an operation without a counterpart.
    """
    import torch

    layer = node.operation
    kind = type(layer).__name__
    if hasattr(layer, "_nodes_by_depth"):
        return _graph(layer)
    if kind in MODULES:
        made: Step = MODULES[kind](layer)
        return made
    image = len(node.outputs[0].shape) == 4
    if kind == "Activation":
        return torch_layers.activation(layer) or torch.nn.Identity()
    if kind == "GetItem" and len(node.arguments.args[1]) == 2 and node.arguments.args[1][0] is Ellipsis and image:
        channels = node.arguments.args[1][1]
        return lambda x: x[:, channels]
    if kind in ("Rescaling", "Normalization"):
        factor, shift = (torch.from_numpy(values) for values in torch_layers.constants(layer))
        return _affine(factor, shift)
    if kind in ("Reshape", "Flatten"):
        return _reshaping(node)
    simple = _plain(layer, kind)
    if simple is None:
        raise InputError(f"PyTorch's side of the comparison knows no layer {kind}; the layer {layer.name} is one")
    return simple


MODULES = {
    "Dense": torch_layers.dense,
    "Conv2D": torch_layers.convolution,
    "DepthwiseConv2D": torch_layers.convolution,
    "Conv2DTranspose": torch_layers.transposed,
    "BatchNormalization": torch_layers.normalisation,
    "MaxPooling2D": torch_layers.max_pooling,
    "Dropout": torch_layers.dropout,
    "GaussianNoise": torch_own_layers.noise,
    "KeepPixels": torch_own_layers.keep_pixels,
    "Enlarge": torch_own_layers.enlarge,
    "StudentT": torch_own_layers.student_t,
    "Sampling": lambda layer: torch_own_layers.sampling(),
}
"""What makes a module of a layer, by the layer's class."""


def _affine(factor: Any, shift: Any) -> Any:
    import torch

    class Affine(torch.nn.Module):
        """Factor and shift of every channel."""

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("factor", factor)
            self.register_buffer("shift", shift)

        def forward(self, images: Any) -> Any:
            return images.float() * self.factor + self.shift

    return Affine()


def _reshaping(node: Any) -> Step:
    """`Reshape` and `Flatten`, which count pixels in the order of Keras."""
    before, after = len(node.arguments.keras_tensors[0].shape), node.outputs[0].shape[1:]

    def reshape(x: Any) -> Any:
        last = x.permute(0, 2, 3, 1) if before == 4 else x
        found = last.reshape(len(x), *after)
        return found.permute(0, 3, 1, 2) if len(after) == 3 else found

    return reshape


def _plain(layer: Any, kind: str) -> Step | None:
    """Layers without weights; None for an unknown one."""
    import torch
    from torch.nn import functional

    if kind in ("ZeroPadding2D", "Cropping2D"):
        sign = 1 if kind == "ZeroPadding2D" else -1
        (top, bottom), (left, right) = layer.padding if sign == 1 else layer.cropping
        return torch.nn.ZeroPad2d([sign * n for n in (left, right, top, bottom)])
    if kind == "PadToStride":
        stride = layer.stride
        return lambda x: functional.pad(x, (0, -x.shape[3] % stride, 0, -x.shape[2] % stride))
    if kind == "InsertZeros":
        return _spread(layer.factor)
    if kind == "UpSampling2D" and layer.interpolation == "nearest":
        return torch.nn.Upsample(scale_factor=tuple(layer.size), mode="nearest")
    if kind == "LeakyReLU":
        return torch.nn.LeakyReLU(layer.negative_slope)
    if kind == "MaxPoolWithIndices":
        return torch.nn.MaxPool2d(2, return_indices=True)
    if kind == "MaxUnpool":
        return torch.nn.MaxUnpool2d(2)
    if kind == "GlobalAveragePooling2D":
        keep = layer.keepdims
        return lambda x: x.mean((2, 3), keepdim=keep)
    functions: dict[str, Step] = {
        "GlobalMaxPooling2D": lambda x: x.amax((2, 3)),
        "CropToInput": lambda x, like: x[:, :, : like.shape[2], : like.shape[3]],
        "Concatenate": lambda *xs: torch.cat(xs, 1),
        "Add": lambda *xs: sum(xs[1:], xs[0]),
        "Multiply": lambda first, second: first * second,
    }
    return functions.get(kind)


def _spread(factor: int) -> Step:
    def spread(x: Any) -> Any:
        batch, channels, rows, cols = x.shape
        wide = x.new_zeros(batch, channels, rows * factor, cols * factor)
        wide[:, :, ::factor, ::factor] = x
        return wide

    return spread
