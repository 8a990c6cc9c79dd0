"""A model with its preprocessing as one function of tensors, and examples to try it on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Tensor:
    """An input or output of a graph, float32.

    Args:
        name: of it.
        shape: without the batch axis, None where any number does.
        units: what it holds, and in which units.
        by_column: whether each number of the last axis is a quantity of its own, to be compared with its own kind only.
    """

    name: str
    shape: tuple[int | None, ...]
    units: str
    by_column: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields, with the batch axis."""
        return {"name": self.name, "dtype": "float32", "shape": ["batch", *self.shape], "units": self.units}


@dataclass(frozen=True)
class Graph:
    """What is exported.

    Args:
        model: of the zoo.
        network: the same weights with all outputs that the graph gives, if not the model itself.
        inputs: tensors a user provides.
        outputs: tensors the graph gives.
        call: the outputs by name, of backend tensors by the name of the input.
        boundary: what the graph does itself and what it leaves to the user.
        recipe: NumPy that makes the inputs.
        batches: batch sizes to time.
    """

    model: Any
    network: Any
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    call: Callable[[dict[str, Any]], dict[str, Any]]
    boundary: str
    recipe: str
    batches: tuple[int, ...] = (1, 32)


@dataclass(frozen=True)
class Examples:
    """What a graph is tried on, made when it is asked for: frames of a camera do not all fit into memory.

    Args:
        name: of the data.
        n: number of examples.
        some: inputs of the graph, of the examples from one number to another.
        expected: what the model in Keras makes of the same, from the start: preprocessing, network, and what is made of its
            outputs, all by the functions the other commands use.
        truth: (n,) class of each; empty where unknown.
        batch: examples at a time.
    """

    name: str
    n: int
    some: Callable[[int, int], Arrays]
    expected: Callable[[int, int], Arrays]
    batch: int
    truth: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    def spans(self) -> Iterator[tuple[int, int]]:
        """First number and the one after the last of each batch."""
        for start in range(0, self.n, self.batch):
            yield start, min(start + self.batch, self.n)
