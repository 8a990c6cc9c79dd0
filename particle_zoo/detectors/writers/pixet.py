"""Frames to the text files of Pixet, with their .dsc and .idx; see `particle_zoo.detectors.readers.pixet`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.cli import replacing
from particle_zoo.detectors.frames import Frames
from particle_zoo.detectors.readers.pixet import INDEX
from particle_zoo.errors import InputError

LAYOUTS = {"matrix": "matrix", "sparse": "[I,C]", "xyc": "[X,Y,C]"}
KEYS = {
    "start_s": ("Start time", "Acquisition start time"),
    "duration_s": ("Acq time", "Acquisition time [s]"),
    "threshold_kev": ("Threshold", "Threshold [keV]"),
    "bias_v": ("HV", "High voltage [V]"),
    "series_index": ("Acq Serie Index", "Acquisition serie index"),
}


def write(path: Path, parts: Iterable[Frames], *, layout: str = "matrix", packed: bool = False) -> None:
    """Write frames one after the other; values come back exactly.

    `NAME.dsc` describes them; `NAME.idx` is written for a matrix file of more than one frame. The files appear together
    when all are complete.

    Args:
        path: .txt or .pmf.
        parts: frames of one shape.
        layout: matrix, sparse (index value) or xyc (x y C).
        packed: write ToT and ToA of Timepix3 frames as one 64-bit value a pixel.

    Raises:
        InputError: another layout, frames of different shapes, or packed values of frames without times.
    """
    if layout not in LAYOUTS or (layout != "matrix" and path.suffix == ".pmf"):
        raise InputError(
            f"{path.name} cannot be written as {layout!r}; a .pmf is a matrix, a .txt {', '.join(LAYOUTS)}"
        )
    about, places, shape, exact = [], [], None, True
    names = [path.with_name(path.name + ending) for ending in ("", ".dsc", ".idx")]
    with contextlib.ExitStack() as stack:
        # Entered in the order in which they must not appear: the data last.
        data, described, indexed = (stack.enter_context(replacing(name)) for name in names)
        with data.open("wb") as file:
            for part in parts:
                if shape is not None and part.shape != shape:
                    raise InputError(f"one file holds frames of one shape; received {shape} and {part.shape}")
                shape = part.shape
                for i in range(len(part)):
                    values = _values(part[i], packed)
                    exact &= bool((values == np.floor(values)).all())
                    places.append(file.tell())
                    file.write(_text(part[i], values, layout))
                    assert part.table is not None
                    about.append(dict(part.table.iloc[i]))
        if shape is None:
            raise InputError("nothing to write: received no frames")
        kind = "u64" if packed else "i32" if exact else "double"
        entries = [
            _entry(i, row, f"Type={kind} {LAYOUTS[layout]} width={shape[1]} height={shape[0]}", places)
            for i, row in enumerate(about)
        ]
        starts = np.cumsum([len(f"A{len(about):09d}\n"), *(len(entry) for entry in entries)])
        described.write_text(f"A{len(about):09d}\n" + "".join(entries))
        index = np.zeros(len(about) - 1, INDEX)
        # The empty line before [Fn].
        index["dsc"], index["frame"] = starts[1:-1] - 1, places[1:]
        indexed.write_bytes(index.tobytes())
    if len(about) == 1 or layout != "matrix":
        names[2].unlink()


def _values(frame: Frames, packed: bool) -> np.ndarray:
    if not packed:
        return frame.energy.astype(np.float64)
    if frame.toa is None:
        raise InputError("packed frames hold ToT and ToA; these have no times; leave packed out")
    coarse = -(-frame.toa // 16)
    tot = frame.energy.astype(np.int64)
    if (coarse >> 14).any() or (tot >> 10).any() or (tot != frame.energy).any():
        raise InputError("packed frames hold whole ToT up to 1023 and times up to 409.6 us; received others")
    value: np.ndarray = ((16 * coarse - frame.toa) << 24) | (tot << 14) | coarse
    return value.astype(np.float64)


def _text(frame: Frames, values: np.ndarray, layout: str) -> bytes:
    texts = [repr(int(v)) if v == int(v) else repr(float(v)) for v in values.tolist()]
    if layout == "matrix":
        cells = np.full(frame.shape, "0", dtype=object)
        cells[frame.row, frame.col] = texts
        return "".join(f"{' '.join(row)} \n" for row in cells.tolist()).encode()
    if layout == "sparse":
        index = frame.row.astype(np.int64) * frame.shape[1] + frame.col
        return ("".join(f"{i}\t{v}\n" for i, v in zip(index.tolist(), texts, strict=True)) + "#\n").encode()
    pixels = zip(frame.col.tolist(), frame.row.tolist(), texts, strict=True)
    return ("".join(f"{x}\t{y}\t{v}\r\n" for x, y, v in pixels) + "#\r\n").encode()


def _entry(number: int, row: dict[Any, Any], kind: str, places: list[int]) -> str:
    lines = [f"[F{number}]", kind]
    for name, (key, description) in KEYS.items():
        value = row.get(name)
        if isinstance(value, (int, float, np.number)) and np.isfinite(value):
            lines += [f'"{key}" ("{description}"):', "double[1]", f"{float(value)!r} ", ""]
    return "\n".join([*lines, "", ""]) if number < len(places) - 1 else "\n".join([*lines, ""])
