"""Folders that the package writes to: where they are, whether they can be written, how much room there is."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from particle_zoo.cache import cache_dir
from particle_zoo.diagnosis.backend import keras_home
from particle_zoo.diagnosis.finding import Finding

ROOM_GB = 2.0
"""Less free space than this is worth a word."""


@dataclass(frozen=True)
class Folder:
    """A folder that is written to.

    Args:
        purpose: what lies there.
        path: of the folder, which may not exist yet.
        problem: why it cannot be read and written; "" if it can.
        free_gb: room on its disk; None if the system does not say.
        elsewhere: how to choose another one.
    """

    purpose: str
    path: Path
    problem: str
    free_gb: float | None
    elsewhere: str

    @property
    def finding(self) -> Finding | None:
        """What is wrong with it."""
        if self.problem:
            return Finding(
                f"the folder of {self.purpose}, {self.path}, cannot be used ({self.problem})", self.elsewhere
            )
        if self.free_gb is not None and self.free_gb < ROOM_GB:
            return Finding(f"only {self.free_gb:.1f} GB are free for {self.purpose} in {self.path}", self.elsewhere)
        return None


def folders() -> list[Folder]:
    """Those of runs, published weights, data sets and Keras."""
    sets = os.environ.get("TFDS_DATA_DIR") or Path("~").expanduser() / "tensorflow_datasets"
    return [
        look("runs", Path("runs").absolute(), "give --output, or start in another folder"),
        look(
            "published weights",
            cache_dir(),
            "set the environment variable PARTICLE_ZOO_HOME to a folder of yours",
        ),
        look("data sets", Path(sets), "give --data-dir, or set the environment variable TFDS_DATA_DIR"),
        look("Keras", keras_home(), "set the environment variable KERAS_HOME to a folder of yours"),
    ]


def look(purpose: str, path: Path, elsewhere: str) -> Folder:
    """Try a folder; nothing stays in it, and it is not created."""
    try:
        base = next(part for part in (path, *path.absolute().parents) if part.exists())
        if not base.is_dir():
            return Folder(purpose, path, f"{base} is a file", None, elsewhere)
        next(base.iterdir(), None)
        with tempfile.TemporaryFile(dir=base):
            pass
        return Folder(purpose, path, "", round(shutil.disk_usage(base).free / 1e9, 1), elsewhere)
    except OSError as error:
        return Folder(purpose, path, error.strerror or str(error), None, elsewhere)
