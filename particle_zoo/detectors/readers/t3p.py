"""`.t3p`: the hit table of Timepix3 written by Pixet, as repeats of one packed little-endian struct of 16 bytes.

Matrix Index (u32), ToA (u64), Overflow (u8), FToA (u8), ToT (u16); the meaning is that of `.t3pa`. There is no header.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from particle_zoo.detectors.hits import Hits
from particle_zoo.detectors.readers.format import Format
from particle_zoo.detectors.readers.t3pa import LARGEST_TOA, Clock, to_hits
from particle_zoo.detectors.readers.words import blocks
from particle_zoo.errors import InputError

STRUCT = np.dtype([("Matrix Index", "<u4"), ("ToA", "<u8"), ("Overflow", "u1"), ("FToA", "u1"), ("ToT", "<u2")])
CHUNK = 2**19


def iter_hits(path: str | Path, *, chunk: int = CHUNK, partial: bool = False) -> Iterator[Hits]:
    """Yield the hits in file order, `chunk` structs at a time, in ToT.

    Args:
        path: file.
        chunk: structs to read at a time.
        partial: leave out a last struct that is not complete.

    Raises:
        InputError: a value out of its range, or a file that ends inside a struct; names the byte.
    """
    path = Path(path)
    clock = Clock()
    for at, content in blocks(path, STRUCT.itemsize, chunk, partial=partial):
        table = np.frombuffer(content, STRUCT)
        empty = np.flatnonzero(~np.frombuffer(content, np.uint8).reshape(-1, STRUCT.itemsize).any(axis=1))
        if len(empty):
            raise InputError(
                f"{path}, byte {at + STRUCT.itemsize * int(empty[0])}: 16 bytes of zeros, which are no hit; copy the file again"
            )
        # What does not fit into 63 bits stays too large, instead of turning negative.
        toa = np.minimum(table["ToA"], np.uint64(LARGEST_TOA + 1))
        columns = {name: table[name].astype(np.int64) for name in STRUCT.names or () if name != "ToA"}
        columns["ToA"] = toa.astype(np.int64)
        yield to_hits(columns, clock, lambda i, at=at: f"{path}, byte {at + STRUCT.itemsize * i}")  # type: ignore[misc]


def _recognise(start: bytes) -> bool:
    table = np.frombuffer(start[: len(start) // STRUCT.itemsize * STRUCT.itemsize], STRUCT)
    if len(table) < 2:
        return False
    chip = table["Matrix Index"] >> 16
    sound = (chip < 64) & ((table["Overflow"] <= 1) | (table["Overflow"] == chip)) & (table["FToA"] <= 31)
    sound &= (table["ToA"] < 2**50) & ((table["ToT"] > 0) | (table["Overflow"] == 1)) & (table["ToT"] <= 1023)
    return bool(sound.all())


FORMAT = Format(".t3p", (".t3p",), _recognise, iter_hits, ("chunk", "partial"), gives=Hits)
