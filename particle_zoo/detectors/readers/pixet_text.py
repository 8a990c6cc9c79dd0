"""Numbers of Pixet's text frames, block by block; layouts in `particle_zoo.detectors.readers.pixet`.

Lists are parsed by Arrow. Matrices, nearly all zeros, by a loop of our own, several times as fast as a parser that
makes columns of them.
"""

from __future__ import annotations

import functools
import io
import itertools
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

import numpy as np

from particle_zoo.errors import InputError

CHUNK = 2**24
"""Bytes of a list parsed at a time."""

NUMBER = rb"-?\d+(?:\.\d*)?(?:[eE][-+]?\d{1,3})?"

LONGEST_NUMBER = 32
"""Bytes, separator included."""

Parsed = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def iter_matrices(file: IO[bytes], path: Path, shape: tuple[int, int], block: int) -> Iterator[Parsed]:
    """Pixels a frame, row, column and value of the pixels that are not 0, `block` frames at a time.

    Raises:
        InputError: a line that is not one number a column, or an incomplete last frame.
    """
    height, width = shape
    longest = LONGEST_NUMBER * (width + 1)
    before = 0
    lines = (line for line in iter(lambda: file.readline(longest), b"") if not line.isspace())
    while part := list(itertools.islice(lines, block * height)):
        found = _matrix(b"".join(part), width, len(part))
        if found is None:
            raise InputError(f"{path}, {_odd_row(part, width, before)}; copy the file again")
        if len(part) % height or not part[-1].endswith(b"\n"):
            raise InputError(
                f"{path} stops in row {(len(part) - 1) % height} of {height} of frame {(before + len(part) - 1) // height}; "
                "copy it again, or its .dsc if that gives the wrong height"
            )
        before += len(part)
        position, values = found
        row, col = np.divmod(position, width)
        frame, row = np.divmod(row, height)
        yield np.bincount(frame, minlength=len(part) // height), row, col, values


def iter_lists(
    file: IO[bytes], path: Path, fields: int, shape: tuple[int, int], chunk: int = CHUNK
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Lines a frame, and the (fields, n) numbers in them, some frames at a time.

    Raises:
        InputError: other lines, a pixel outside the frame or twice in one, or a last frame that no `#` closes.
    """
    rest, before, closed = b"", 0, False
    largest = chunk + 2 * LONGEST_NUMBER * fields * shape[0] * shape[1]
    while more := file.read(chunk):
        rest += more
        end = rest.find(b"\n", rest.rfind(b"#")) + 1 if b"#" in rest else 0
        if end:
            yield _listed(rest[:end], path, fields, shape, before)
            before, closed, rest = before + rest.count(b"\n", 0, end), True, rest[end:]
        elif len(rest) > largest:
            raise InputError(f"{path}, line {before + 1}: no '#' closes this frame; copy the file again")
    if rest.rstrip().endswith(b"#"):
        yield _listed(rest, path, fields, shape, before)
    elif fields == 3 and not closed and (rest.endswith(b"\n") or not rest):
        yield _listed(rest + b"#\n", path, fields, shape, before)
    elif rest.strip():
        raise InputError(f"{path} stops in the middle of its last frame; copy it again")


def _listed(
    block: bytes, path: Path, fields: int, shape: tuple[int, int], before: int
) -> tuple[np.ndarray, np.ndarray]:
    text = np.frombuffer(block, np.uint8)
    marks = np.flatnonzero(text == ord("#"))
    padded = np.concatenate([[10], text, [10, 10]])
    alone = (padded[marks] == 10) & ((padded[marks + 2] == 10) | (padded[marks + 2] == 13))
    rows = np.searchsorted(np.flatnonzero(text == 10), marks) - np.arange(len(marks))
    sizes = np.diff(rows, prepend=0)
    values = np.empty((fields, 0))
    if len(rows) and rows[-1]:
        found = _numbers(block.replace(b"#", b""), fields)
        values = values if found is None else found
    limits = (shape[0] * shape[1],) if fields == 2 else (shape[1], shape[0])
    sound = alone.all() and values.shape[1] == rows[-1]
    for column, limit in zip(values, limits, strict=False):
        sound = sound and bool(((column >= 0) & (column < limit) & (column == np.floor(column))).all())
    if not sound:
        raise InputError(f"{path}, {_odd_line(block, fields, limits, before)}; copy the file again")
    position = values[0] if fields == 2 else values[1] * shape[1] + values[0]
    key = np.sort(np.repeat(np.arange(len(sizes)), sizes) * (shape[0] * shape[1]) + position.astype(np.int64))
    twice = key[1:][key[1:] == key[:-1]]
    if len(twice):
        row, col = divmod(int(twice[0]) % (shape[0] * shape[1]), shape[1])
        raise InputError(
            f"{path}, after line {before}: row {row}, column {col} is twice in one frame; copy the file again"
        )
    return sizes, values


def _matrix(text: bytes, width: int, lines: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Position (width x line + column) and value of what is not 0; None where a line is not `width` numbers."""
    most = lines * width
    position, start, stop = (np.empty(most, np.int64) for _ in range(3))
    values = np.empty(most)
    n = _scanner()(np.frombuffer(text, np.uint8), width, position, values, start, stop)
    if n < 0:
        return None
    position, values = position[:n].copy(), values[:n].copy()
    for i in np.flatnonzero(np.isnan(values)).tolist():
        token = text[start[i] : stop[i]]
        if not _is_number(token):
            return None
        values[i] = float(token)
    kept = values != 0
    return position[kept], values[kept]


@functools.cache
def _scanner() -> Callable[..., int]:
    """The compiled loop over a matrix text; numba is imported when the first matrix is read."""
    import numba

    return cast(Callable[..., int], numba.njit(cache=True, nogil=True)(_scan))


def _scan(
    text: np.ndarray, width: int, position: np.ndarray, value: np.ndarray, start: np.ndarray, stop: np.ndarray
) -> int:
    """Fill in what is not 0 and give its number, or -1 where a line has another number of values.

    A value of up to 15 digits is an exact integer, divided by an exact power of ten: correctly rounded. Anything else
    becomes NaN with its place, for the caller to look at.
    """
    n, line, column, i, size = 0, 0, 0, 0, len(text)
    while i < size:
        c = text[i]
        if c <= 32:
            if c == 10:
                if column != width:
                    return -1
                line += 1
                column = 0
            i += 1
            continue
        if column >= width:
            return -1
        if c == 48 and i + 1 < size and text[i + 1] <= 32:
            column += 1
            i += 1
            continue
        first, mantissa, digits, decimals, plain = i, 0, 0, -1, True
        if c == 45:
            i += 1
        while i < size and text[i] > 32:
            c = text[i]
            if 48 <= c <= 57 and digits < 15:
                mantissa = 10 * mantissa + (c - 48)
                digits += 1
                if decimals >= 0:
                    decimals += 1
            elif c == 46 and decimals < 0:
                decimals = 0
            else:
                plain = False
            i += 1
        if not plain or digits == 0 or mantissa:
            position[n] = width * line + column
            start[n], stop[n] = first, i
            if not plain or digits == 0:
                value[n] = np.nan
            else:
                value[n] = mantissa / 10.0 ** max(decimals, 0)
                if text[first] == 45:
                    value[n] = -value[n]
            n += 1
        column += 1
    return -1 if column not in (0, width) else n


def _numbers(text: bytes, width: int) -> np.ndarray | None:
    """(width, lines) numbers with tabs between them, or None where a line is something else."""
    import pyarrow as pa
    from pyarrow import csv

    names = [str(i) for i in range(width)]
    try:
        table = csv.read_csv(
            io.BytesIO(text),
            read_options=csv.ReadOptions(column_names=names, use_threads=False, block_size=len(text) + 1),
            parse_options=csv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float64()), null_values=[""]),
        )
    except (ValueError, pa.ArrowException):
        return None
    values = np.stack([table.column(i).to_numpy() for i in range(width)])
    return values if np.isfinite(values).all() else None


