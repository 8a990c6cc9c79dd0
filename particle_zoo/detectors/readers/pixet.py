"""Frames of Pixelman and Pixet as text (.txt, .pmf), with or without `.dsc` and `.idx` beside them.

Matrix: a line a row of the chip, values with a space between them and, in some versions, behind the last; the frames of
a .pmf follow each other without separator. List: `index<TAB>value` with index = width y + x, or `x<TAB>y<TAB>value`; a line `#` closes each frame. A
file of x, y, value without any `#` is one frame.

Timepix3 packs two measurements into the values of a frame of Type u64: FToA << 24 | ToT << 14 | ToA (25 ns; FToA
1.5625 ns, to be subtracted), or events << 14 | iToT. Nothing in the value says which.
"""

from __future__ import annotations

import io
import itertools
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from particle_zoo.detectors.frames import Frames
from particle_zoo.detectors.readers import dsc
from particle_zoo.detectors.readers.format import HEAD, Format, head, unpacked
from particle_zoo.detectors.readers.pixet_text import NUMBER, iter_lists, iter_matrices
from particle_zoo.errors import InputError

BLOCK = 32
"""Frames of a matrix file parsed at a time."""

SIDE = 256
MODES = ("toa+tot", "event+itot", "plain")
ROW = re.compile(rb"\s*(?>" + NUMBER + rb"[ \t]+){63,}" + NUMBER)
LINES = {
    "sparse": re.compile(rb"(?>\d{1,9}\t" + NUMBER + rb"\r?\n|#\r?\n)+"),
    "xyC": re.compile(rb"(?>\d{1,5}\t\d{1,5}\t" + NUMBER + rb"\r?\n|#\r?\n)+"),
}
OTHER_QUANTITY = re.compile(r"\.(?:pmf|txt)_(ToA|FTOA|Event|Hit)\.(?:pmf|txt)$", re.IGNORECASE)
KEV_FILE = re.compile(r"\d+_fullres\.txt")
"""Frames of VZLUSAT-1 are in keV, says its data set (github.com/vzlusat/vzlusat1-timepix-data)."""

LARGEST_TOT = 2**14
PACKED = 2**29


def iter_frames(
    path: str | Path,
    *,
    unit: str | None = None,
    mode: str | None = None,
    first: int = 0,
    count: int | None = None,
    block: int = BLOCK,
) -> Iterator[Frames]:
    """Yield the frames in file order, some at a time; pixels with value 0 are not hit.

    The table has `frame`, `source` and, with a .dsc, `start_s` (Unix time), `duration_s`, `threshold_kev`, `hv_v`,
    `clock_mhz`, `chip_type`, `chip_id` (NaN or "" where it does not say).

    Args:
        path: the data file.
        unit: ToT or keV; ToT where not given, keV for `N_fullres.txt` of VZLUSAT-1 and values of Type float or double.
        mode: of packed Timepix3 values: "toa+tot" (ToT into the energy, `Frames.toa` in the frame), "event+itot" (iToT
            into the energy; the numbers of events are left out), or "plain" for values that are not packed. Needed for
            Type u64 unless the .dsc names it.
        first: frame to start at, from 0. With an .idx the reader jumps there, after it has found whole frames on both
            sides of the place; without, it reads over the frames before.
        count: number of frames; all when not given.
        block: frames of a matrix file to parse at a time.

    Raises:
        InputError: damaged text, data and .dsc that disagree, a damaged .idx that is needed, packed values without a
            mode, or a file that holds no energies; names the line where there is one.
    """
    path = Path(path)
    _refuse(path, unit, mode, first, count)
    described = dsc.beside(path)
    announced = dsc.read_count(described) if described else None
    top = next(dsc.iter_frames(described)) if described else None
    start = head(path)
    layout = _layout(path, start, top)
    shape = top.shape if top else _shape(start, layout)
    mode = mode or (top.mode if top else None)
    if top and top.type == "u64" and mode is None:
        raise InputError(
            f"{path} holds packed Timepix3 values and its .dsc does not say which; read it with mode='toa+tot' or "
            "mode='event+itot'"
        )
    if top and top.type != "u64" and mode in ("toa+tot", "event+itot"):
        raise InputError(f"{path} has values of Type {top.type}, which are not packed; read it without mode={mode!r}")
    if unit is None:
        known = KEV_FILE.fullmatch(path.name) or (top and top.type in ("float", "double"))
        unit = "keV" if known and mode in (None, "plain") else "ToT"
    done, data_start, text_start = 0, 0, 0
    index = path.with_name(path.name + ".idx")
    if first and described and announced and top and first < announced and index.is_file():
        done, (text_start, data_start, _) = (
            first,
            _jump(path, described, index, announced, first, layout, shape, top.number + first),
        )
    infos = dsc.iter_frames(described, text_start) if described else itertools.repeat(None)
    stop = None if count is None else first + count
    try:
        with unpacked(path) as file:
            file.seek(data_start)
            for sizes, row, col, value in _blocks(file, path, layout, shape, block):
                said = list(itertools.islice(infos, len(sizes)))
                if announced is not None and done + len(sizes) > announced:
                    raise InputError(
                        f"{path} holds more frames than the {announced} its .dsc announces; remove the .dsc or copy both"
                    )
                _agree(path, said, top)
                table = _table(path, described, said, done, len(sizes))
                a, b = max(first - done, 0), len(sizes) if stop is None else min(stop - done, len(sizes))
                offsets = np.concatenate([[0], np.cumsum(sizes)])
                done += len(sizes)
                if b > a:
                    frames = _frames(path, (row, col, value), offsets, shape, table, unit, mode, described is not None)
                    yield frames[a:b]
                if stop is not None and done >= stop:
                    return
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read ({error}); copy it again") from error
    if announced is not None and done != announced:
        raise InputError(f"{path} holds {done} frames, its .dsc announces {announced}; copy both again")
    if stop is not None or first >= done > 0:
        asked = f"frames {first} to {stop}" if stop is not None else f"frame {first}"
        raise InputError(f"{path} holds {done} frames, counted from 0; there is no end to {asked}, ask for fewer")


