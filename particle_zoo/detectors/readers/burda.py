"""Burda text: one Timepix3 hit a line, `linear ToA FToA ToT`; lines that do not begin with a digit are comments.

x = linear mod 256, y = linear div 256; t = 25 ToA - 1.5625 FToA ns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from particle_zoo.detectors.hits import Hits
from particle_zoo.detectors.readers.format import Format
from particle_zoo.detectors.readers.t3pa import Clock, to_hits
from particle_zoo.detectors.readers.text import BLOCK, blocks, integers
from particle_zoo.errors import InputError

COLUMNS = ("linear", "ToA", "FToA", "ToT")
PIXELS = 2**16
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
        linear = table.pop("linear")
        far = (linear < 0) | (linear >= PIXELS)
        if far.any():
            raise InputError(
                f"{path}, lines {line} and after: linear is {linear[far.argmax()]}, which no Timepix3 sends; copy the file again"
            )
        # Comments count as lines but not as hits.
        columns = {**table, "Matrix Index": linear, "Overflow": np.zeros_like(linear)}
        yield to_hits(columns, clock, lambda i, line=line: f"{path}, hit {i + 1} from line {line} on")  # type: ignore[misc]


def _recognise(start: bytes) -> bool:
    lines = start.splitlines()[:-1] if len(start) >= 4096 else start.splitlines()
    rows = [line for line in lines if line.strip() and not COMMENT.match(line)]
    return bool(rows) and b"\0" not in start and all(LINE.fullmatch(row.rstrip()) for row in rows)


FORMAT = Format("Burda text", (".txt",), _recognise, iter_hits, ("block", "partial"), gives=Hits)
