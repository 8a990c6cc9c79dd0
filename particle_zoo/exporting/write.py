"""From a trained model to a checked file for another runtime."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import keras

from particle_zoo.cli import read_json, sentence, write_json
from particle_zoo.errors import FormatRefusedError, InputError
from particle_zoo.exporting import check, families
from particle_zoo.exporting.formats import FORMATS, OPSET
from particle_zoo.exporting.graph import Graph
from particle_zoo.training.run_folder import versions
from particle_zoo.weights import WEIGHTS, load_run, locate, sha256

TOLERANCE = 1e-4
"""Largest difference from Keras of a file without quantisation, in shares of the largest output."""

QUANTISATION = (
    "dynamic range: kernels as int8 with a scale for every channel, activations and preprocessing in float; in a full-integer "
    "graph the logarithms, square roots and energies of the preprocessing would have 256 values"
)


def check_backend() -> None:
    """See that Keras runs on TensorFlow, whose graphs are converted.

    Raises:
        InputError: it does not.
    """
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"export converts TensorFlow graphs, and the backend is {keras.backend.backend()}; unset KERAS_BACKEND"
        )


def export(
    source: str | Path, kind: str, output: Path, *, examples: int, seed: int, force: bool, options: dict[str, Any]
) -> dict[str, Any]:
    """Write a model as NAME.onnx, NAME.tflite or NAME_saved_model, with what is known of it in NAME.export.json.

    Args:
        source: a model name or a run folder.
        kind: a name in `FORMATS`.
        output: folder to write into.
        examples: how many to try the file on.
        seed: of simulated ones.
        force: replace an export of the same format, or of other weights.
        options: dataset, data_dir, manual_dir and split of the examples; without a data set they are simulated.

    Returns:
        The entry of this file in NAME.export.json, with its path.

    Raises:
        InputError: a missing package, an unusable model or data set, or files that are not to be replaced.
        FormatRefusedError: a graph that the format cannot express, or a file that does not say what Keras says. Nothing is
            written with either.
    """
    form = FORMATS[kind]
    form.check()
    check_backend()
    folder = locate(source)
    model, config = load_run(folder)
    target, about = output / f"{model.zoo_name}{form.ending}", output / f"{model.zoo_name}.export.json"
    digest = sha256(folder / WEIGHTS)
    _kept(target, about, digest, force=force)
    graph = families.graph(model, config)
    tried = families.examples(graph, config, examples, seed, options)
    fresh = not output.exists()
    scratch = output / f".{model.zoo_name}.{os.getpid()}.tmp"
    try:
        scratch.mkdir(parents=True)
        made = scratch / target.name
        try:
            form.write(graph, made)
            run = form.open(made)
        except InputError as error:
            raise FormatRefusedError(str(error)) from error
        # Converters raise types of their own, some straight from Exception, with all of the graph in their messages.
        except Exception as error:
            raise FormatRefusedError(
                f"{model.zoo_name} cannot be written as {kind}: {sentence(str(error))[:200]}; try another --format"
            ) from error
        found = check.compare(graph, run, tried)
        worst = max(found["difference"].values())
        quantised = kind.endswith("int8")
        if not worst <= TOLERANCE and not quantised:
            raise FormatRefusedError(
                f"{kind} differs from Keras by {worst:.2g} of the largest output on {tried.n} examples ({tried.name}), and "
                f"{TOLERANCE:g} is allowed; no file was written; try another --format"
            )
        entry = {
            "file": target.name,
            "bytes": _size(made),
            **({"opset": OPSET} if kind == "onnx" else {}),
            **({"quantisation": QUANTISATION} if quantised else {}),
            "examples": {"n": tried.n, "data": tried.name},
            **found,
            "latency": check.latency(graph, run, tried),
            "versions": form.versions(),
        }
        del run
        # Another export into this folder may have ended meanwhile.
        kept = _kept(target, about, digest, force=force)
        put(made, target)
        write_json(about, _description(graph, config, digest) | {"files": {**kept, kind: entry}})
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if fresh and output.is_dir() and not any(output.iterdir()):
            output.rmdir()
    return {"model": model.zoo_name, "format": kind, **entry, "file": str(target), "about": str(about)}


def _kept(target: Path, about: Path, digest: str, *, force: bool) -> dict[str, Any]:
    """Entries of earlier exports of the same weights.

    Raises:
        InputError: files that are there and not to be replaced.
    """
    if target.parent.exists() and not target.parent.is_dir():
        raise InputError(f"--output {target.parent} is a file; give a folder")
    if target.exists() and not force:
        raise InputError(f"{target} exists; replace it with --force or choose another --output")
    if not about.exists():
        return {}
    known = read_json(about, what="description of an export")
    if known.get("weights_sha256") == digest:
        return dict(known.get("files", {}))
    if not force:
        raise InputError(
            f"{about} is of other weights; replace it with --force, which leaves its files alone, or choose another --output"
        )
    return {}


def _description(graph: Graph, config: dict[str, Any], digest: str) -> dict[str, Any]:
    return {
        "model": graph.model.zoo_name,
        "weights_sha256": digest,
        "classes": config["classes"],
        "boundary": graph.boundary,
        "inputs": [tensor.to_dict() for tensor in graph.inputs],
        "outputs": [tensor.to_dict() for tensor in graph.outputs],
        "recipe": graph.recipe,
        "preprocessing": graph.model.preprocessor.to_dict(),
        "versions": versions(),
    }


def _size(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


def put(made: Path, target: Path) -> None:
    """Put a file or folder in the place of an earlier one of the same file system, which stays where that fails.

    An earlier folder ends beside what was made, as `old`.

    Raises:
        OSError: no permission.
    """
    if not target.is_dir():
        made.replace(target)
        return
    # A folder takes the place of an empty name only.
    old = target.rename(made.with_name("old"))
    try:
        made.rename(target)
    except BaseException:
        old.rename(target)
        raise