def _refuse(path: Path, unit: str | None, mode: str | None, first: int, count: int | None) -> None:
    if path.suffix.lower() in (".dsc", ".idx") and path.with_suffix("").is_file():
        raise InputError(f"{path} describes {path.with_suffix('').name}; give that file, the description is found")
    if path.suffix.lower() in (".dsc", ".idx"):
        raise InputError(f"{path} only describes the data file {path.stem}, which is not beside it; give the data file")
    quantity = OTHER_QUANTITY.search(path.name)
    if quantity:
        raise InputError(
            f"{path} holds {quantity[1]} values and no energies; give the file ending in _ToT{path.suffix} or _iToT"
            f"{path.suffix}, or the one they were split from"
        )
    if mode not in (None, *MODES):
        raise InputError(f"mode must be one of {', '.join(MODES)}; received {mode!r}")
    if unit not in (None, "ToT", "keV") or (unit == "keV" and mode in ("toa+tot", "event+itot")):
        raise InputError(f"unit must be ToT or keV, and packed values are ToT; received {unit!r}, mode={mode!r}")
    if first < 0 or (count is not None and count < 1):
        raise InputError(f"first must be at least 0 and count at least 1; received {first} and {count}")


def _layout(path: Path, start: bytes, top: dsc.FrameInfo | None) -> str:
    said = {None: None, "matrix": "matrix", "[X,Y,C]": "xyC"}.get(top.layout if top else None, "sparse")
    if not start.strip() and said in ("xyC", "sparse"):
        return said
    found = recognised(start)
    if found is None or (start.strip(b"#\r\n") == b"" and said != "matrix"):
        found = said if found else None
    if found is None:
        raise InputError(
            f"{path} starts with {start[:30]!r}; expected rows of a matrix, index<TAB>value or x<TAB>y<TAB>value lines"
        )
    if said is not None and said != found:
        raise InputError(f"{path} is {found} text, its .dsc says {top.layout if top else ''}; copy both again")
    return found


def recognised(start: bytes) -> str | None:
    """The layout of a text that starts so: matrix, sparse, xyC or None."""
    if ROW.match(start):
        return "matrix"
    # The last line may be cut off.
    whole = start[: start.rfind(b"\n") + 1] if len(start) >= HEAD else start.rstrip() + b"\n"
    return next((name for name, pattern in LINES.items() if pattern.fullmatch(whole)), None)


def _shape(start: bytes, layout: str) -> tuple[int, int]:
    line = start.lstrip().split(b"\n", 1)[0]
    side = len(line.split()) if layout == "matrix" and b"\n" in start.lstrip() else SIDE
    return (side, side)


