"""`particle_zoo.verify(name)`: whether weights on this machine give what they gave where they were made.

A published folder holds `golden.npz`: a few simulated examples as the model takes them, what it made of them on the machine it
was published from, and, of models of clusters, the clusters themselves.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from particle_zoo.cli import replacing
from particle_zoo.errors import InputError

if TYPE_CHECKING:
    from particle_zoo.clusters import Clusters

GOLDEN = "golden.npz"

TOLERANCE = 1e-4
"""Of the largest value of an output. Backends and processors differ by 1e-6 where they add up in another order."""


@dataclass(frozen=True)
class Verified:
    """What `verify` found.

    Args:
        name: of the model.
        folder: with its weights.
        examples: number of golden inputs.
        inputs: largest difference of the preprocessed inputs; None where the preprocessing was not repeated.
        outputs: largest difference of the outputs. Both in shares of the largest value of each array.
    """

    name: str
    folder: Path
    examples: int
    inputs: float | None
    outputs: float


def verify(source: str | Path) -> Verified:
    """Check digests, preprocessing and outputs of published weights against the golden values that lie beside them.

    Args:
        source: a model name, or a published folder.

    Returns:
        The differences found, all within `TOLERANCE`.

    Raises:
        UnknownModelError, WeightsNotFoundError: no such model, or no weights.
        InputError: damaged weights, no golden values, or other results than those.
    """
    from particle_zoo.weights import load_run, locate

    folder = locate(source)
    if not (folder / GOLDEN).is_file():
        raise InputError(f"{folder} holds no {GOLDEN}, {_way_out(source, folder)}")
    model, config = load_run(folder)
    stored = _read(folder / GOLDEN)
    inputs, expected = _under("inputs", stored), _under("outputs", stored)
    repeated = None
    if "hits" in stored:
        repeated = _worst(named_inputs(model, model.preprocess(_clusters(stored))), inputs, folder)
    changed = _worst(outputs(model, inputs), expected, folder)
    worst = max(repeated or 0.0, changed)
    if worst > TOLERANCE:
        raise InputError(
            f"{folder} gives other results here than where it was made: they differ by {worst:.2g} of the largest value, "
            f"{TOLERANCE:g} are allowed; update Keras and its backend, or install the weights again"
        )
    n = len(next(iter(inputs.values())))
    return Verified(config["model"], folder, n, repeated, changed)


def _way_out(source: str | Path, folder: Path) -> str:
    """Why a folder holds no golden values, and what to verify instead."""
    from particle_zoo.weights import shipped

    if Path(source).is_dir():
        return "which runs of your own have not; verify a published model by name"
    own = "for it is a copy of your own, which goes before the weights of the package"
    came = [place / folder.name for place in shipped()]
    if folder in came:
        return "though it came with the package; install the package again"
    if found := next((place for place in came if (place / GOLDEN).is_file()), None):
        return f"{own}; move it away, or verify the folder {found}"
    return f"{own}, and no weights of {source} came with it; verify another model"


def write_golden(
    folder: Path, model: Any, inputs: Any, clusters: Clusters | None = None, *, without: Sequence[str] = ()
) -> None:
    """Write golden values of a model beside its weights.

    Args:
        folder: with the weights that the model was loaded from.
        model: a zoo model.
        inputs: a few examples as the model takes them: an array, or a dict of them.
        clusters: what they were made from by the model's own preprocessing, if from clusters.
        without: outputs to leave out, which differ from processor to processor.
    """
    named = named_inputs(model, inputs)
    arrays: dict[str, Any] = {f"inputs/{key}": value for key, value in named.items()}
    arrays |= {f"outputs/{key}": value for key, value in outputs(model, named).items() if key not in without}
    if clusters is not None:
        arrays |= {
            "hits": clusters.hits,
            "offsets": clusters.offsets,
            "columns": np.array(clusters.columns),
            "unit": np.array(clusters.unit),
        }
        if "energy_sum" in clusters.table:
            arrays["energy_sum"] = clusters.table["energy_sum"].to_numpy()
    with replacing(folder / GOLDEN) as temporary:
        np.savez_compressed(temporary, **arrays)


def named_inputs(model: Any, inputs: Any) -> dict[str, np.ndarray]:
    """Model inputs by name; a model of one input takes an array."""
    if isinstance(inputs, Mapping):
        return {key: np.asarray(value) for key, value in inputs.items()}
    return {model.inputs[0].name: np.asarray(inputs)}


def outputs(model: Any, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a model makes of named inputs, by name; a single output is called output."""
    import keras

    given: Any = dict(inputs) if len(model.inputs) > 1 else next(iter(inputs.values()))
    found = model(given, training=False)
    if not isinstance(found, Mapping):
        found = {"output": found}
    return {key: keras.ops.convert_to_numpy(value) for key, value in found.items()}


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged ({error}); install the weights again") from error


def _under(folder: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key.removeprefix(f"{folder}/"): value for key, value in arrays.items() if key.startswith(f"{folder}/")}


def _clusters(stored: Mapping[str, np.ndarray]) -> Clusters:
    import pandas as pd

    from particle_zoo.clusters import Clusters

    n = len(stored["offsets"]) - 1
    table = pd.DataFrame({"energy_sum": stored["energy_sum"]} if "energy_sum" in stored else {}, index=range(n))
    return Clusters(stored["hits"], tuple(map(str, stored["columns"])), stored["offsets"], table, str(stored["unit"]))


def _worst(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], folder: Path) -> float:
    """Largest difference of any array in shares of its largest expected value; infinite where one is not finite."""
    worst = 0.0
    for key, value in expected.items():
        if key not in found or found[key].shape != value.shape:
            shape = found[key].shape if key in found else "missing"
            raise InputError(
                f"{folder / GOLDEN} is of another model: {key} has the shape {value.shape} there and is {shape} here; "
                "install the weights again"
            )
        difference = float(np.abs(found[key] - value).max()) / (float(np.abs(value).max()) or 1.0)
        worst = max(worst, difference if math.isfinite(difference) else math.inf)
    return worst
