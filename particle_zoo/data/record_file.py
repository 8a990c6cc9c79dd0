"""TFRecord files as groups of records that can be read in any order, every byte checked."""

from __future__ import annotations

import errno
import functools
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np

from particle_zoo.errors import InputError

FRAME = 16
"""Bytes of a record beside its data: length (8), checksum of the length (4), checksum of the data (4)."""

POLYNOMIAL = 0x82F63B78
"""CRC-32C (Castagnoli), bits reversed."""


@dataclass(frozen=True)
class Group:
    """Consecutive records of one file.

    Args:
        path: of the file.
        start: of the first record, bytes.
        end: of the last record, bytes.
        count: records.
    """

    path: Path
    start: int
    end: int
    count: int

    def read(self) -> list[bytes]:
        """The data of the records.

        Raises:
            InputError: the file cannot be read or is damaged.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(self.start)
                content = file.read(self.end - self.start)
        except OSError as error:
            raise _unusable(self.path, f"cannot be read ({error})") from error
        starts = np.empty(self.count, np.int64)
        lengths = np.empty(self.count, np.int64)
        stopped = _check(np.frombuffer(content, np.uint8), starts, lengths, _tables())
        if stopped != len(content) or len(content) != self.end - self.start:
            raise _unusable(self.path, f"is damaged after byte {self.start + stopped}")
        ends = starts + lengths
        return [content[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def index(path: Path, *, records: int, size: int) -> list[Group]:
    """The groups of a file, found from the lengths of its records alone.

    Args:
        path: of the file.
        records: a group has at most so many.
        size: a group ends with the record that makes it this large, bytes.

    Raises:
        InputError: the file cannot be read or its end is missing.
    """
    try:
        # Mapped, not read: only the pages of the lengths need to be in memory, and none has to stay.
        content = np.memmap(path, np.uint8, mode="r") if path.stat().st_size else np.empty(0, np.uint8)
    except OSError as error:
        raise _unreadable(path, error) from error
    found, start = [], 0
    while start < len(content):
        end, count = _extent(content, start, records, size)
        if count == 0 or end > len(content):
            raise _unusable(path, f"is damaged after byte {start}")
        found.append(Group(path, start, end, count))
        start = end
    return found


def _unreadable(path: Path, error: OSError) -> Exception:
    # A file is not to blame for memory that it cannot be mapped into.
    return MemoryError(str(error)) if error.errno == errno.ENOMEM else _unusable(path, f"cannot be read ({error})")


def _unusable(path: Path, why: str) -> InputError:
    return InputError(f"{path} {why}; remove its folder {path.parent} to have the data set prepared anew")


@numba.njit(cache=True)
def _extent(content: np.ndarray, start: int, records: int, size: int) -> tuple[int, int]:
    """End of a group that begins at a byte, and its records; beyond the content where a record is not all there."""
    place, count, total = start, 0, len(content)
    while place < total and count < records and place - start < size:
        if place + FRAME > total:
            return total + 1, count
        length = _length(content, place)
        if length > total - place - FRAME:
            return total + 1, count
        place += FRAME + length
        count += 1
    return place, count


@numba.njit(cache=True, nogil=True)
def _check(content: np.ndarray, starts: np.ndarray, lengths: np.ndarray, tables: np.ndarray) -> int:
    """Fill in where the data of each record begin and how long they are; returns the end of the last sound record."""
    place, total = 0, len(content)
    for number in range(len(starts)):
        if place + FRAME > total:
            return place
        length = _length(content, place)
        if length > total - place - FRAME or _sum(content, place, 8, tables) != _stored(content, place + 8):
            return place
        if _sum(content, place + 12, length, tables) != _stored(content, place + 12 + length):
            return place
        starts[number], lengths[number] = place + 12, length
        place += FRAME + length
    return place


@numba.njit(cache=True)
def _length(content: np.ndarray, place: int) -> int:
    # A damaged length may be any number of 64 bits, and a sum that overflows is not defined in compiled code.
    if content[place + 6] or content[place + 7]:
        return 1 << 48
    length = 0
    for i in range(5, -1, -1):
        length = length * 256 + content[place + i]
    return length


@numba.njit(cache=True)
def _stored(content: np.ndarray, place: int) -> int:
    value = 0
    for i in range(3, -1, -1):
        value = value * 256 + content[place + i]
    return value


@numba.njit(cache=True)
def _sum(content: np.ndarray, place: int, length: int, tables: np.ndarray) -> int:
    """Masked CRC-32C, as TFRecord files have it."""
    crc = np.uint32(0xFFFFFFFF)
    low, byte = np.uint32(0xFF), np.uint32(8)
    end, i = place + length, place
    # Eight bytes a step: one table for each of them.
    while i + 8 <= end:
        one = crc ^ (
            np.uint32(content[i])
            | (np.uint32(content[i + 1]) << np.uint32(8))
            | (np.uint32(content[i + 2]) << np.uint32(16))
            | (np.uint32(content[i + 3]) << np.uint32(24))
        )
        crc = (
            tables[7, one & low]
            ^ tables[6, (one >> byte) & low]
            ^ tables[5, (one >> np.uint32(16)) & low]
            ^ tables[4, one >> np.uint32(24)]
            ^ tables[3, content[i + 4]]
            ^ tables[2, content[i + 5]]
            ^ tables[1, content[i + 6]]
            ^ tables[0, content[i + 7]]
        )
        i += 8
    while i < end:
        crc = tables[0, (crc ^ np.uint32(content[i])) & low] ^ (crc >> byte)
        i += 1
    whole = int(~crc) & 0xFFFFFFFF
    turned = (whole >> 15) | ((whole << 17) & 0xFFFFFFFF)
    return (turned + 0xA282EAD8) & 0xFFFFFFFF


@functools.cache
def _tables() -> np.ndarray:
    """(8, 256) uint32: the checksum of each byte, followed by 0 to 7 zeros."""
    crc = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crc = np.where(crc & 1, (crc >> 1) ^ np.uint32(POLYNOMIAL), crc >> 1).astype(np.uint32)
    rows = [crc]
    for _ in range(7):
        rows.append(crc[rows[-1] & 0xFF] ^ (rows[-1] >> 8))
    return np.stack(rows)
