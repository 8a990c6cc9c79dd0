"""`.dsc`: the description Pixelman and Pixet write beside a file of frames, and the `.idx` that points into both.

Line 1 is `A` and the number of frames; then, for each, `[Fn]`, `Type=<number> <layout> width=W height=H` and blocks of
`"Key" ("Description"):`, `type[n]`, the values and a blank line. Decimals may have a comma. Descriptions of the files
that Pixet splits off (`..._ToT.pmf`) have the first two lines only.

An `.idx` has a record of three little-endian int64 for every frame but the first: where the blank line before `[Fn]`
is in the `.dsc`, where the frame starts in the data, and 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.errors import InputError

COUNT = re.compile(rb"A(\d{1,9})\s*")
FRAME = re.compile(rb"\[F(\d{1,9})\]\s*")
TYPE = re.compile(rb"Type=(\w{1,16}) +(matrix|\[[\w, ]{1,20}\]) +width=(\d{1,5}) +height=(\d{1,5})\s*")
KEY = re.compile(rb'"([^"]{1,100})" \("(.{0,200})"\):\s*')
LINE = 2**16
"""Bytes; no line of a description is as long."""

LARGEST_SIDE = 2**14
CHIPS = {"1": "MXR", "2": "TPX", "3": "MPX3", "4": "TPX3"}
"""What `Mpx type` means where the description does not say; Pixelman counts otherwise, and says so."""

NUMBERS = {
    "start_s": "Start time",
    "duration_s": "Acq time",
    "threshold_kev": "Threshold",
    "hv_v": "HV",
    "clock_mhz": "Timepix clock",
}
"""Columns of `Frames.table` and the keys they come from."""


@dataclass
class FrameInfo:
    """What a description says about a frame.

    Args:
        number: n of `[Fn]`.
        type: of the values: i16, u32, u64, double...
        layout: `matrix` or the columns of a list, such as `[X,Y,C]`.
        shape: rows and columns.
        values: text by key.
        notes: the explanation in the file by key.
    """

    number: int
    type: str = ""
    layout: str = ""
    shape: tuple[int, int] = (0, 0)
    values: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def mode(self) -> str | None:
        """Content of packed Timepix3 values, `toa+tot` or `event+itot`, where a key about the mode names it."""
        text = " ".join(value for key, value in self.values.items() if "mode" in key.lower()).lower()
        if "itot" in text:
            return "event+itot"
        return "toa+tot" if "toa" in text and "tot" in text else None

    def row(self, path: Path) -> dict[str, Any]:
        """The frame's row of `Frames.table`; NaN and "" for what is not said.

        Raises:
            InputError: a number that is none.
        """
        row: dict[str, Any] = {"frame": self.number}
        for column, key in NUMBERS.items():
            text = self.values.get(key, "nan").replace(",", ".")
            try:
                row[column] = float(text)
            except ValueError as error:
                raise InputError(
                    f"{path}, [F{self.number}]: {key} is {text[:20]!r}, which is no number; copy the file again"
                ) from error
        kind = self.values.get("Mpx type", "")
        legend = dict(re.findall(r"(\d+)-([\w.]+)", self.notes.get("Mpx type", ""))) or CHIPS
        return {**row, "chip_type": legend.get(kind, kind), "chip_id": self.values.get("ChipboardID", "")}


def beside(path: Path) -> Path | None:
    """The description of a data file, if there is one."""
    found = path.with_name(path.name + ".dsc")
    return found if found.is_file() else None


def read_count(path: Path) -> int:
    """Number of frames a description announces.

    Raises:
        InputError: unreadable, or no description.
    """
    try:
        with path.open("rb") as file:
            line = file.readline(LINE)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a readable .dsc file") from error
    match = COUNT.fullmatch(line)
    if match is None or not int(match[1]):
        raise InputError(
            f"{path}, line 1: expected the number of frames such as A000000001; received "
            f"{line[:20].decode('ascii', 'replace').strip()!r}; copy it again, or remove it to read the data without"
        )
    return int(match[1])


def iter_frames(path: Path, start: int = 0) -> Iterator[FrameInfo]:
    """What is said about each frame, in file order.

    Args:
        path: the description.
        start: byte to start at, the first line by default.

    Raises:
        InputError: damaged content; names the line, counted from `start`.
    """
    info: FrameInfo | None = None
    key = ""
    wait = 0
    with path.open("rb") as file:
        file.seek(start)
        for number, line in enumerate(iter(lambda: file.readline(LINE), b""), start=1):
            place = f"{path}, line {number}" if not start else f"{path}, line {number} after byte {start}"
            if wait == 2:
                wait = 1
                if re.fullmatch(rb"\w{1,16}\[\d{1,9}\]\s*", line) is None:
                    raise _unexpected(place, "type[n]", line)
            elif wait == 1:
                wait = 0
                assert info is not None
                info.values[key] = line.decode("latin-1").strip()
            elif line.isspace() or (number == 1 and not start and COUNT.fullmatch(line)):
                continue
            elif match := FRAME.fullmatch(line):
                if info is not None:
                    yield _complete(path, info)
                info = FrameInfo(int(match[1]))
            elif info is None:
                raise _unexpected(place, "[Fn]", line)
            elif match := TYPE.fullmatch(line):
                info.type, info.layout = match[1].decode(), match[2].decode().replace(" ", "")
                info.shape = (int(match[4]), int(match[3]))
                if not (0 < info.shape[0] <= LARGEST_SIDE and 0 < info.shape[1] <= LARGEST_SIDE):
                    raise _unexpected(place, f"a width and height of 1 to {LARGEST_SIDE}", line)
            elif match := KEY.fullmatch(line):
                key = match[1].decode("latin-1")
                info.notes[key] = match[2].decode("latin-1")
                wait = 2
            else:
                raise _unexpected(place, 'a Type or "Key" ("Description"): line', line)
    if info is None or wait:
        raise InputError(f"{path} stops in the middle of a frame's description; copy it again")
    yield _complete(path, info)


def _complete(path: Path, info: FrameInfo) -> FrameInfo:
    if not info.type:
        raise InputError(f"{path}, [F{info.number}]: no Type line; copy the file again")
    return info


def _unexpected(place: str, expected: str, line: bytes) -> InputError:
    return InputError(
        f"{place}: expected {expected}; received {line[:40].decode('ascii', 'replace').strip()!r}; copy it again, or "
        "remove it to read the data without"
    )


def read_index(path: Path, frames: int) -> np.ndarray:
    """(frames - 1, 3) int64 records of an `.idx`.

    Raises:
        InputError: another size, or offsets that do not grow.
    """
    advice = "remove it to read the data from its start"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); {advice}") from error
    if len(content) != 24 * (frames - 1):
        raise InputError(
            f"{path}: {frames} frames have an index of {24 * (frames - 1)} bytes; received {len(content)}; {advice}"
        )
    records = np.frombuffer(content, "<i8").reshape(-1, 3)
    if (records < 0).any() or (np.diff(records[:, :2], axis=0) <= 0).any() or records[:, 2].any():
        raise InputError(f"{path}: the offsets do not grow from frame to frame; {advice}")
    return records
