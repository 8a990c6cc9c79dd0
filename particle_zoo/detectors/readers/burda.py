"""Burda text: one Timepix3 hit a line, `linear ToA FToA ToT`; lines that do not begin with a digit are comments.

x = linear mod 256, y = linear div 256; t = 25 ToA - 1.5625 FToA ns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from particle_zoo.detectors.hits import Hits
from particle_zoo.detectors.readers.format import Format
from particle_zoo.detectors.readers.t3pa import LARGEST_TOA, Clock
from particle_zoo.detectors.readers.text import BLOCK, blocks, integers
from particle_zoo.errors import InputError

COLUMNS = ("linear", "ToA", "FToA", "ToT")
LIMITS = {"linear": 2**16 - 1, "ToA": LARGEST_TOA, "FToA": 31, "ToT": 2**16}
COMMENT = re.compile(rb"^[^\d\r\n][^\r\n]*", re.MULTILINE)
LINE = re.compile(rb"\d{1,5}(?:[ \t]+\d{1,18}){3}[ \t]*")


def iter_hits(path: str | Path, *, block: int = BLOCK, partial: bool = False) -> Iterator[Hits]:
    """Yield the hits in file order, in ToT, `block` bytes at a time.

    Args:
        path: file.
        block: bytes of text to read at a time.
        partial: leave out a last line without an end.

    Raises:
        InputError: a line that is not four whole numbers, or a value out of its range; names the line.
    """
    path, clock = Path(path), Clock()
    for line, text in blocks(path, block, whole=not partial):
        # Emptied, not removed, so that lines keep their numbers.
        table = integers(path, COMMENT.sub(b"", text), line, COLUMNS, "linear ToA FToA ToT, whole numbers")
        for name, largest in LIMITS.items():
            bad = (table[name] < 0) | (table[name] > largest)
            if bad.any():
                value = int(table[name][bad.argmax()])
                raise InputError(
                    f"{path}, lines {line} and after: {name} is {value}, which no Timepix3 sends; copy the file again"
                )
        toa = 16 * table["ToA"] - table["FToA"]
        run = clock.runs(toa, lambda i, line=line: f"{path}, line {line + i}")  # type: ignore[misc]
        yield Hits(table["linear"] >> 8, table["linear"] & 255, table["ToT"], toa, run=run)


def _recognise(start: bytes) -> bool:
    lines = start.splitlines()[:-1] if len(start) >= 4096 else start.splitlines()
    rows = [line for line in lines if line.strip() and not COMMENT.match(line)]
    return bool(rows) and b"\0" not in start and all(LINE.fullmatch(row.rstrip()) for row in rows)


FORMAT = Format("Burda text", (".txt",), _recognise, iter_hits, ("block", "partial"), gives=Hits)
