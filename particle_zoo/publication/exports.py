"""How large, how fast and how true a published model is in the formats that `particle_zoo.export` writes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from particle_zoo.errors import FormatRefusedError
from particle_zoo.exporting.formats import FORMATS
from particle_zoo.exporting.write import check_backend, export
from particle_zoo.weights import task_of

EXAMPLES = 100

FRAMES = 10
"""Examples of camera models: a whole frame takes a second in each of five runtimes."""

KEPT = ("bytes", "difference", "rms", "agreement", "accuracy", "accuracy_keras", "latency", "versions")
"""Of an entry of NAME.export.json."""


def check_formats() -> None:
    """See that every format can be written and run here.

    Raises:
        InputError: a package is missing, or Keras runs on another backend than TensorFlow.
    """
    check_backend()
    for form in FORMATS.values():
        form.check()


def exports(folder: Path, *, dataset: str | None = None) -> dict[str, dict[str, Any]]:
    """Export a model in every format, run each file in its own runtime beside Keras, and throw it away.

    Args:
        folder: published, or of a run.
        dataset: NAME[/CONFIG] whose test split the files are tried on; None for examples simulated anew.

    Returns:
        By format what is in `KEPT`; `refused`, a sentence, where the format cannot hold the graph or says something else.

    Raises:
        InputError: unusable weights or data.
    """
    found: dict[str, dict[str, Any]] = {}
    n = FRAMES if task_of(folder) == "anomaly" else EXAMPLES
    options = {"dataset": dataset, "data_dir": None, "manual_dir": None, "split": "test"}
    for kind in FORMATS:
        click.echo(f"export {folder} as {kind}", err=True)
        with tempfile.TemporaryDirectory(prefix="particle-zoo.") as scratch:
            try:
                entry = export(folder, kind, Path(scratch), examples=n, seed=0, force=False, options=options)
            except FormatRefusedError as error:
                found[kind] = {"refused": str(error)}
                continue
        found[kind] = {key: entry[key] for key in KEPT if key in entry} | {"examples": entry["examples"]}
    return found
