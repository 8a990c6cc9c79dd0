"""What a network does to the shape of its input, drawn from its layers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from particle_zoo.plots import figure

MOST = 24
"""Most boxes; of a longer network only the last of each side of the images is drawn."""

Shape = tuple[int | None, ...]


def architecture(model: Any, path: Path) -> None:
    """Draw a box for every shape that the examples have on their way: as high as its side, as wide as its channels.

    Args:
        model: a Keras model made of functional parts.
        path: PNG to write.
    """
    stages = shapes(model)
    if len(stages) > MOST:
        stages = _by_side(stages)
    with figure(path, 1, 1, figsize=(0.55 * len(stages) + 1, 3)) as (_, axes):
        axis = axes[0][0]
        for x, (name, shape) in enumerate(stages):
            # Of fully convolutional networks the side is that of the input, whatever that is.
            side, channels = (shape[0], shape[-1]) if len(shape) == 3 else (1, shape[-1])
            height, width = 0.15 + math.log2(1 + (side or 64)) / 8, 0.15 + math.log2(1 + (channels or 1)) / 18
            axis.bar(x, height, width, color="tab:blue" if len(shape) == 3 else "tab:orange")
            label = f"{side or 'any'}² x {channels}" if len(shape) == 3 else str(channels)
            axis.text(x, height + 0.03, label, ha="center", va="bottom", rotation=90, fontsize=6)
            axis.text(x, -0.03, name, ha="center", va="top", rotation=90, fontsize=6)
        axis.set_xlim(-0.7, len(stages) - 0.3)
        axis.set_ylim(-0.75, 1.9)
        axis.set_axis_off()
        axis.set_title(f"{model.zoo_name}: {model.count_params():,} parameters", fontsize=8)


def shapes(model: Any) -> list[tuple[str, Shape]]:
    """Layers after which examples have another shape than before, each with that shape, without the batch axis."""
    found: list[tuple[str, Shape]] = []
    for layer in _in_order(model):
        shape = tuple(layer.output.shape[1:]) if hasattr(layer.output, "shape") else ()
        if shape and (not found or found[-1][1] != shape):
            found.append((layer.name, shape))
    return found


def _in_order(model: Any) -> Iterator[Any]:
    """Layers as the examples meet them, those of parts in the place of the part."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _in_order(layer)
        elif layer._inbound_nodes:
            yield layer


def _by_side(stages: list[tuple[str, Shape]]) -> list[tuple[str, Shape]]:
    """The last stage of each run of one side; what is gated by single numbers, such as squeeze and excitation, counts as one run."""
    images = [stage for stage in stages if len(stage[1]) == 3 and stage[1][0] != 1]
    kept = [last for last, following in pairwise([*images, ("", (0, 0, 0))]) if last[1][0] != following[1][0]]
    return [stages[0], *(stage for stage in kept if stage is not stages[0])]
