"""CCD clusters in the public layout of AsbjornPreuss/AppMLFinalProject (seed 003).

```
DIR/clusters.tar or DIR/clusters/   one CSV grid a cluster, file name = id; 0/1, or ADU on a background of 4000
DIR/labels/*.npy                    (2, n) integers: row 0 ids, row 1 classes 0..5
DIR/cluster_meta.csv                optional: cluster (id and rotation A-H), y, x, E (ADU), size
```
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from particle_zoo.cli import sentence
from particle_zoo.clusters import MASK_UNIT, Clusters
from particle_zoo.detectors.readers.format import Format, opened
from particle_zoo.errors import InputError

CLASSES = ("other", "xray", "electron", "muon", "several", "readout_error")
"""Class names in the order of the layout's codes 0..5."""

SENSOR = (4200, 4200)
"""Rows and columns no cluster can exceed: the sensor (4084 x 2035 px used) with its overscan, either way round."""

BACKGROUND = 4000
"""ADU around the pixels of a cluster in a grid of energies; the seed's clusters are the pixels above it."""


def read_cluster_csv(path: str | Path) -> Clusters:
    """Read one cluster from a comma-separated grid.

    A grid of 0 and 1 becomes a mask; any other is in ADU and its cluster are the pixels above the background of 4000
    that the seed writes around them. A cluster that fills its grid has none of it and keeps every pixel.

    Raises:
        InputError: text, rows of different length, no pixel above the background, or larger than the sensor.
    """
    path = Path(path)
    with opened(path) as stream:
        hits, unit = _parse(stream.read(), str(path))
    name = path.stem if path.suffix.lower() != ".gz" else Path(path.stem).stem
    return Clusters.from_list([hits], unit=unit, id=[name], label=[""], source=[path.name])


def read_folder(path: Path, grids: Sequence[Path] | None = None) -> Clusters:
    """Read every cluster CSV of a folder or tar archive; files whose name is no id are skipped.

    Args:
        path: folder or archive.
        grids: those of the folder's `files` to read; all by default.

    Raises:
        InputError: none found, a damaged one, or masks and energies mixed.
    """
    names, hits, units = [], [], []
    for name, content in _members(path, grids):
        grid, unit = _parse(content, f"{path}/{name}")
        names.append(name)
        hits.append(grid)
        units.append(unit)
    if not names:
        raise InputError(f"{path} holds no cluster CSV; expected files such as 001178.csv in it")
    if len(set(units)) > 1:
        odd = units.index("ADU")
        raise InputError(f"{path} mixes masks (0/1) and energies (first: {names[odd]}); keep them in separate folders")
    ids = [Path(name).stem for name in names]
    repeated = {i for i in ids if ids.count(i) > 1} if len(set(ids)) < len(ids) else set()
    if repeated:
        raise InputError(f"{path} holds the id {min(repeated)} more than once; keep one file an id")
    return Clusters.from_list(hits, unit=units[0], id=ids, label="", source=names)


def read_labelled(folder: str | Path) -> Clusters:
    """Read the labelled layout; table columns id, label, energy_sum (ADU, NaN where unknown), source.

    Raises:
        InputError: missing parts, labels without cluster, clusters without label, contradicting labels.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; expected clusters.tar or clusters/, and labels/*.npy in it")
    archive = next((folder / name for name in ("clusters.tar", "clusters") if (folder / name).exists()), None)
    if archive is None:
        raise InputError(
            f"{folder} holds neither clusters.tar nor clusters/; expected the layout of the public CCD set"
        )
    clusters = read_folder(archive)
    labels = _read_labels(folder / "labels")
    numbers = [_number(i) for i in clusters.ids]
    without = [i for i, number in zip(clusters.ids, numbers, strict=True) if number not in labels]
    if without:
        raise InputError(
            f"{len(without)} clusters of {archive} have no label (first: {without[0]}); add them to labels/*.npy or remove the files"
        )
    extra = sorted(set(labels) - set(numbers))
    if extra:
        raise InputError(
            f"{len(extra)} labels in {folder / 'labels'} belong to no cluster (first: {extra[0]}); add the CSV files or remove the labels"
        )
    energy = _read_energies(folder / "cluster_meta.csv")
    return clusters.with_table(
        label=[CLASSES[labels[number]] for number in numbers],
        energy_sum=[energy.get(number, np.nan) for number in numbers],
    )


def _number(name: str) -> int:
    # Files of a rotated copy carry a letter, 001178_A; labels never do.
    return int(name.partition("_")[0])


def is_id(name: str) -> bool:
    """Whether a name inside a folder is that of a cluster CSV, such as 001178.csv or 001178_A.csv."""
    path = Path(name)
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix == ".csv" and path.stem.partition("_")[0].isdigit() and not hidden


def files(folder: Path) -> list[Path]:
    """Cluster CSVs of a folder and of those below it, in order; hidden ones and names that are no id are skipped."""
    return sorted(p for p in folder.rglob("*.csv") if is_id(str(p.relative_to(folder))))


def _members(path: Path, grids: Sequence[Path] | None) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of the cluster files in order of their names."""
    if path.is_dir():
        for file in files(path) if grids is None else grids:
            yield file.name, file.read_bytes()
        return
    try:
        with tarfile.open(path) as archive:
            members = [m for m in archive.getmembers() if m.isfile() and is_id(m.name)]
            for member in sorted(members, key=lambda m: Path(m.name).name):
                stream = archive.extractfile(member)
                content = stream.read() if stream else b""
                if len(content) != member.size:
                    raise InputError(
                        f"{path} is truncated at byte {member.offset_data}, in {member.name}; copy it again"
                    )
                yield Path(member.name).name, content
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is a damaged tar archive ({sentence(str(error))[:120]}); copy it again") from error


