"""Inputs and outputs of run folders under the backend that KERAS_BACKEND names; a program of its own.

    python -m tests.backends.outputs FOLDER

writes `BACKEND.npz` into every run folder in FOLDER, from what its `examples.pickle` holds.
"""

from __future__ import annotations

import functools
import pickle
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

from particle_zoo.weights import load_run
from tests.shallow import shallow_efficientnet

EXAMPLES = "examples.pickle"
"""What a model preprocesses: clusters, frames, patches or jets."""


def flat(prefix: str, arrays: Any) -> dict[str, np.ndarray]:
    """Arrays by name, of one array or of a dict of them."""
    named = arrays if isinstance(arrays, dict) else {"": arrays}
    return {f"{prefix}.{name}": keras.ops.convert_to_numpy(value) for name, value in named.items()}


def write(folder: Path) -> None:
    """What the model of a run folder makes of its examples."""
    with shallow_efficientnet(halving_only=True):
        model, _ = load_run(folder)
    inputs = model.preprocess(pickle.loads((folder / EXAMPLES).read_bytes()))
    # Compiled where that is all that a backend is used for.
    apply = functools.partial(model.predict, verbose=0) if keras.backend.backend() == "jax" else model
    found = {**flat("input", inputs), **flat("output", apply(inputs))}
    np.savez(folder / f"{keras.backend.backend()}.npz", **found)


if __name__ == "__main__":
    for path in sorted(Path(sys.argv[1]).iterdir()):
        write(path)
