"""Whether an exported file says what the model in Keras says, and how long both take."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from particle_zoo.diagnosis.devices import processor
from particle_zoo.errors import FormatRefusedError
from particle_zoo.exporting.formats import Runner
from particle_zoo.exporting.graph import Examples, Graph, Tensor

REPEATS, SECONDS = 15, 5.0
"""Timed calls, and after how many seconds three of them are enough."""


class Difference:
    """How far outputs are from what they should be, summed up over batches."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.n = 0
        self.worst: Any = 0.0
        self.largest: Any = 0.0
        self.sums: Any = np.zeros(3)

    def add(self, found: np.ndarray, expected: np.ndarray) -> None:
        """Take in a batch; where one of both gives NaN or infinity, `share` and `rms` are not finite.

        Raises:
            FormatRefusedError: outputs of another shape.
        """
        if found.shape != expected.shape:
            raise FormatRefusedError(
                f"the exported graph gives {self.tensor.name} of shape {found.shape}, Keras {expected.shape}; no file was written; "
                "try another --format"
            )
        wanted = expected.astype(np.float64)
        with np.errstate(invalid="ignore"):
            error = np.abs(found - wanted)
        # NaN is smaller than nothing, and would be lost in a maximum.
        error[~np.isfinite(error)] = np.inf
        axes = tuple(range(error.ndim - 1)) if self.tensor.by_column else None
        self.n += error.size // (error.shape[-1] if self.tensor.by_column else 1)
        self.worst = np.maximum(self.worst, error.max(axes))
        self.largest = np.maximum(self.largest, np.abs(wanted).max(axes))
        self.sums = self.sums + np.stack([wanted.sum(axes), (wanted**2).sum(axes), (error**2).sum(axes)], axis=-1)

    @property
    def share(self) -> float:
        """Largest difference in shares of the largest value, of the worst column if columns are compared by themselves."""
        with np.errstate(invalid="ignore"):
            return float(np.max(self.worst / np.maximum(self.largest, np.finfo(np.float32).tiny)))

    @property
    def rms(self) -> float:
        """Root mean square difference in shares of the standard deviation of the output, of the worst column."""
        total, squares, wrong = np.moveaxis(self.sums, -1, 0)
        with np.errstate(invalid="ignore"):
            variance = np.maximum(squares / self.n - (total / self.n) ** 2, 0)
            return float(np.max(np.sqrt(wrong / self.n / np.maximum(variance, np.finfo(np.float32).tiny))))


def compare(graph: Graph, run: Runner, examples: Examples) -> dict[str, Any]:
    """Run the examples in both.

    Returns:
        `difference` and `rms` by output; of classifiers also `agreement`, the share of examples with the same class, and
        with known classes `accuracy` and `accuracy_keras`.

    Raises:
        FormatRefusedError: outputs that differ in shape.
    """
    differences = {tensor.name: Difference(tensor) for tensor in graph.outputs}
    chosen: list[np.ndarray] = []
    for start, end in examples.spans():
        found, expected = run(examples.some(start, end)), examples.expected(start, end)
        for name, difference in differences.items():
            difference.add(found[name], expected[name])
        if "probability" in found:
            chosen.append(np.stack([v["probability"].argmax(1) for v in (found, expected)]))
    result: dict[str, Any] = {
        "difference": {name: difference.share for name, difference in differences.items()},
        "rms": {name: difference.rms for name, difference in differences.items()},
    }
    if chosen:
        ours, keras = np.concatenate(chosen, axis=1)
        result["agreement"] = float(np.mean(ours == keras))
        if len(examples.truth):
            result["accuracy"] = float(np.mean(ours == examples.truth))
            result["accuracy_keras"] = float(np.mean(keras == examples.truth))
    return result


def latency(graph: Graph, run: Runner, examples: Examples) -> dict[str, Any]:
    """Median milliseconds of a call by batch size, from what the graph takes, and in Keras from the examples themselves.

    Both sides begin with what the detector gives and so count their preprocessing. Batches larger than the examples are left out.
    """
    ours, keras = {}, {}
    for n in (n for n in graph.batches if n <= examples.n):
        inputs = examples.some(0, n)
        ours[str(n)] = _median_ms(lambda inputs=inputs: run(inputs))  # type: ignore[misc]
        keras[str(n)] = _median_ms(lambda n=n: examples.expected(0, n))  # type: ignore[misc]
    here = processor()
    return {"ms": ours, "keras_ms": keras, "processor": here["model"], "cores": here["usable_cores"]}


def _median_ms(call: Callable[[], object]) -> float:
    # The first call compiles and allocates.
    call()
    taken: list[float] = []
    while len(taken) < REPEATS and (len(taken) < 3 or sum(taken) < SECONDS):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return round(1000 * statistics.median(taken), 3)
