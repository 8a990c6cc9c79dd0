"""The configuration `files`: clusters of the user's own detector files of any format."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pydantic

from particle_zoo.cli import read_json
from particle_zoo.clusters import Clusters
from particle_zoo.data import splits
from particle_zoo.data.mix import Balanced
from particle_zoo.detectors.chain import iter_clusters
from particle_zoo.detectors.pixel_calibration import TYPICAL, read_calibration
from particle_zoo.detectors.readers import FORMATS
from particle_zoo.detectors.readers.folder import is_told_twice
from particle_zoo.detectors.readers.format import find_among_others
from particle_zoo.errors import InputError

CLUSTERING = "clustering.json"
"""Beside the files: how to cluster them, where that differs from the defaults."""


VERSION = 2
"""Raised whenever reading or clustering changes what files give: earlier preparations are then not taken any more."""


class Clustering(pydantic.BaseModel):
    """Content of `clustering.json`; see `particle_zoo.detectors.clustering.cluster`.

    Args:
        window_ns: hits of a stream belong together within this time.
        min_size: smallest cluster, px.
        connectivity: 4 or 8 neighbours.
        disorder_ns: how far a stream may be out of order; None is the default of the clustering.
        threshold: pixels of frames above it are hits; None is the default of the clustering.
        calibration: folder in this one with a.txt, b.txt, c.txt, t.txt (or chip0, chip1, ... with these), that turns ToT
            into keV; "typical" for typical values.
        options: of the files' format, e.g. {"unit": "ToT"} or {"mode": "toa+tot"}.
        balanced: flatten the sizes of the clusters in each split, by these settings or (true) the defaults.
    """

    model_config = pydantic.ConfigDict(extra="forbid")

    window_ns: float = pydantic.Field(200.0, gt=0)
    min_size: int = pydantic.Field(1, ge=1)
    connectivity: Literal[4, 8] = 8
    disorder_ns: float | None = pydantic.Field(None, gt=0)
    threshold: float | None = None
    calibration: str | None = None
    options: dict[str, Any] = {}
    balanced: Balanced = None


def settings(folder: Path) -> Clustering:
    """How to cluster the files of a folder: its `clustering.json` where there is one, else the defaults.

    Raises:
        InputError: the file holds something else, or names a calibration that is not there.
    """
    path = folder / CLUSTERING
    try:
        found = Clustering(**(read_json(path, what="clustering settings") if path.exists() else {}))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        name = first["loc"][0] if first["loc"] else "settings"
        raise InputError(f"{path}: {name}: {first['msg']}; it may set {', '.join(Clustering.model_fields)}") from error
    if found.calibration not in (None, TYPICAL) and not (folder / str(found.calibration)).is_dir():
        raise InputError(f"{path}: there is no calibration {folder / found.calibration}; correct the name")
    return found


def find(folder: Path) -> list[Path]:
    """The detector files of a folder and the folders below it, in order.

    Left out are hidden files, the calibration, files that only accompany others or hold sums of their clusters, and files of no
    known format.

    Raises:
        InputError: there are none.
    """
    calibration = settings(folder).calibration
    aside = {folder / CLUSTERING} | ({folder / calibration} if calibration else set())
    found = []
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if (
            path.is_file()
            and not hidden
            and not aside & {path, *path.parents}
            and (form := find_among_others(path, FORMATS)) is not None
            and not is_told_twice(path, form)
        ):
            found.append(path)
    if not found:
        raise InputError(f"{folder} holds no file of a known format; put your detector files there, or in sub-folders")
    return found


def read_with(folder: Path) -> list[Path]:
    """Everything the clusters depend on: the files of `find`, settings, calibration, and what accompanies a file.

    A description or an index has the name of its file with another or a further ending.
    """
    needed = set(find(folder))
    for path in tuple(needed):
        needed.update(other for other in path.parent.glob(f"{glob.escape(path.stem)}*") if other.is_file())
    settings_file, calibration = folder / CLUSTERING, settings(folder).calibration
    needed.update({settings_file} & set(folder.iterdir()))
    if calibration:
        place = folder / calibration
        needed.update([place] if place.is_file() else (path for path in place.rglob("*") if path.is_file()))
    return sorted(needed)


def classes(folder: Path) -> tuple[str, ...]:
    """Names of the sub-folders that hold files, where several do; otherwise the files are unlabelled."""
    names = sorted({_top(path, folder) for path in find(folder)} - {""})
    return tuple(names) if len(names) > 1 else ()


def clusters(folder: Path, path: Path, known: tuple[str, ...]) -> Iterator[Clusters]:
    """Yield the clusters of one file with id, label, source and `in_split`.

    Ids are those of the file behind its name in the folder, so that they differ between files.

    Args:
        folder: the manual directory.
        path: one of `find`.
        known: `classes`.
    """
    name = path.relative_to(folder).as_posix()
    label = _top(path, folder) if known else ""
    for part in _read(path, settings(folder).model_dump(exclude_none=True, exclude={"balanced"}), folder):
        if len(part):
            ids = [f"{name}:{own.removeprefix(f'{path.name}:')}" for own in part.ids]
            yield part.with_table(id=ids, label=label, source=name, in_split=[splits.assign_one(i) for i in ids])


def _top(path: Path, folder: Path) -> str:
    parts = path.relative_to(folder).parts
    return parts[0] if len(parts) > 1 else ""


def _read(path: Path, options: dict[str, Any], folder: Path) -> Iterator[Clusters]:
    own = options.pop("calibration", None)
    calibration = None if own is None else read_calibration(own if own == TYPICAL else folder / own)
    reading = options.pop("options", {})
    yield from iter_clusters(path, calibration=calibration, ignore_unknown=True, **options, **reading)