def _parse(content: bytes, name: str) -> tuple[np.ndarray, str]:
    """(n, 3) row, col, energy of a CSV grid, and its unit."""
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}, byte {error.start}: not a number; expected comma-separated numbers") from error
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise InputError(f"{name} is empty; expected a grid of comma-separated numbers")
    width = lines[0].count(",")
    ragged = next((i for i, line in enumerate(lines) if line.count(",") != width), None)
    if ragged is not None:
        raise InputError(
            f"{name}, line {ragged + 1}: {lines[ragged].count(',') + 1} values, the lines above have {width + 1}; expected a rectangular grid"
        )
    if len(lines) > max(SENSOR) or width + 1 > max(SENSOR):
        raise InputError(
            f"{name}: {len(lines)} x {width + 1} px is larger than the sensor ({SENSOR[0]} x {SENSOR[1]}); expected one cluster a file"
        )
    try:
        grid = np.loadtxt(io.StringIO("\n".join(lines)), delimiter=",", ndmin=2, comments=None)
    except ValueError as error:
        line = next(i for i, row in enumerate(lines) if not _numeric(row))
        raise InputError(
            f"{name}, line {line + 1}: {lines[line][:40]!r} holds something that is no number; expected comma-separated numbers"
        ) from error
    if not np.isfinite(grid).all():
        raise InputError(
            f"{name}, line {int(np.argwhere(~np.isfinite(grid))[0][0]) + 1}: not a finite number; replace it"
        )
    mask = bool(np.isin(grid, (0, 1)).all())
    background = 0 if mask else BACKGROUND
    row, col = np.nonzero(grid > background)
    if not row.size:
        raise InputError(f"{name} has no pixel above its background ({background}); remove this empty cluster")
    return np.column_stack([row, col, grid[row, col]]).astype(np.float32), MASK_UNIT if mask else "ADU"


def _numeric(line: str) -> bool:
    try:
        [float(cell) for cell in line.split(",")]
    except ValueError:
        return False
    return True


def _read_labels(folder: Path) -> dict[int, int]:
    files = sorted(p for p in folder.glob("*.npy") if not p.name.startswith(".")) if folder.is_dir() else []
    if not files:
        raise InputError(f"{folder} holds no .npy files; expected arrays with ids in row 0 and classes in row 1")
    labels: dict[int, int] = {}
    for file in files:
        try:
            with file.open("rb") as stream:
                array = np.lib.format.read_array(stream, allow_pickle=False)
        # NumPy parses the header as Python source: a damaged one raises whatever its tokenizer and parser raise.
        except Exception as error:
            raise InputError(f"{file} is no NumPy array of numbers ({type(error).__name__}); copy it again") from error
        if array.ndim != 2 or array.shape[0] != 2 or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
            raise InputError(f"{file}: expected two rows, ids and classes; received shape {array.shape}, {array.dtype}")
        for number, code in array.T.astype(np.int64).tolist():
            if not 0 <= code < len(CLASSES):
                raise InputError(
                    f"{file}: class {code} of id {number} is none of 0..{len(CLASSES) - 1}; correct the label"
                )
            if labels.setdefault(number, code) != code:
                raise InputError(f"{file}: id {number} has the classes {labels[number]} and {code}; keep one")
    return labels


def _read_energies(path: Path) -> dict[int, float]:
    """Energy sum by id; rotations of a cluster share it."""
    if not path.exists():
        return {}
    try:
        table = pd.read_csv(path, usecols=["cluster", "E"])
        number = table["cluster"].astype(str).str.partition("_")[0].astype(np.int64)
        energy = table["E"].astype(float)
    except (ValueError, KeyError, UnicodeDecodeError, OverflowError) as error:
        raise InputError(
            f"{path} cannot be read ({str(error)[:80]}); expected a CSV with the columns cluster and E"
        ) from error
    known = energy > 0
    return dict(zip(number[known].tolist(), energy[known].tolist(), strict=True))


def _is_grid(start: bytes) -> bool:
    return b"," in start and re.fullmatch(rb"[0-9eE+.,\s-]+", start) is not None


# The fallback for text: other formats are asked first.
CSV_FORMAT = Format("cluster CSV", (".csv",), _is_grid, lambda path: iter((read_cluster_csv(path),)))
TAR_FORMAT = Format(
    "tar archive of cluster CSVs",
    (".tar", ".tar.gz", ".tgz"),
    lambda start: start[257:262] == b"ustar",
    lambda path: iter((read_folder(path),)),
)