def _blocks(
    file: IO[bytes], path: Path, layout: str, shape: tuple[int, int], block: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Pixels a frame, row, column and value of some frames at a time."""
    if layout == "matrix":
        yield from iter_matrices(file, path, shape, block)
        return
    for sizes, columns in iter_lists(file, path, 2 if layout == "sparse" else 3, shape):
        if layout == "sparse":
            row, col = np.divmod(columns[0].astype(np.int64), shape[1])
        else:
            col, row = columns[0].astype(np.int64), columns[1].astype(np.int64)
        kept = columns[-1] != 0
        frame = np.repeat(np.arange(len(sizes)), sizes)[kept]
        yield np.bincount(frame, minlength=len(sizes)), row[kept], col[kept], columns[-1][kept]


def _agree(path: Path, said: list[Any], top: dsc.FrameInfo | None) -> None:
    for info in said:
        if info is not None and top is not None:
            same = (info.layout, info.shape, info.type == "u64", info.mode) == (
                top.layout, top.shape, top.type == "u64", top.mode,
            )  # fmt: skip
            if not same:
                raise InputError(
                    f"{path}: the .dsc gives frame [F{info.number}] another Type or mode than the first; split the file"
                )


def _table(path: Path, described: Path | None, said: list[Any], before: int, n: int) -> pd.DataFrame:
    if described is None:
        table = pd.DataFrame({"frame": np.arange(before, before + n)})
    else:
        if len(said) < n:
            raise InputError(f"{path} holds more frames than its .dsc describes; copy both again")
        table = pd.DataFrame([info.row(described) for info in said])
    return table.assign(source=path.name)


def _frames(
    path: Path,
    pixels: tuple[np.ndarray, np.ndarray, np.ndarray],
    offsets: np.ndarray,
    shape: tuple[int, int],
    table: pd.DataFrame,
    unit: str,
    mode: str | None,
    described: bool,
) -> Frames:
    row, col, value = pixels

    def bad(wrong: np.ndarray, why: str) -> None:
        if wrong.any():
            i = int(wrong.argmax())
            number = table["frame"].iloc[int(np.searchsorted(offsets, i, side="right")) - 1]
            raise InputError(f"{path}, frame {number}, row {row[i]}, column {col[i]}: {value[i]:.12g} {why}")

    if unit == "keV":
        return Frames(row, col, value, offsets, shape, table, "keV")
    bad(value != np.floor(value), "is no whole count; if the values are energies, read them with unit='keV'")
    bad((value < 0) | (value >= 2**53), "is no count; copy the file again")
    if mode in (None, "plain"):
        if mode is None and not described:
            bad(
                value >= LARGEST_TOT,
                "is more ToT than a pixel counts; if the values are packed, read them with mode='toa+tot' or "
                "mode='event+itot', if frames were added up, with mode='plain'",
            )
        exact = value if (value >= 2**24).any() else value.astype(np.float32)
        return Frames(row, col, exact, offsets, shape, table, "ToT")
    packed = value.astype(np.int64)
    if mode == "event+itot":
        return Frames(row, col, (packed & 0x3FFF).astype(np.float32), offsets, shape, table, "ToT")
    bad(packed >= PACKED, "does not fit FToA, ToT and ToA; copy the file again or try mode='event+itot'")
    toa = 16 * (packed & 0x3FFF) - (packed >> 24)
    return Frames(row, col, (packed >> 14 & 0x3FF).astype(np.float32), offsets, shape, table, "ToT", toa)


def _jump(
    path: Path, described: Path, index: Path, frames: int, first: int, layout: str, shape: tuple[int, int], label: int
) -> np.ndarray:
    """The record of frame `first`, after a look whether whole frames lie on both sides and its label is `[Flabel]`.

    The very first frame is looked at too: records that are all moved by the same amount fail there.

    Raises:
        InputError: it points elsewhere.
    """
    records = dsc.read_index(index, frames)
    record = records[first - 1]
    edges = [records[first - 2, 1] if first > 1 else 0, record[1]]
    edges.append(records[first, 1] if first < frames - 1 else None)
    # One matrix, or one list of all pixels, with the longest numbers there are.
    limit = 32 * (shape[0] * shape[1] + shape[0])
    try:
        with described.open("rb") as text:
            text.seek(int(record[0]))
            sound = re.match(rb"\r?\n\[F%d\]" % label, text.read(24)) is not None
        with unpacked(path) as file:
            for a, b in [(0, records[0, 1]), *itertools.pairwise(edges)]:
                file.seek(int(a))
                content = file.read(limit if b is None else min(int(b - a), limit))
                blocks = _blocks(io.BytesIO(content), path, layout, shape, 1)
                sound &= sum(len(sizes) for sizes, *_ in blocks) == 1
    except (InputError, OSError, EOFError, zlib.error):
        sound = False
    if not sound:
        raise InputError(f"{index}: its record of frame {first} points elsewhere; remove it to read from the start")
    return record


FORMAT = Format(
    "Pixet frames",
    (".pmf", ".txt"),
    lambda start: recognised(start) is not None,
    iter_frames,
    ("unit", "mode", "first", "count", "block"),
    gives=Frames,
)


def _describes(start: bytes) -> bool:
    return re.match(rb"A\d{9}\s*\n\[F\d", start) is not None


DESCRIPTION = Format("Pixet description", (".dsc", ".idx"), _describes, iter_frames, FORMAT.options, companion=True)
"""Files that are read with the one they describe."""
