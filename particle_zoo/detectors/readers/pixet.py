"""Text frames of Pixet and Pixelman: matrices (.txt, .pmf), lists of `index value` and of `x y C` (.txt).

A matrix is a line a row with a space after every value; a .pmf is frames one after the other without a mark between them.
In lists, `#` closes a frame; without any, the file is one frame. A .dsc beside the file says more (see
`particle_zoo.detectors.readers.dsc`), and a .idx where frame k + 1 begins: records of three int64, the places in the .dsc,
in the file, and of a sub-frame. Frames of Timepix3 with Type=u64 pack two measurements into a value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from particle_zoo.detectors.frames import Frames
from particle_zoo.detectors.readers import dsc
from particle_zoo.detectors.readers.format import Format
from particle_zoo.detectors.readers.text import NUMBER, blocks, numbers
from particle_zoo.errors import InputError

SHAPE = (256, 256)
MODES = {"toa+tot": 29, "event+itot": 24}
"""What packed values hold, and their bits."""

BLOCK = 2**23
"""Bytes of text read at a time."""

LINES = {
    "matrix": re.compile(rb"(?:" + NUMBER + rb"[ \t]+){63,}(?:" + NUMBER + rb")?[ \t]*"),
    "sparse": re.compile(rb"\d{1,10}\t" + NUMBER + rb"[ \t]*"),
    "xyc": re.compile(rb"\d{1,5}\t\d{1,5}\t" + NUMBER + rb"[ \t]*"),
}
"""What a line looks like."""

NAMES = {"sparse": ("index", "value"), "xyc": ("x", "y", "value")}
INDEX = np.dtype([("dsc", "<i8"), ("frame", "<i8"), ("sub", "<i8")])


def iter_frames(
    path: str | Path,
    *,
    unit: str = "ToT",
    mode: str | None = None,
    first: int = 0,
    count: int | None = None,
    partial: bool = False,
    block: int = BLOCK,
) -> Iterator[Frames]:
    """Yield the frames in file order, as many at a time as `block` bytes hold; pixels of value 0 are not hit.

    Args:
        path: file.
        unit: what the values are, ToT or keV; the file does not say.
        mode: of packed values (Type=u64): "toa+tot" gives ToT and ToA, "event+itot" the integrated ToT. The file does not
            say, so they are not read without it.
        first: frames to skip; a .idx beside the file makes that quick.
        count: frames to read; all by default.
        partial: read the whole frames of a file that ends inside one.
        block: bytes of text to read at a time.

    Raises:
        InputError: a line that is none of the layout, a number of frames that is not that of the .dsc, a file that ends
            inside a frame; names the line.
    """
    path = Path(path)
    if mode is not None and mode not in MODES:
        raise InputError(f"mode must be {' or '.join(MODES)}; received {mode!r}")
    about = dsc.beside(path)
    layout = _layout(path, about)
    packed = about is not None and about.kind == "u64"
    if packed and mode is None:
        raise InputError(f"{path} has packed 64-bit values; say what they hold with mode=toa+tot or mode=event+itot")
    if mode is not None and not packed:
        raise InputError(f"{path} has no packed 64-bit values (Type=u64 in its .dsc), so leave mode out")
    shape = about.shape if about else None
    parts = (
        _matrices(path, shape, partial, block, first)
        if layout == "matrix"
        else _lists(path, layout, shape, partial, block)
    )
    done, last = 0, math.inf if count is None else first + count
    for row, col, value, sizes, sides in parts:
        number = done + np.arange(len(sizes)) + (_skipped(path, first) if layout == "matrix" else 0)
        done += len(sizes)
        frames = _frames(path, row, col, value, sizes, sides, number, about, unit, mode if packed else None)
        chosen = frames[(number >= first) & (number < last)]
        if len(chosen):
            yield chosen
    done += _skipped(path, first) if layout == "matrix" else 0
    if about is not None and done != about.count:
        raise InputError(f"{path} holds {done} frames, its .dsc announces {about.count}; copy both again")


def _layout(path: Path, about: dsc.Description | None) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(2**16)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a readable file") from error
    line = next((line for line in start.splitlines() if line.strip() and not line.startswith(b"#")), b"")
    found = next((name for name, pattern in LINES.items() if pattern.fullmatch(line.rstrip())), None)
    if found is None and about is not None and len(line.split()) == about.shape[1]:
        found = "matrix"
    if found is None and about is not None and not line:
        found = "xyc" if "X,Y,C" in about.layout else "sparse"
    if found is None:
        raise InputError(f"{path}, line 1: expected a frame as text; received {line[:40]!r}")
    expected = "xyc" if about and "X,Y" in about.layout else "matrix" if about and "matrix" in about.layout else found
    if about is not None and expected != found:
        raise InputError(f"{path} is a {found} file, its .dsc says {about.layout}; give the .dsc that belongs to it")
    return found


def _index(path: Path) -> np.ndarray | None:
    """Places of the frames 1, 2, ... of a file; None without a .idx.

    Raises:
        InputError: a .idx that cannot belong to the file.
    """
    own = path.with_name(path.name + ".idx")
    if not own.is_file():
        return None
    content = own.read_bytes()
    places = np.frombuffer(content[: len(content) // INDEX.itemsize * INDEX.itemsize], INDEX)["frame"]
    inside = (np.diff(places, prepend=0) > 0).all() and (not len(places) or places[-1] < path.stat().st_size)
    if len(content) % INDEX.itemsize or not inside:
        raise InputError(f"{own} does not belong to {path.name} or is damaged; remove it to read the frames one by one")
    return places


def _skipped(path: Path, first: int) -> int:
    """Frames the index lets a reader skip."""
    places = _index(path) if first else None
    return 0 if places is None else min(first, len(places))


def _matrices(path: Path, shape: tuple[int, int] | None, partial: bool, block: int, first: int) -> Iterator[tuple]:
    skipped = _skipped(path, first)
    places = _index(path)
    offset = int(places[skipped - 1]) if places is not None and skipped else 0
    if offset and not _starts_line(path, offset):
        raise InputError(
            f"{path}.idx: frame {skipped} does not begin at byte {offset}; remove the .idx or copy it again"
        )
    rest, width = None, shape[1] if shape else None
    for line, text in blocks(path, block, offset=offset, whole=not partial):
        rows = numbers(path, text, line, width)
        width = rows.shape[1]
        height = shape[0] if shape else width
        rows = rows if rest is None else np.concatenate([rest, rows])
        whole = len(rows) // height
        rest = rows[whole * height :]
        if whole:
            images = rows[: whole * height].reshape(whole, height, width)
            if (images < 0).any():
                raise InputError(
                    f"{path}, lines {line} and after: a pixel is negative; give the frames as they were read out"
                )
            frame, row, col = np.nonzero(images)
            sizes = np.bincount(frame, minlength=whole)
            yield row, col, images[frame, row, col], sizes, (height, width)
    if rest is not None and len(rest) and not partial:
        raise InputError(
            f"{path}: the last frame has {len(rest)} rows of {height}; copy the file again, or read the others with partial=True"
        )


def _starts_line(path: Path, offset: int) -> bool:
    with path.open("rb") as file:
        file.seek(offset - 1)
        return file.read(1) == b"\n"


def _lists(path: Path, layout: str, shape: tuple[int, int] | None, partial: bool, block: int) -> Iterator[tuple]:
    names = NAMES[layout]
    height, width = shape or SHAPE
    rest, start, marked = b"", 1, False
    for line, text in blocks(path, block, whole=not partial):
        start = start if rest else line
        text = rest + text
        marked = marked or b"#" in text
        # Without marks the file is one frame; with them, the last block may hold a part of one.
        cut = text.rfind(b"#") + 1
        rest = text[cut:]
        if cut:
            yield _listed(path, text[: cut - 1], start, names, (height, width))
            start += text.count(b"\n", 0, cut)
    if rest.strip() or not marked:
        if marked and not partial:
            raise InputError(
                f"{path}, line {start}: the last frame is not closed by #; copy the file again, or read the others with "
                "partial=True"
            )
        if not marked:
            yield _listed(path, rest, 1, names, (height, width))


def _listed(path: Path, text: bytes, line: int, names: tuple[str, ...], shape: tuple[int, int]) -> tuple:
    pieces = [piece.replace(b"\r", b"").strip(b"\n") for piece in text.split(b"#")]
    sizes = np.array([piece.count(b"\n") + 1 if piece else 0 for piece in pieces])
    joined = b"\n".join(piece for piece in pieces if piece).replace(b"\t", b" ").replace(b" \n", b"\n").rstrip()
    if not joined:
        nothing = np.empty(0, np.int64)
        return nothing, nothing, nothing.astype(float), sizes, shape
    table = numbers(path, joined, line, len(names)).T
    if names[0] == "index":
        row, col = np.divmod(table[0], shape[1])
    else:
        col, row = table[0], table[1]
    odd = (
        (row < 0) | (row >= shape[0]) | (col < 0) | (col >= shape[1]) | (row != np.floor(row)) | (col != np.floor(col))
    )
    odd |= table[-1] < 0
    if odd.any() or len(row) != sizes.sum():
        i = int(odd.argmax())
        raise InputError(
            f"{path}, lines {line} and after: no pixel of {shape[0]} x {shape[1]} is {' '.join(f'{v:g}' for v in table[:, i])}; "
            "copy the file again"
        )
    return row, col, table[-1], sizes, shape


def _frames(
    path: Path,
    row: np.ndarray,
    col: np.ndarray,
    value: np.ndarray,
    sizes: np.ndarray,
    shape: tuple[int, int],
    number: np.ndarray,
    about: dsc.Description | None,
    unit: str,
    mode: str | None,
) -> Frames:
    table = pd.DataFrame({"frame": number})
    if about is not None:
        if number[-1] >= about.count:
            raise InputError(f"{path} holds more frames than the {about.count} its .dsc announces; copy both again")
        table = pd.concat([table, about.table.iloc[number].reset_index(drop=True)], axis=1)
    table["source"] = path.name
    toa = None
    if mode is not None:
        whole = value.astype(np.int64)
        if (value != whole).any() or (whole >> MODES[mode]).any():
            raise InputError(
                f"{path}, frame {number[0]} or after: values of more than {MODES[mode]} bits; choose another mode"
            )
        if mode == "toa+tot":
            toa = 16 * (whole & 0x3FFF) - (whole >> 24)
            value = (whole >> 14) & 0x3FF
        else:
            value = whole & 0x3FFF
    hit = slice(None) if mode is not None else value > 0
    if not isinstance(hit, slice):
        frame = np.repeat(np.arange(len(sizes)), sizes)
        sizes = np.bincount(frame[hit], minlength=len(sizes))
    # Kept exactly where single precision would round.
    value = value[hit]
    exact = (value.astype(np.float32) == value).all()
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return Frames(
        row[hit], col[hit], value.astype(np.float32 if exact else np.float64), offsets, shape, table, unit, toa
    )


def _recognise(start: bytes) -> bool:
    if b"\0" in start:
        return False
    lines = start.splitlines()
    whole = [line.rstrip() for line in (lines[:-1] if len(start) >= 4096 and len(lines) > 1 else lines)]
    kept = [line for line in whole if line and line != b"#"]
    if len(start) >= 4096 and len(lines) == 1:
        # One row longer than what may be looked at.
        return LINES["matrix"].match(start) is not None
    return bool(kept) and any(all(pattern.fullmatch(line) for line in kept) for pattern in LINES.values())


def _of_another(path: str | Path) -> Iterator[Frames]:
    name = Path(path).name.rsplit(".", 1)[0]
    raise InputError(f"{path} only describes a file of frames; give {name}")
    yield  # pragma: no cover


OPTIONS = ("unit", "mode", "first", "count", "partial", "block")
FORMAT = Format("Pixet frames", (".txt", ".pmf"), _recognise, iter_frames, OPTIONS)
COMPANION = Format(
    "description",
    (".dsc", ".idx", ".info"),
    lambda start: dsc.START.match(start) is not None,
    _of_another,
    companion=True,
)
