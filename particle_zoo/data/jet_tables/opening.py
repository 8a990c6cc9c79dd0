"""The format of a file: by its content, then by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from particle_zoo.data.jet_tables import csv, parquet
from particle_zoo.data.jet_tables.table import JetTable
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
    opened: Callable[[Path], AbstractContextManager[JetTable]]


FORMATS = (
    TableFormat("parquet", (".parquet",), b"PAR1", parquet.opened),
    TableFormat("CSV", (".csv", ".csv.gz"), b"", csv.opened),
)

SUFFIXES = tuple(suffix for found in FORMATS for suffix in found.suffixes)
"""Endings of files that are read."""


@contextmanager
def open_table(path: Path, tree: str | None = None) -> Iterator[JetTable]:
    """The table of a file, closed at the end of the block."""
    named = next((found for found in FORMATS if path.name.lower().endswith(found.suffixes)), None)
    if named is None:
        raise InputError(f"{path} is of no format known here; expected one of {', '.join(SUFFIXES)}")
    with named.opened(path) as table:
        yield table
