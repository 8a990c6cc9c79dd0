"""`.clog`: the cluster log of Pixet.

`Frame N (start, duration s)` opens a frame; then every line is a cluster of `[x, y, value]` or, of Timepix3,
`[x, y, value, ToA]` (ns) groups; blank lines may stand between frames. The value is ToT or keV; the file does not say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from particle_zoo.cli import sentence
from particle_zoo.clusters import Clusters
from particle_zoo.detectors.readers.format import Format, opened
from particle_zoo.detectors.readers.text import groups
from particle_zoo.errors import InputError

FRAME = re.compile(rb"Frame\s+(\d{1,18})\s*(?:\(\s*([^,()]{1,40}),\s*([^,()]{1,40}?)\s*s?\s*\))?\s*")
NUMBER = rb"-?(?>\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?"
PIXEL = rb"\[\s*\d{1,5}\s*,\s*\d{1,5}\s*,\s*" + NUMBER
LINES = {
    3: re.compile(rb"\s*(?>" + PIXEL + rb"\s*\]\s*)+"),
    4: re.compile(rb"\s*(?>" + PIXEL + rb"\s*,\s*" + NUMBER + rb"\s*\]\s*)+"),
}
BLOCK = 50_000
"""Clusters read at a time."""


def iter_clusters(path: str | Path, *, unit: str = "keV") -> Iterator[Clusters]:
    """Yield the clusters in file order, with `frame`, `frame_start_s`, `frame_duration_s` and `source` in the table.

    Args:
        path: file.
        unit: what the values are, keV or ToT.

    Raises:
        InputError: a line that is neither frame nor cluster, a cluster before the first frame, or pixels of 3 and 4
            fields in one file; names the line.
    """
    path = Path(path)
    fields = 0
    frame: tuple[int, float, float] | None = None
    lines: list[bytes] = []
    frames: list[tuple[int, float, float]] = []
    done = 0
    with opened(path) as file:
        for number, line in enumerate(file, start=1):
            if line.isspace():
                continue
            if line.startswith(b"Frame"):
                frame = _frame(line, path, number)
                continue
            if not fields:
                fields = next((n for n, pattern in LINES.items() if pattern.fullmatch(line)), 0)
            if not fields or not LINES[fields].fullmatch(line):
                raise InputError(f"{path}, line {number}: {_expected(line, fields)}; received {_start(line)}")
            if frame is None:
                raise InputError(f"{path}, line {number}: a cluster before the first 'Frame' line; copy it again")
            lines.append(line)
            frames.append(frame)
            if len(lines) == BLOCK:
                yield _clusters(path, lines, frames, fields, unit, done)
                done += len(lines)
                lines, frames = [], []
    if frame is None:
        raise InputError(f"{path} holds no 'Frame' line; expected a cluster log")
    if lines:
        yield _clusters(path, lines, frames, fields, unit, done)


def _frame(line: bytes, path: Path, number: int) -> tuple[int, float, float]:
    match = FRAME.fullmatch(line)
    try:
        if match is None:
            raise ValueError
        start, duration = (float(text) if text else float("nan") for text in match.groups()[1:])
    except ValueError as error:
        raise InputError(
            f"{path}, line {number}: expected 'Frame N (start, duration s)'; received {_start(line)}"
        ) from error
    return int(match[1]), start, duration


def _clusters(
    path: Path, lines: list[bytes], frames: list[tuple[int, float, float]], fields: int, unit: str, before: int
) -> Clusters:
    sizes = [line.count(b"[") for line in lines]
    columns = ("row", "col", "energy", "toa")[:fields]
    try:
        hits = groups(b"".join(lines), fields)
    except ValueError as error:
        raise InputError(
            f"{path}: the numbers of clusters {before} to {before + len(lines)} cannot be parsed "
            f"({sentence(str(error))[:80]}); copy the file again"
        ) from error
    # x before y in the file.
    hits[:, :2] = hits[:, 1::-1].copy()
    # Without a time the values were written from float32 or are no finer than that.
    hits = hits if fields == 4 else hits.astype(np.float32)
    frame, start, duration = zip(*frames, strict=True)
    ids = [f"{path.name}:{before + i}" for i in range(len(lines))]
    table = pd.DataFrame(
        {
            "id": ids,
            "label": "",
            "frame": np.array(frame, np.int64),
            "frame_start_s": start,
            "frame_duration_s": duration,
            "source": path.name,
        }
    )
    return Clusters(hits, columns, np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]), table, unit)


def _expected(line: bytes, fields: int) -> str:
    if fields and LINES[7 - fields].fullmatch(line):
        return f"pixels of {7 - fields} fields, the lines above have {fields}"
    return "expected [x, y, value] or [x, y, value, ToA] groups"


def _start(line: bytes) -> str:
    return repr(line[:40].decode("ascii", "replace").strip())


FORMAT = Format(".clog", (".clog",), lambda start: FRAME.match(start.lstrip()) is not None, iter_clusters, ("unit",))