def _odd_row(lines: list[bytes], width: int, before: int) -> str:
    for number, line in enumerate(lines, start=before + 1):
        cells = line.split()
        if len(cells) != width:
            return f"row {number} of the matrices: expected {width} values, received {len(cells)}"
        odd = next((cell for cell in cells if not _is_number(cell)), None)
        if odd is not None:
            return f"row {number} of the matrices: {odd[:20]!r} is no number"
    return f"rows {before + 1} to {before + len(lines)} of the matrices: separators change from row to row"


def _odd_line(block: bytes, fields: int, limits: tuple[int, ...], before: int) -> str:
    for number, line in enumerate(block.splitlines(), start=before + 1):
        cells = line.split(b"\t")
        if line == b"#":
            continue
        if len(cells) != fields or not all(map(_is_number, cells)):
            return f"line {number}: expected {fields} numbers with tabs between them or '#', received {line[:30]!r}"
        for cell, limit in zip(cells, limits, strict=False):
            if not 0 <= float(cell) < limit or float(cell) != int(float(cell)):
                return f"line {number}: expected a pixel from 0 to {limit - 1}, received {line[:30]!r}"
    return f"after line {before}: blank lines or numbers that cannot be parsed"


def _is_number(cell: bytes) -> bool:
    return re.fullmatch(NUMBER, cell) is not None and math.isfinite(float(cell))
