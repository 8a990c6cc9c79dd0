"""`.t3pa`: the hit table of Timepix3 written by Pixet.

Columns `Index, Matrix Index, ToA, ToT, FToA, Overflow`, separated by tabs, spaces or semicolons. The pixel is
Matrix Index = 256 y + x in bits 0-15, the chip is in the bits above. ToA and ToT count 25 ns, FToA 1.5625 ns (5 bits in
the export): t = 25 ToA - 1.5625 FToA. Index restarts where a measurement was appended and is not used. Rows with
Overflow = 1 are no hits but mark lost data (Matrix Index 0x74 its start, 0x75 its end); with several chips the column
repeats the chip instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from particle_zoo.detectors.hits import Hits
from particle_zoo.detectors.readers.format import Format
from particle_zoo.errors import InputError

COLUMNS = ("Index", "Matrix Index", "ToA", "ToT", "FToA", "Overflow")
HEADER = re.compile(rb"\s*Index\s*[\t; ]\s*Matrix Index\b")
CHUNK = 2**20
LOST_FROM, LOST_TO = 0x74, 0x75
LARGEST_TOA = 2**58
"""25 ns counts; the time in steps still fits into 63 bits."""


def iter_hits(path: str | Path, *, chunk: int = CHUNK) -> Iterator[Hits]:
    """Yield the hits in file order, `chunk` rows at a time, in ToT.

    Raises:
        InputError: no header, a row that is not six whole numbers, or a value out of its range; names the line.
    """
    path = Path(path)
    separator = _separator(path)
    done = 0
    try:
        with pd.read_csv(
            path, sep=separator, header=None, skiprows=1, names=list(COLUMNS), dtype=np.int64, chunksize=chunk,
            index_col=False, engine="c",
        ) as tables:  # fmt: skip
            for table in tables:
                columns = {name: table[name].to_numpy() for name in COLUMNS}
                yield _hits(path, columns, done)
                done += len(table)
    except InputError:
        raise
    except (ValueError, OverflowError, OSError) as error:
        raise InputError(f"{path}, {_place(path, separator)}; copy the file again") from error


def read(path: str | Path) -> Hits:
    """All hits of a file."""
    parts = list(iter_hits(path))
    return Hits.concat(parts) if parts else Hits.empty()


def _hits(path: Path, columns: dict[str, np.ndarray], before: int) -> Hits:
    matrix, overflow = columns["Matrix Index"], columns["Overflow"]
    chip = matrix >> 16
    lost = (overflow == 1) & (chip != 1)
    wrong = {
        "Overflow": ~lost & (overflow != 0) & (overflow != chip),
        "Matrix Index": (matrix < 0) | (chip > 255),
        "ToA": (columns["ToA"] < 0) | (columns["ToA"] > LARGEST_TOA),
        "ToT": (columns["ToT"] < 0) | (columns["ToT"] > 2**16),
        "FToA": (columns["FToA"] < 0) | (columns["FToA"] > 31),
    }
    for name, bad in wrong.items():
        if bad.any():
            i = int(bad.argmax())
            raise InputError(
                f"{path}, data row {before + i + 1}: {name} is {columns[name][i]}, which no Timepix3 sends; "
                "copy the file again"
            )
    starts, ends = (int((lost & (matrix == code)).sum()) for code in (LOST_FROM, LOST_TO))
    others = int(lost.sum()) - starts - ends
    hit = ~lost
    row, col = np.divmod(matrix[hit] & 0xFFFF, 256)
    toa = 16 * columns["ToA"][hit] - columns["FToA"][hit]
    return Hits(row, col, columns["ToT"][hit], toa, chip[hit], "ToT", max(starts, ends) + others)


def _separator(path: Path) -> str:
    try:
        with path.open("rb") as file:
            header, first = file.readline(1000), file.readline(1000)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a readable .t3pa file") from error
    if not HEADER.match(header):
        raise InputError(
            f"{path}, line 1: expected the header {', '.join(COLUMNS)}; received {header[:40]!r}; export it again"
        )
    # The header's "Matrix Index" has a space of its own, so a data row decides, where there is one.
    line = first if first.strip() else header.replace(b"Matrix Index", b"Matrix")
    return "\t" if b"\t" in line else ";" if b";" in line else r"\s+"


def _place(path: Path, separator: str) -> str:
    """The first line that is not six whole numbers; only looked for once the compiled parser has stopped."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if number == 1 or not line.strip():
                continue
            cells = line.split() if separator == r"\s+" else line.strip().split(separator.encode())
            if len(cells) != len(COLUMNS):
                return f"line {number}: expected {len(COLUMNS)} columns, received {len(cells)}"
            odd = next((c for c in cells if not re.fullmatch(rb"\s*[-+]?\d{1,18}\s*", c)), None)
            if odd is not None:
                return f"line {number}: {odd[:20]!r} is no whole number"
    return "after the last complete line: the rows cannot be parsed"


FORMAT = Format(".t3pa", (".t3pa",), lambda start: HEADER.match(start) is not None, iter_hits, ("chunk",))
