"""`JetTable`: an open file with columns, whatever its format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from particle_zoo.cli import sentence
from particle_zoo.errors import InputError

UNIT, ORIGIN = "particle_zoo_unit", "particle_zoo_decoded"
"""Metadata of parquet files and attributes of HDF5 files: unit of the energies, and what the jets were decoded by, as JSON."""

SHOWN = 8
"""Names of a list in an error."""


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows of a table, one a jet.

    Args:
        frame: the columns that were asked for.
        first: number of the first row in the file, from 0.
        entries: (n,) int64 entry of each jet, where a row of the file is an event with a list of jets.
        repeated: columns with one value an entry, which is repeated for each of its jets.
    """

    frame: pd.DataFrame
    first: int
    entries: np.ndarray | None = None
    repeated: tuple[str, ...] = ()

    def place(self, position: int) -> str:
        """Where a row of the block is in the file, for error sentences."""
        if self.entries is None:
            return f"row {self.first + position}"
        entry = self.entries[position]
        return f"entry {entry}, jet {position - int(np.searchsorted(self.entries, entry))}"


@dataclass(frozen=True, eq=False)
class JetTable:
    """An open file.

    Args:
        path: the file.
        columns: names of what it has.
        blocks: the rows of some columns, at most so many rows of the file at a time.
        unit: of its energies, where the file states one.
        explain: what is wrong with a name that is no column, where the file has something of the kind.
        decoded: whether the file says that an autoencoder made its jets.
    """

    path: Path
    columns: tuple[str, ...]
    blocks: Callable[[Sequence[str], int], Iterator[Block]]
    unit: str | None = None
    explain: Callable[[str], str | None] = lambda name: None
    decoded: bool = False


@contextmanager
def damaged(path: Path, kind: str) -> Iterator[None]:
    """Turn what a library raises about a damaged file into one sentence.

    Raises:
        InputError: whatever went wrong in the block.
    """
    try:
        yield
    except InputError:
        raise
    # Parsers of foreign binary files raise whatever a wrong byte leads them to.
    except Exception as error:
        said = sentence(str(error))[:120] or type(error).__name__
        raise InputError(f"{path} is a damaged {kind} file ({said}); copy it again") from error


def shortened(names: Sequence[str]) -> str:
    """The first names of a list, and how many there are."""
    more = f", ... ({len(names)} in all)" if len(names) > SHOWN else ""
    # A damaged file has names with line breaks in them.
    return sentence(", ".join(names[:SHOWN]) + more) or "nothing"
