"""`.t3pa`: the hit table of Timepix3 written by Pixet.

Columns `Index, Matrix Index, ToA, ToT, FToA, Overflow`, separated by tabs, spaces or semicolons. The pixel is
Matrix Index = 256 y + x in bits 0-15, the chip is in the bits above. ToA and ToT count 25 ns, FToA 1.5625 ns (5 bits in
the export): t = 25 ToA - 1.5625 FToA. Index restarts where a measurement was appended and is not used; where the time
starts anew too, a new run begins. Rows with
Overflow = 1 are no hits but mark lost data (Matrix Index 0x74 its start, 0x75 its end); with several chips the column
repeats the chip instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from particle_zoo.detectors.hits import STEP_NS, Hits
from particle_zoo.detectors.readers.format import Format, check_count, opened
from particle_zoo.errors import InputError

COLUMNS = ("Index", "Matrix Index", "ToA", "ToT", "FToA", "Overflow")
HEADER = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*" + rb"\s*[\t; ]\s*".join(name.encode() for name in COLUMNS) + rb"\s*$", re.MULTILINE
)
"""Of the file, perhaps behind a byte order mark."""

CHUNK = 2**19
LOST_FROM, LOST_TO = 0x74, 0x75
LARGEST_TOA = 2**58
"""25 ns counts; the time in steps still fits into 63 bits."""


def iter_hits(path: str | Path, *, chunk: int = CHUNK) -> Iterator[Hits]:
    """Yield the hits in file order, `chunk` rows at a time, in ToT.

    Raises:
        InputError: no header, a row that is not six whole numbers, or a value out of its range; names the line.
    """
    path = Path(path)
    check_count("chunk", chunk)
    separator = _separator(path)
    done, clock = 0, Clock()
    try:
        with opened(path) as file, pd.read_csv(
            file, sep=separator, header=None, skiprows=1, names=list(COLUMNS), dtype=np.int64, chunksize=chunk,
            index_col=False, engine="c",
        ) as tables:  # fmt: skip
            for table in tables:
                columns = {name: table[name].to_numpy() for name in COLUMNS}
                yield to_hits(columns, clock, lambda i, done=done: f"{path}, data row {done + i + 1}")  # type: ignore[misc]
                done += len(table)
    except InputError:
        raise
    except (ValueError, OverflowError, OSError) as error:
        raise InputError(f"{path}, {_place(path, separator)}; copy the file again") from error


def read(path: str | Path) -> Hits:
    """All hits of a file."""
    parts = list(iter_hits(path))
    return Hits.concat(parts) if parts else Hits.empty()


def to_hits(columns: dict[str, np.ndarray], clock: Clock, place: Callable[[int], str]) -> Hits:
    """Hits of the columns of Pixet's table.

    Args:
        columns: (n,) int64 by name, as `COLUMNS` without the index.
        clock: goes on from block to block.
        place: where row i is, for the error sentence.

    Raises:
        InputError: a value out of its range.
    """
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
            raise InputError(f"{place(i)}: {name} is {columns[name][i]}, which no Timepix3 sends; copy the file again")
    starts, ends = (int((lost & (matrix == code)).sum()) for code in (LOST_FROM, LOST_TO))
    others = int(lost.sum()) - starts - ends
    hit = slice(None) if not lost.any() else ~lost
    row, col = (matrix[hit] >> 8) & 0xFF, matrix[hit] & 0xFF
    toa = 16 * columns["ToA"][hit] - columns["FToA"][hit]
    run = clock.runs(toa, place)
    return Hits(row, col, columns["ToT"][hit], toa, chip[hit], "ToT", max(starts, ends) + others, run)


class Clock:
    """Tells measurements that were appended to one file apart: each starts its clock anew.

    No readout reorders hits by a second, so an earlier time than that is a new run. Smaller steps back are disorder. A single
    time far ahead, after which the others go on as before, is damage.
    """

    RESTART = int(1e9 / STEP_NS)

    def __init__(self) -> None:
        self.run = 0
        self.latest: int | None = None
        self.before: int | None = None

    def runs(self, toa: np.ndarray, place: Callable[[int], str]) -> np.ndarray:
        """The run of each hit.

        Args:
            toa: (n,) times of the next block, in file order, in steps of `Hits.toa`.
            place: about where hit i of the block is, for the error sentence.

        Returns:
            (n,) int32.

        Raises:
            InputError: a single time far ahead of those before and after it.
        """
        run = np.empty(len(toa), np.int32)
        start = 0
        while start < len(toa):
            latest = np.maximum.accumulate(toa[start:])
            if self.latest is not None:
                latest = np.maximum(latest, self.latest)
            back = toa[start:] < latest - self.RESTART
            stop = start + int(back.argmax()) if back.any() else len(toa)
            run[start:stop] = self.run
            if stop - start > 1:
                self.before = int(latest[stop - start - 2])
            elif stop > start:
                self.before = self.latest
            if stop > start:
                self.latest = int(latest[stop - start - 1])
            if stop < len(toa):
                self._refuse_outlier(int(toa[stop]), place(max(stop - 1, 0)))
                self.run, self.latest, self.before = self.run + 1, None, None
            start = stop
        return run

    def _refuse_outlier(self, toa: int, place: str) -> None:
        """Refuse a fall that ends where the times were before the last hit."""
        if self.before is None or self.latest is None:
            return
        far = self.latest - self.before > self.RESTART
        if far and abs(toa - self.before) <= self.RESTART:
            raise InputError(
                f"{place} or near it: a time of {self.latest * STEP_NS * 1e-9:.3g} s between times of "
                f"{self.before * STEP_NS * 1e-9:.3g} s; copy the file again"
            )


def _separator(path: Path) -> str:
    with opened(path) as file:
        header, first = file.readline(1000), file.readline(1000)
    if not HEADER.match(header):
        raise InputError(
            f"{path}, line 1: expected the header {', '.join(COLUMNS)}; received {header[:40]!r}; export it again"
        )
    # The header's "Matrix Index" has a space of its own, so a data row decides, where there is one.
    line = first if first.strip() else header.replace(b"Matrix Index", b"Matrix")
    separator = "\t" if b"\t" in line else ";" if b";" in line else r"\s+"
    # Of rows that are all too long the parser only drops the end.
    cells = len(_cells(first, separator)) if first.strip() else len(COLUMNS)
    if cells != len(COLUMNS):
        raise InputError(f"{path}, line 2: expected {len(COLUMNS)} columns, received {cells}; copy the file again")
    return separator


def _cells(line: bytes, separator: str) -> list[bytes]:
    return line.split() if separator == r"\s+" else line.strip().split(separator.encode())


def _place(path: Path, separator: str) -> str:
    """The first line that is not six whole numbers; only looked for once the compiled parser has stopped."""
    with opened(path) as file:
        for number, line in enumerate(file, start=1):
            if number == 1 or not line.strip():
                continue
            cells = _cells(line, separator)
            if len(cells) != len(COLUMNS):
                return f"line {number}: expected {len(COLUMNS)} columns, received {len(cells)}"
            odd = next((c for c in cells if not re.fullmatch(rb"\s*[-+]?\d{1,18}\s*", c)), None)
            if odd is not None:
                return f"line {number}: {odd[:20]!r} is no whole number"
    return "after the last complete line: the rows cannot be parsed"


FORMAT = Format(".t3pa", (".t3pa",), lambda start: HEADER.match(start) is not None, iter_hits, ("chunk",), gives=Hits)
