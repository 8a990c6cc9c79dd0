"""`.dsc`: what Pixet and Pixelman write about the frames of a file beside it.

Line 1 is `A` and the number of frames; then for every frame `[Fn]`, `Type=<i16|u32|u64|...> <matrix | [X,Y,C] | ...>
width=W height=H`, and blocks of `"Key" ("Description"):`, `type[n]`, values and an empty line. Doubles may have a decimal
comma.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from particle_zoo.errors import InputError

START = re.compile(rb"[AB]\d{9}\r?\n")
TYPE = re.compile(r"Type=(\w+)\s+(.+?)\s+width=(\d{1,5})\s+height=(\d{1,5})\s*")
ENTRY = re.compile(r'^"([^"\n]+)" \([^\n]*\):\n(\w+)\[\d+\]\n([^\n]*)', re.MULTILINE)

COLUMNS = {
    "Start time": "start_s",
    "Acq time": "duration_s",
    "Threshold": "threshold_kev",
    "HV": "bias_v",
    "Acq Serie Index": "series_index",
    "ChipboardID": "chipboard",
}
"""Entries that become columns of the frames' table."""


@dataclass(frozen=True)
class Description:
    """What a .dsc says.

    Args:
        count: number of frames.
        kind: type of the values, e.g. i16 or u64.
        layout: how they are written, e.g. matrix or [X,Y,C].
        shape: rows and columns.
        table: one row a frame, `COLUMNS` where known.
    """

    count: int
    kind: str
    layout: str
    shape: tuple[int, int]
    table: pd.DataFrame


def beside(path: Path) -> Description | None:
    """The description beside a frame file, if there is one.

    Raises:
        InputError: it is damaged.
    """
    own = path.with_name(path.name + ".dsc")
    return read(own) if own.is_file() else None


def read(path: Path) -> Description:
    """Read a .dsc.

    Raises:
        InputError: damaged; names the frame.
    """
    try:
        text = path.read_bytes().decode("latin-1").replace("\r\n", "\n")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a readable file") from error
    count = re.match(r"[AB](\d{9})\n", text)
    if count is None:
        raise InputError(f"{path}, line 1: expected A and the number of frames; received {text[:20]!r}; copy it again")
    parts = re.split(r"^\[F(\d{1,9})\]\n", text[count.end() :], flags=re.MULTILINE)
    numbers = [int(number) for number in parts[1::2]]
    if numbers != list(range(len(numbers))) or len(numbers) != int(count[1]):
        raise InputError(
            f"{path} announces {int(count[1])} frames and describes {len(numbers)}, numbered up to "
            f"{max(numbers, default=-1)}; copy it again"
        )
    if not numbers:
        raise InputError(f"{path} describes no frame; copy it again")
    rows, kinds = [], set()
    for number, body in zip(numbers, parts[2::2], strict=True):
        found = TYPE.match(body)
        if found is None or not 0 < int(found[3]) <= 65535 or not 0 < int(found[4]) <= 65535:
            raise InputError(f"{path}, [F{number}]: expected a Type line; received {body[:40]!r}; copy it again")
        kinds.add((found[1], found[2], int(found[4]), int(found[3])))
        rows.append(_columns(path, number, body))
    if len(kinds) > 1:
        raise InputError(f"{path} describes frames of {len(kinds)} types; give files of one type each")
    kind, layout, height, width = kinds.pop()
    return Description(len(numbers), kind, layout, (height, width), pd.DataFrame(rows, index=range(len(rows))))


def _columns(path: Path, number: int, body: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, kind, value in ENTRY.findall(body):
        if key not in COLUMNS:
            continue
        if kind in ("char", "uchar"):
            found[COLUMNS[key]] = value.strip()
            continue
        try:
            found[COLUMNS[key]] = float(value.strip().replace(",", "."))
        except ValueError as error:
            raise InputError(
                f"{path}, [F{number}]: {key} is {value[:20]!r}, which is no number; copy it again"
            ) from error
    return found
