"""The format of a file of jets: by its content, then by its name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from particle_zoo.data.jet_tables import csv, hdf5, parquet, root
from particle_zoo.data.jet_tables.table import JetTable
from particle_zoo.detectors.readers.format import head
from particle_zoo.errors import InputError


@dataclass(frozen=True)
class TableFormat:
    """One format of tables.

    Args:
        name: what it is called, for error sentences.
        suffixes: endings of its file names, lower case.
        magic: first bytes of its files; text has none.
        opened: the table of a file, as a context.
    """

    name: str
    suffixes: tuple[str, ...]
    magic: bytes
    opened: Callable[..., AbstractContextManager[JetTable]]


ROOT = TableFormat("ROOT", (".root",), b"root", root.opened)
HDF5 = TableFormat("HDF5", (".h5", ".hdf5", ".hdf"), b"\x89HDF\r\n\x1a\n", hdf5.opened)
CSV = TableFormat("CSV", (".csv", ".csv.gz"), b"", csv.opened)
PARQUET = TableFormat("parquet", (".parquet",), b"PAR1", parquet.opened)
FORMATS = (PARQUET, HDF5, CSV, ROOT)

SUFFIXES = tuple(suffix for found in FORMATS for suffix in found.suffixes)
"""Endings of files that are read."""

PICKLES = (".pkl", ".pickle")


def open_table(path: Path, tree: str | None = None) -> AbstractContextManager[JetTable]:
    """The table of a file, as a context that closes it.

    Args:
        path: the file.
        tree: of a ROOT file with several.

    Raises:
        InputError: no file, empty, of no format known here, of another than its name says, or a tree of no ROOT file.
    """
    found = _find(path)
    if found is ROOT:
        return found.opened(path, tree)
    if tree is not None:
        raise InputError(f"{path} is {found.name}, which has no trees; leave out tree={tree}")
    return found.opened(path)


def _find(path: Path) -> TableFormat:
    if path.is_dir():
        raise InputError(f"{path} is a folder; name one of the files in it")
    if not path.exists():
        raise InputError(f"{path} is no file; name a file of jets ({', '.join(SUFFIXES)})")
    if not path.stat().st_size:
        raise InputError(f"{path} is empty; give a file with jets")
    # Unpacked where it is gzipped: what is inside counts, too.
    start = head(path)
    named = next((found for found in FORMATS if path.name.lower().endswith(found.suffixes)), None)
    content = next((found for found in FORMATS if found.magic and start.startswith(found.magic)), None)
    if named is HDF5 and content is None and _has_user_block(path):
        content = HDF5
    if content is not None and _gzipped(path):
        raise InputError(f"{path} is a gzipped {content.name} file; unpack it first")
    if content is not None and named not in (None, content):
        raise InputError(f"{path} holds {content.name}, though its name says {named.name}; rename it")
    if content is None and named is not None and named.magic:
        raise InputError(f"{path} is no {named.name} file (it starts with {start[:12]!r}); copy it again or rename it")
    if path.suffix.lower() in PICKLES:
        raise InputError(
            f"{path} is a pickle, which can run code when it is opened; write its table to parquet first (pandas.read_pickle "
            f"and to_parquet, if you trust it)"
        )
    chosen = content or named
    if chosen is None:
        raise InputError(
            f"{path} is of no format known here (it starts with {start[:12]!r}); expected one of {', '.join(SUFFIXES)}"
        )
    return chosen


def _has_user_block(path: Path) -> bool:
    import h5py

    # The signature may stand behind a block of the user's own, at 512 bytes or a power of two times that.
    return bool(h5py.is_hdf5(path))


def _gzipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"
