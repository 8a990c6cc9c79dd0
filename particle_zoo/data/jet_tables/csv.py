"""Tables in CSV, plain or gzipped; the first line names the columns."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from particle_zoo.cli import sentence
from particle_zoo.data.jet_tables.table import Block, JetTable, damaged
from particle_zoo.detectors.readers.format import opened as unpacked
from particle_zoo.errors import InputError

SEPARATORS = ",;\t"

LONGEST = 2**20
"""Bytes of a first line: what is longer is no list of names."""


@contextmanager
def opened(path: Path) -> Iterator[JetTable]:
    """The table of a file.

    Raises:
        InputError: no names in the first line, or a damaged file, also while it is read inside the block.
    """
    with unpacked(path) as stream:
        line = stream.readline(LONGEST)
    try:
        # Spreadsheets mark UTF-8 by a byte order mark, np.savetxt the names by a #.
        header = line.decode("utf-8-sig").lstrip("# ").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text; expected a CSV file whose first line names the columns") from error
    if b"\0" in line or not header.strip():
        raise InputError(f"{path} does not start with names of columns; expected them in its first line")
    separator = max(SEPARATORS, key=header.count)
    with damaged(path, "CSV"):
        names = [name.strip() for name in next(csv.reader([header], delimiter=separator))]
    if all(_is_number(name) for name in names):
        raise InputError(f"{path} starts with numbers; its first line must name the columns, e.g. pt,eta,phi,m")

    def blocks(columns: Sequence[str], rows: int) -> Iterator[Block]:
        with damaged(path, "CSV"):
            try:
                yield from _read(path, names, separator, columns, rows)
            except (pd.errors.ParserError, pd.errors.ParserWarning, UnicodeDecodeError) as error:
                raise InputError(
                    f"{path} is no table of {len(names)} columns ({sentence(str(error))[:120]}); write one value a "
                    f"column in each row"
                ) from error

    yield JetTable(path, tuple(names), blocks)


def _read(path: Path, names: list[str], separator: str, columns: Sequence[str], rows: int) -> Iterator[Block]:
    numbers = [names.index(name) for name in columns]
    first = 0
    with unpacked(path) as stream:
        parts = pd.read_csv(
            stream, sep=separator, header=None, skiprows=1, names=range(len(names)), index_col=False, chunksize=rows,
            low_memory=False, skipinitialspace=True,
        )  # fmt: skip
        while (part := _next(parts)) is not None:
            yield Block(part.iloc[:, numbers].set_axis(list(columns), axis=1).reset_index(drop=True), first)
            first += len(part)


def _next(parts: Iterator[pd.DataFrame]) -> pd.DataFrame | None:
    with warnings.catch_warnings():
        # Rows longer than the header: pandas would drop their ends with a warning.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return next(parts, None)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
