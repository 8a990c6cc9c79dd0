"""Frames to the text of Pixelman and Pixet; the formats are described in `particle_zoo.detectors.readers.pixet`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from particle_zoo.detectors.frames import Frames
from particle_zoo.detectors.readers.dsc import NUMBERS
from particle_zoo.errors import InputError

LAYOUTS = {"matrix": "matrix", "sparse": "[X,C]", "xyC": "[X,Y,C]"}
"""Layouts and how a .dsc calls them."""

NOTES = {
    "start_s": "Acquisition start time",
    "duration_s": "Acquisition time [s]",
    "threshold_kev": "Threshold [keV]",
    "hv_v": "High voltage [V]",
    "clock_mhz": "Timepix clock (in MHz)",
}
CHIPS = ("MXR", "TPX", "MPX3", "TPX3")


def write(path: Path, description: Path, index: Path, parts: Iterable[Frames], *, layout: str = "matrix") -> int:
    """Write parts one after the other with their description, and an index where there is more than one frame.

    Pixels, values, times and the table's start_s, duration_s, threshold_kev, hv_v, clock_mhz, chip_type and chip_id
    come back exactly as they were, except for pixels of energy 0, which text cannot tell from those not hit. Frames
    with `toa` become packed Timepix3 values (ToA+ToT) of Type u64.

    Args:
        path: file of the values.
        description: the .dsc.
        index: the .idx.
        parts: frames, numbered through from 0.
        layout: matrix, sparse or xyC.

    Returns:
        Number of frames.

    Raises:
        InputError: an unknown layout, nothing to write, parts that differ in shape, unit or times, ToT that is not
            whole, or values that do not fit the packing.
    """
    if layout not in LAYOUTS:
        raise InputError(f"layout must be one of {', '.join(LAYOUTS)}; received {layout!r}")
    number = 0
    end = b"\r\n" if layout == "xyC" else b"\n"
    top: Frames | None = None
    with path.open("wb") as data, description.open("wb") as text, index.open("wb") as records:
        # The number of frames is known at the end; the field has a fixed width.
        text.write(b"A%09d\n" % 0)
        for part in parts:
            top = top or part
            if (part.shape, part.unit, part.toa is None) != (top.shape, top.unit, top.toa is None):
                raise InputError(f"one file holds one kind of frames; received {top!r} and {part!r}")
            for i, (row, col, values) in enumerate(_frames(part)):
                if number:
                    records.write(np.array([text.tell(), data.tell(), 0], "<i8").tobytes())
                    text.write(b"\n")
                text.write(f"[F{number}]\n{_type(part, values)} {LAYOUTS[layout]} ".encode())
                text.write(f"width={part.shape[1]} height={part.shape[0]}\n".encode())
                text.write("".join(_keys(part, i)).encode("latin-1", "replace"))
                data.write(_content(row, col, values, layout, part.shape, end))
                number += 1
        if not number:
            raise InputError("there are no frames to write; give at least one")
        text.seek(0)
        text.write(b"A%09d\n" % number)
    if layout == "xyC" and number == 1:
        # A lone list has no mark.
        content = path.read_bytes()
        path.write_bytes(content.removesuffix(b"#\r\n"))
    return number


def _frames(part: Frames) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    values = part.energy.astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError("frames hold NaN or infinite energies; replace them before writing")
    if part.unit == "ToT":
        odd = (values != np.floor(values)) | (values < 0) | (values >= 2**53)
        if odd.any():
            raise InputError(f"ToT are whole counts; received {values[odd.argmax()]}; if these are keV, say unit='keV'")
    if part.toa is not None:
        values = _packed(part, values).astype(np.float64)
    for start, stop in zip(part.offsets[:-1], part.offsets[1:], strict=True):
        yield part.row[start:stop], part.col[start:stop], values[start:stop]


def _packed(part: Frames, tot: np.ndarray) -> np.ndarray:
    assert part.toa is not None
    if part.unit != "ToT":
        raise InputError(f"packed Timepix3 values hold ToT; received {part.unit}; write frames without toa")
    coarse = np.maximum(-(-part.toa // 16), 0)
    fine = 16 * coarse - part.toa
    packed = (fine << 24) | (tot.astype(np.int64) << 14) | coarse
    odd = (coarse > 0x3FFF) | (fine > 31) | (tot > 0x3FF) | (packed == 0)
    if odd.any():
        i = int(odd.argmax())
        raise InputError(
            f"a packed value holds ToT to 1023 and times from -31 to {16 * 0x3FFF} steps, not both 0; received ToT "
            f"{tot[i]:g} at {part.toa[i]}"
        )
    return packed


def _type(part: Frames, values: np.ndarray) -> str:
    if part.toa is not None:
        return "Type=u64"
    if part.unit == "keV" or (values != np.floor(values)).any():
        return "Type=double"
    return "Type=i16" if not len(values) or values.max() < 2**15 else "Type=u32"


def _keys(part: Frames, i: int) -> Iterator[str]:
    assert part.table is not None
    row = part.table.iloc[i]
    for column, key in NUMBERS.items():
        if column in row and np.isfinite(value := float(row[column])):
            yield f'"{key}" ("{NOTES[column]}"):\ndouble[1]\n{value!r} \n\n'
    chip = str(row.get("chip_type", ""))
    if chip in CHIPS:
        legend = ", ".join(f"{n}-{name}" for n, name in enumerate(CHIPS, start=1))
        yield f'"Mpx type" ("Medipix type ({legend})"):\ni32[1]\n{CHIPS.index(chip) + 1} \n\n'
    identity = " ".join(str(row.get("chip_id", "")).split())
    if identity:
        yield f'"ChipboardID" ("Chipboard ID"):\nchar[{len(identity)}]\n{identity}\n\n'
    if part.toa is not None:
        yield '"Operation mode" ("Operation mode"):\nchar[7]\nToA+ToT\n\n'


def _content(
    row: np.ndarray, col: np.ndarray, values: np.ndarray, layout: str, shape: tuple[int, int], end: bytes
) -> bytes:
    # repr is the shortest text that gives the same value again.
    numbers = [str(int(v)) if v == int(v) else repr(v) for v in values.tolist()]
    if layout == "matrix":
        cells = {y: ["0"] * shape[1] for y in row.tolist()}
        for y, x, number in zip(row.tolist(), col.tolist(), numbers, strict=True):
            cells[y][x] = number
        blank = " ".join(["0"] * shape[1]) + "\n"
        lines = [" ".join(cells[y]) + "\n" if y in cells else blank for y in range(shape[0])]
        return "".join(lines).encode()
    pixels = (row.astype(np.int64) * shape[1] + col).tolist()
    if layout == "sparse":
        lines = [f"{pixel}\t{number}" for pixel, number in zip(pixels, numbers, strict=True)]
    else:
        lines = [f"{x}\t{y}\t{n}" for x, y, n in zip(col.tolist(), row.tolist(), numbers, strict=True)]
    kept = [line.encode() for line, number in zip(lines, numbers, strict=True) if number != "0"]
    return end.join([*kept, b"#", b""])
