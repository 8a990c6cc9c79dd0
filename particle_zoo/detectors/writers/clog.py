"""Clusters to `.clog`; the format is described in `particle_zoo.detectors.readers.clog`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from particle_zoo.clusters import MASK_UNIT, Clusters
from particle_zoo.errors import InputError


def write(
    path: Path, parts: Iterable[Clusters], *, per_frame: int = 100, start_s: float = 0.0, duration_s: float = 0.0
) -> None:
    """Write parts one after the other; pixels, values and times come back exactly as they were.

    Clusters with a `frame` column in their table are grouped by it, in order of the number; others are dealt out,
    `per_frame` to a frame from 1 on. The unit of the values has no place in the format.

    Args:
        path: file to write.
        parts: clusters; every part continues with a new frame.
        per_frame: clusters a frame where the table has no `frame`.
        start_s: start of the first frame, Unix time; frames follow each other without a pause. A table with
            `frame_start_s` and `frame_duration_s` has its own.
        duration_s: acquisition time of a frame.

    Raises:
        InputError: masks, parts with and without times, or per_frame < 1.
    """
    if per_frame < 1:
        raise InputError(f"per_frame must be at least 1; received {per_frame}")
    last, columns = 0, None
    with path.open("w", encoding="ascii", newline="\n") as file:
        for part in parts:
            if part.unit == MASK_UNIT:
                raise InputError(".clog holds a value a pixel; these clusters are masks; write .parquet")
            if columns is not None and part.columns != columns:
                raise InputError("one .clog holds pixels with times or without; received parts of both kinds")
            columns = part.columns
            for number, members in _frames(part, per_frame, last):
                row = part.table.iloc[int(members[0])]
                start = row.get("frame_start_s", start_s + duration_s * (number - 1))
                file.write(f"Frame {number} ({start:f}, {row.get('frame_duration_s', duration_s):f} s)\n")
                file.write("\n".join(_lines(part[members])) + "\n\n")
                last = number


def _frames(part: Clusters, per_frame: int, last: int) -> Iterator[tuple[int, np.ndarray]]:
    if "frame" in part.table:
        frame = part.table["frame"].to_numpy(np.int64)
        order = np.argsort(frame, kind="stable")
        cuts = np.flatnonzero(np.diff(frame[order])) + 1
        for members in np.split(order, cuts) if len(order) else []:
            yield int(frame[members[0]]), members
        return
    for i, start in enumerate(range(0, len(part), per_frame)):
        yield last + 1 + i, np.arange(start, min(start + per_frame, len(part)))


def _lines(clusters: Clusters) -> list[str]:
    columns = [clusters.column(name) for name in ("col", "row", *clusters.columns[2:])]
    # repr of the stored precision is the shortest text that gives the same value again.
    texts = [columns[0].astype(np.int64).tolist(), columns[1].astype(np.int64).tolist()]
    texts += [np.asarray(values).astype(str).tolist() for values in columns[2:]]
    pixels = [f"[{', '.join(map(str, pixel))}]" for pixel in zip(*texts, strict=True)]
    offsets = clusters.offsets.tolist()
    return [" ".join(pixels[a:b]) for a, b in itertools.pairwise(offsets)]
