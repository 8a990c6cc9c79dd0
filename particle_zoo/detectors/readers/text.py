"""Blocks of whole lines, and their numbers by a compiled parser."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.detectors.readers.format import check_count, opened
from particle_zoo.errors import InputError

NUMBER = rb"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d{1,3})?"
BLOCK = 2**24
"""Bytes of text read at a time."""


def blocks(
    path: Path, size: int = BLOCK, *, offset: int = 0, whole: bool = True, option: bool = True
) -> Iterator[tuple[int, bytes]]:
    """Yield (number of the first line, whole lines) of a text file.

    Args:
        path: file.
        size: bytes to read at a time.
        offset: byte to start at; lines are counted from there.
        whole: refuse a last line without an end (a space, a # or a line end): its last number may be cut. Otherwise it is
            left out.
        option: whether the format lets its user leave such a line out, for the error sentence.

    Raises:
        InputError: a file that cannot be read, a line longer than 64 blocks, or a last line without an end.
    """
    check_count("block", size)
    line, rest = 1, b""
    with opened(path) as file:
        file.seek(offset)
        while content := file.read(size):
            content = rest + content
            cut = content.rfind(b"\n") + 1
            rest = content[cut:]
            if len(rest) > 64 * max(size, 2**16):
                raise InputError(f"{path}, line {line}: a line of more than {len(rest)} bytes; this is no text table")
            if cut:
                yield line, content[:cut]
                line += content.count(b"\n", 0, cut)
    if rest.endswith((b" ", b"\t", b"#")):
        yield line, rest
    elif rest and whole:
        advice = ", or read the lines before it with partial=True" if option else ""
        raise InputError(
            f"{path}, line {line}: the last line has no end, so its last number may be cut; copy the file again{advice}"
        )


def records(path: Path, size: int, starts: re.Pattern[bytes], **options: Any) -> Iterator[tuple[int, bytes]]:
    """Yield (number of the first line, whole records) of a text file; the last record comes with the last text.

    Args:
        path: file.
        size: bytes to read at a time.
        starts: what a record begins with.
        options: of `blocks`.

    Raises:
        InputError: as `blocks`.
    """
    rest, start = b"", 1
    for _, text in blocks(path, size, **options):
        text = rest + text
        heads = [head.start() for head in starts.finditer(text)]
        cut = heads[-1] if len(heads) > 1 else 0
        rest = text[cut:]
        if cut:
            yield start, text[:cut]
            start += text.count(b"\n", 0, cut)
    if rest:
        yield start, rest


def table_of(text: bytes, width: int, delimiter: str = ",") -> np.ndarray:
    """(rows, width) float64 of lines of numbers, correctly rounded: a value written with its shortest text comes back.

    Raises:
        ValueError: a line that is not so many numbers.
    """
    import pyarrow as pa
    from pyarrow import csv

    names = [str(i) for i in range(width)]
    table = csv.read_csv(
        io.BytesIO(text),
        read_options=csv.ReadOptions(column_names=names, use_threads=False),
        parse_options=csv.ParseOptions(delimiter=delimiter, quote_char=False, ignore_empty_lines=width == 1),
        convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float64())),
    )
    rows = np.column_stack([column.to_numpy() for column in table.columns])
    if not np.isfinite(rows).all():
        raise ValueError("a number is missing or not finite")
    return rows


def groups(text: bytes, width: int) -> np.ndarray:
    """(n, width) numbers of `[x, y, ...]` groups.

    Raises:
        ValueError: anything else.
    """
    return table_of(text.translate(None, b"[ \t\r\n").replace(b"]", b"\n"), width)


def numbers(path: Path, text: bytes, line: int, width: int | None = None) -> np.ndarray:
    """(rows, width) float64 of lines of numbers between spaces or tabs, correctly rounded.

    Args:
        path: for the error sentence.
        text: lines.
        line: number of the first.
        width: numbers in a line; by default as many as in the first.

    Raises:
        InputError: a line that is not so many numbers; names it.
    """
    flat = text.replace(b"\r\n", b"\n").replace(b"\t", b" ").replace(b" \n", b"\n")
    flat = flat[:-1] if flat.endswith(b" ") else flat
    if b"  " in flat or b"\n " in flat or flat.startswith(b" "):
        flat = re.sub(rb"^ +| +$", b"", re.sub(rb" {2,}", b" ", flat), flags=re.MULTILINE)
    width = width or len(flat[: flat.find(b"\n")].split())
    # Arrow's errors are ValueErrors.
    with contextlib.suppress(ValueError):
        return table_of(flat, width, " ")
    pattern = re.compile(NUMBER + rb"(?: " + NUMBER + rb"){%d}" % (width - 1))
    for number, row in enumerate(flat.split(b"\n"), line):
        if not pattern.fullmatch(row):
            raise InputError(
                f"{path}, line {number}: expected {width} numbers; received {row[:30]!r} of {len(row.split())}; copy the file "
                "again"
            )
    raise InputError(f"{path}, line {line}: expected rows of {width} numbers; copy the file again")


def integers(path: Path, text: bytes, line: int, names: tuple[str, ...], what: str) -> dict[str, np.ndarray]:
    """Columns of whole numbers between spaces or tabs.

    Args:
        path: for the error sentence.
        text: lines.
        line: number of the first.
        names: of the columns.
        what: what a line should be, for the error sentence.

    Raises:
        InputError: a line that is not so many whole numbers; names it.
    """
    if not text.strip():
        return {name: np.empty(0, np.int64) for name in names}
    try:
        with warnings.catch_warnings():
            # Columns too many are only a warning.
            warnings.simplefilter("error")
            table = pd.read_csv(
                io.BytesIO(text), sep=r"\s+", header=None, names=list(names), dtype=np.int64, index_col=False,
                engine="c", skip_blank_lines=True,
            )  # fmt: skip
        found = {name: table[name].to_numpy() for name in names}
        if _fields(text) == len(table) * len(names):
            return found
    except (ValueError, OverflowError, Warning):
        pass
    for number, row in enumerate(text.splitlines(), line):
        cells = row.split()
        if cells and (len(cells) != len(names) or not all(re.fullmatch(rb"[-+]?\d{1,18}", cell) for cell in cells)):
            raise InputError(f"{path}, line {number}: expected {what}; received {row[:40]!r}; copy the file again")
    raise InputError(f"{path}, line {line}: expected {what}, the lines after it cannot be parsed; copy the file again")


def _fields(text: bytes) -> int:
    """Number of words."""
    codes = np.frombuffer(text, np.uint8)
    space = codes <= 32
    return int((~space[1:] & space[:-1]).sum()) + int(not space[0])
