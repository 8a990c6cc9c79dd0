"""How long a published model takes on the machine it is published from."""

from __future__ import annotations

import statistics
import time
from typing import Any

import keras

from particle_zoo.diagnosis.devices import processor
from particle_zoo.publication.examples import example, examples
from particle_zoo.training.run_folder import versions

BATCHES = (1, 32)

REPEATS = 15


def speed(model: Any) -> dict[str, Any]:
    """Milliseconds from inputs to outputs by batch size, medians of `REPEATS` calls of the compiled network.

    Returns:
        `ms` by batch size, `example`, what a batch has that many of, `processor`, `cores` and `versions`.
    """
    found: dict[str, float] = {}
    for n in BATCHES:
        inputs, _ = examples(model, n)
        taken = []
        for _ in range(REPEATS + 1):
            start = time.perf_counter()
            keras.tree.map_structure(keras.ops.convert_to_numpy, model.predict_on_batch(inputs))
            taken.append(time.perf_counter() - start)
        # The first call compiles.
        found[str(n)] = round(1000 * statistics.median(taken[1:]), 3)
    here = processor()
    return {
        "ms": found,
        "example": example(model),
        "processor": here["model"],
        "cores": here["usable_cores"],
        "versions": versions(),
    }
