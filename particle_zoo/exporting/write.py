"""From a trained model to a checked file for another runtime."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np

from particle_zoo.cli import read_json, sentence, write_json
from particle_zoo.errors import FormatRefusedError, InputError
from particle_zoo.exporting import check, families
from particle_zoo.exporting.formats import FORMATS, OPSET, Runner
from particle_zoo.exporting.graph import Graph
from particle_zoo.training.run_folder import versions
from particle_zoo.weights import WEIGHTS, load_run, locate, sha256

Result = TypeVar("Result")

TOLERANCE = 1e-4
"""Largest difference from Keras of a file without quantisation, in shares of the largest output."""

DISK = ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EIO")
"""Failures of a disk, which TensorFlow raises as errors of its own with the words of the system in them."""

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
        FormatRefusedError: a graph that the format cannot express, or a file that cannot be run or does not say what Keras says.
            Nothing is written with any of them.
        OSError: no room or no permission to write; nothing is written, either.
        MemoryError: too little memory for the conversion; nothing is written, either.
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
    quantised = kind.endswith("int8")
    fresh = not output.exists()
    scratch = output / f".{model.zoo_name}.{os.getpid()}.tmp"
    try:
        scratch.mkdir(parents=True)
        made = scratch / target.name
        run = _runner(graph, kind, made, target)
        found = check.compare(graph, run, tried)
        # Python's maximum loses a NaN behind a number.
        worst = float(np.max(list(found["difference"].values())))
        where = f"on {tried.n} examples ({tried.name})"
        if not np.isfinite(worst):
            raise FormatRefusedError(
                f"{kind} gives NaN or infinity, or Keras does, {where}; no file was written; {_instead(kind)}"
            )
        if worst > TOLERANCE and not quantised:
            raise FormatRefusedError(
                f"{kind} differs from Keras by {worst:.2g} of the largest output {where}, and {TOLERANCE:g} is allowed; no file was "
                f"written; {_instead(kind)}"
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


def _instead(kind: str) -> str:
    """What to do where a format is at fault."""
    return "leave out --int8" if kind.endswith("int8") else "try another --format"


def _runner(graph: Graph, kind: str, made: Path, target: Path) -> Runner:
    """Write a graph, and give what runs the file.

    Args:
        graph: to write.
        kind: a name in `FORMATS`.
        made: file or folder to write for now.
        target: what it is to become, for messages.

    Raises:
        FormatRefusedError: of this and of the function that is returned: the format or its runtime does not take the graph.
        OSError: no room or no permission to write.
        MemoryError: too little memory.
    """
    form, name = FORMATS[kind], graph.model.zoo_name
    _guarded(form.write, f"{name} cannot be written as {kind}", kind, target)(graph, made)
    opened = _guarded(form.open, f"{name} cannot be opened as {kind}", kind, target)(made)
    return _guarded(opened, f"{name} cannot be run as {kind}", kind, target)


def _guarded(call: Callable[..., Result], failed: str, kind: str, target: Path) -> Callable[..., Result]:
    """The same function, whose errors are those of the format, unless they are of the disk or memory, which say nothing of it."""
    import tensorflow as tf

    def guarded(*args: Any) -> Result:
        try:
            return call(*args)
        except InputError as error:
            raise FormatRefusedError(str(error)) from error
        except MemoryError:
            raise
        # Converters raise types of their own, some straight from Exception, with all of the graph in their messages.
        except Exception as error:
            # Without a number of the system it is of a library that cannot be loaded, say.
            if isinstance(error, OSError) and error.errno is not None:
                # What a full disk raises does not say which file had no room.
                error.filename = error.filename or str(target)
                raise
            text = sentence(str(error)) or type(error).__name__
            numbers = (getattr(errno, name) for name in DISK)
            number = next((one for one in numbers if os.strerror(one) in text), None)
            if number is not None:
                raise OSError(number, os.strerror(number), str(target)) from error
            if isinstance(error, tf.errors.ResourceExhaustedError):
                raise MemoryError(text[:200]) from error
            raise FormatRefusedError(f"{failed}: {text[:200]}; {_instead(kind)}") from error

    return guarded


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
