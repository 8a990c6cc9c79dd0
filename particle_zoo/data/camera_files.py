"""The configuration `files` of `camera_frames`: the user's own runs of any format."""

from __future__ import annotations

import filecmp
import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydantic

from particle_zoo.cli import read_json
from particle_zoo.data import splits
from particle_zoo.data.camera_source import SPLITS, Frame
from particle_zoo.detectors.camera import CameraFrames, open_frames
from particle_zoo.detectors.camera.source import size
from particle_zoo.errors import InputError

FILES = "files"
"""Name of the configuration."""

PEDESTAL, SIGNAL = "pedestal", "signal"
"""Sub-folders: dark frames that are still to be split, and frames with light."""

READING = "frames.json"
"""Beside the sub-folders: how to read the files, where that differs from the defaults."""

LEAST = 10
"""Fewest dark frames to train on."""

HEAD = 2**16
"""Bytes of a file that are compared before the whole of it is."""

EXPECTED = (
    "put dark frames into its sub-folder pedestal, or into pedestal_train, pedestal_calibration and pedestal_test, and "
    "frames with light, if any, into signal"
)

VERSION = 1
"""Raised whenever reading or splitting changes what files give."""


class Reading(pydantic.BaseModel):
    """Content of `frames.json`; see `particle_zoo.detectors.camera.open_frames`.

    Args:
        transpose: exchange rows and columns.
        rotate: quarter turns counterclockwise, after the transposition.
        options: of the files' format, e.g. {"partial_run": true} or {"dataset": "images"}.
    """

    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    transpose: bool = False
    rotate: int = 0
    options: dict[str, Any] = {}


@dataclass(frozen=True, eq=False)
class UserFiles:
    """Frames of a folder; see `particle_zoo.data.camera_source.FrameSource`.

    Args:
        folder: with the sub-folders.
        runs: the frames of each split that has some, still unread.
    """

    folder: Path
    runs: dict[str, CameraFrames]

    @classmethod
    def of(cls, folder: Path | None) -> UserFiles:
        """The frames of a folder.

        Raises:
            InputError: no folder, sub-folders missing, empty or in two ways, too few dark frames, frames of different
                sizes, a file twice, or unreadable files.
        """
        if folder is None:
            raise InputError(f"camera_frames/{FILES} reads your own files; name their folder with --manual-dir")
        if not folder.is_dir():
            raise InputError(f"--manual-dir {folder} is no folder; name the folder with your files")
        names = _sub_folders(folder)
        reading = read_settings(folder)
        opened = {name: _open(folder, name, reading) for name in names}
        _check_sizes(folder, opened)
        _check_copies(folder, opened)
        if PEDESTAL in opened:
            opened = _split(folder, opened.pop(PEDESTAL)) | opened
        if len(opened[SPLITS[0]]) < LEAST:
            raise InputError(
                f"{folder} gives {len(opened[SPLITS[0]])} dark frames to train on, of {LEAST} or more needed; add some"
            )
        return cls(folder, {name: opened[name] for name in SPLITS if name in opened})

    @property
    def config(self) -> str:
        """Name of the configuration."""
        return FILES

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have frames, in order."""
        return tuple(self.runs)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of every frame."""
        rows, cols = self.runs[SPLITS[0]].shape[1:]
        return rows, cols

    @property
    def fingerprint(self) -> str:
        """Hex digest of names and contents of everything the frames depend on."""
        digest = hashlib.sha256(f"{FILES}{VERSION}".encode())
        settings = self.folder / READING
        for path in (*([settings] if settings.exists() else []), *_files(self.runs)):
            digest.update(f"\0{path.relative_to(self.folder).as_posix()}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()[:16]

    def run(self, split: str) -> CameraFrames:
        """The frames of a split, read from the files when they are asked for."""
        return self.runs[split]

    def table(self, split: str) -> pd.DataFrame:
        """One row a frame: `frame` (number in the file), `source` (the file), `id` and what else the file says."""
        return self.runs[split].table

    def frames(self, split: str) -> Iterator[Frame]:
        """Yield the frames of a split.

        Raises:
            InputError: a damaged file.
        """
        return iter(self.runs[split])


def read_settings(folder: Path) -> Reading:
    """How to read the files of a folder: its `frames.json` where there is one, else the defaults.

    Raises:
        InputError: the file holds something else.
    """
    path = folder / READING
    try:
        return Reading(**(read_json(path, what="reading settings") if path.exists() else {}))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        name = first["loc"][0] if first["loc"] else "settings"
        raise InputError(f"{path}: {name}: {first['msg']}; it may set {', '.join(Reading.model_fields)}") from error


def _sub_folders(folder: Path) -> list[str]:
    found = [name for name in (PEDESTAL, *SPLITS) if (folder / name).is_dir()]
    dark = [name for name in found if name != SIGNAL]
    if not dark:
        raise InputError(f"{folder} has no sub-folder of dark frames; {EXPECTED}")
    if PEDESTAL in dark and len(dark) > 1:
        raise InputError(f"{folder} has both {PEDESTAL} and {dark[1]}; keep one of the two ways: {EXPECTED}")
    if PEDESTAL not in dark and len(dark) < 3:
        missing = next(name for name in SPLITS if name not in found)
        raise InputError(f"{folder} has {dark[0]} but no {missing}; {EXPECTED}")
    return found


def _open(folder: Path, name: str, reading: Reading) -> CameraFrames:
    run = open_frames(folder / name, transpose=reading.transpose, rotate=reading.rotate, **reading.options)
    return CameraFrames(
        tuple(
            replace(s, table=s.table.assign(id=[f"{name}/{Path(s.path).name}:{k}" for k in s.table["frame"]]))
            for s in run.sources
        )
    )


def _split(folder: Path, run: CameraFrames) -> dict[str, CameraFrames]:
    ids = run.table["id"].to_numpy(str)
    # The shares of train, validation and test; a frame's place does not depend on the order of the files.
    given = splits.assign(ids, np.full(len(ids), PEDESTAL))
    parts = {name: np.flatnonzero(given == own) for name, own in zip(SPLITS, splits.SPLITS, strict=False)}
    if len(parts[SPLITS[0]]) < LEAST or not all(map(len, parts.values())):
        raise InputError(f"{folder / PEDESTAL} has {len(ids)} frames, of which 70 % are to train on; give 15 or more")
    return {name: run[positions] for name, positions in parts.items()}


def _check_sizes(folder: Path, opened: dict[str, CameraFrames]) -> None:
    (first, run), *others = opened.items()
    for name, other in others:
        if other.shape[1:] != run.shape[1:]:
            raise InputError(
                f"{folder / name} has frames of {size(other.shape[1:])}, {first} of {size(run.shape[1:])}; "
                f"give frames of one camera and one binning"
            )


def _check_copies(folder: Path, opened: dict[str, CameraFrames]) -> None:
    alike: defaultdict[tuple[int, bytes], list[Path]] = defaultdict(list)
    for path in _files(opened):
        with path.open("rb") as file:
            alike[path.stat().st_size, hashlib.sha256(file.read(HEAD)).digest()].append(path)
    for one, other in (pair for paths in alike.values() for pair in combinations(paths, 2)):
        if filecmp.cmp(one, other, shallow=False):
            raise InputError(
                f"{other.relative_to(folder)} is a copy of {one.relative_to(folder)}, so that a model would be judged by "
                f"frames it has seen; remove one of them"
            )


def _files(runs: dict[str, CameraFrames]) -> list[Path]:
    return sorted({Path(source.path) for run in runs.values() for source in run.sources})
