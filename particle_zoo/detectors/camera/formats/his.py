"""Image sequences of Hamamatsu HoKaWo and HiPic (.his).

Sections follow each other: a header of 64 bytes, little-endian, a comment, and pixels row by row. A section holds one
image; the first header then counts the images of the file. Where no header follows the first image, it holds all of them.
Layout as in hdf2root's `readerHIS.py` (CYGNUS-RD).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from particle_zoo.detectors.camera.source import Source, check_size, frame_table, reading
from particle_zoo.detectors.readers.format import Format
from particle_zoo.errors import InputError

MAGIC = b"IM"

HEADER = np.dtype(
    [
        ("magic", "S2"),
        ("comment", "<u2"),
        ("width", "<u2"),
        ("height", "<u2"),
        ("x", "<u2"),
        ("y", "<u2"),
        ("pixel", "<u2"),
        ("images", "<u4"),
        ("channels", "<u2"),
        ("channel", "<u2"),
        ("time", "<f8"),
        ("marker", "<u4"),
        ("other", "V30"),
    ]
)

PIXELS: dict[int, np.dtype[np.unsignedinteger]] = {1: np.dtype("<u1"), 2: np.dtype("<u2"), 3: np.dtype("<u4")}


def sources(path: Path, *, partial_run: bool = False) -> Iterator[Source]:
    """Yield the frames of a file; `timestamp` of the table is the number in the header, in the camera's own unit.

    Args:
        path: the file.
        partial_run: take the complete frames of a file that ends early, as a stopped acquisition leaves it.

    Raises:
        InputError: damaged, truncated, without a frame, or with frames in colour or of different sizes.
    """
    with reading(path, "HIS"), path.open("rb") as stream:
        length = path.stat().st_size
        first: tuple[tuple[int, int], np.dtype[np.unsignedinteger]] | None = None
        offsets: list[int] = []
        times: list[float] = []
        position, expected = 0, 1
        while position < length:
            number = len(offsets)
            header = _header(stream, position)
            if header is None:
                if partial_run and offsets:
                    break
                raise _broken(path, number, position, length)
            pixel = _pixel(path, number, header)
            shape = check_size(f"{path}, frame {number}", (header["height"], header["width"]))
            if first is None:
                first, expected = (shape, pixel), max(int(header["images"]), 1)
            elif first != (shape, pixel):
                raise InputError(
                    f"{path}, frame {number}: {shape[0]} x {shape[1]} px of {pixel.itemsize} bytes, frame 0 has "
                    f"{first[0][0]} x {first[0][1]} px of {first[1].itemsize}; keep frames of different sizes in "
                    f"separate files"
                )
            position += HEADER.itemsize + int(header["comment"])
            each = shape[0] * shape[1] * pixel.itemsize
            block = (
                expected > 1 and number == 0 and position + each < length and _header(stream, position + each) is None
            )
            images = expected if block else 1
            complete = min(images, max(length - position, 0) // each)
            if complete < images and not (partial_run and number + complete):
                raise _truncated(path, number + complete, position + complete * each, length)
            offsets += [position + i * each for i in range(complete)]
            times += [float(header["time"])] * complete
            position += images * each
    if first is None:
        raise InputError(f"{path} is empty; expected HIS sections, each a header of 64 bytes and an image")
    if len(offsets) < expected and not partial_run:
        raise _truncated(path, len(offsets), length, length, expected)
    if position < length and not partial_run:
        raise _broken(path, len(offsets), position, length)
    shape, pixel = first
    table = frame_table(path, np.arange(len(offsets)), timestamp=times)
    yield Source(str(path), shape, table, partial(_images, path, tuple(offsets), shape, pixel))


def _header(stream: IO[bytes], position: int) -> np.void | None:
    """The header at a place; None where there is none."""
    stream.seek(position)
    content = stream.read(HEADER.itemsize)
    if len(content) < HEADER.itemsize or content[:2] != MAGIC:
        return None
    found: np.void = np.frombuffer(content, HEADER)[0]
    return found if found["width"] and found["height"] and found["pixel"] else None


def _pixel(path: Path, number: int, header: np.void) -> np.dtype[np.unsignedinteger]:
    try:
        return PIXELS[int(header["pixel"])]
    except KeyError:
        raise InputError(
            f"{path}, frame {number}: pixel type {header['pixel']}; expected 1, 2 or 3 (8, 16 or 32 bits, one colour)"
        ) from None


def _truncated(path: Path, frame: int, byte: int, length: int, expected: int | None = None) -> InputError:
    of = f" of {expected}" if expected else ""
    return InputError(
        f"{path} is truncated: it ends at byte {length}, inside or before frame {frame}{of}, which starts at byte "
        f"{byte}; copy it again, or give partial_run=True"
    )


def _broken(path: Path, frame: int, byte: int, length: int) -> InputError:
    return InputError(
        f"{path}, byte {byte}: no header of frame {frame} (the file has {length} bytes); copy it again, or give "
        f"partial_run=True"
    )


def _images(
    path: Path,
    offsets: tuple[int, ...],
    shape: tuple[int, int],
    pixel: np.dtype[np.unsignedinteger],
    positions: Sequence[int],
) -> Generator[np.ndarray, None, None]:
    with reading(path, "HIS"), path.open("rb") as stream:
        for position in positions:
            stream.seek(offsets[position])
            image = np.fromfile(stream, pixel, shape[0] * shape[1])
            if image.size < shape[0] * shape[1]:
                raise _truncated(path, position, offsets[position], path.stat().st_size)
            yield image.reshape(shape)


def _recognise(start: bytes) -> bool:
    if len(start) < HEADER.itemsize or start[:2] != MAGIC:
        return False
    header = np.frombuffer(start[: HEADER.itemsize], HEADER)[0]
    return int(header["pixel"]) in PIXELS and bool(header["width"]) and bool(header["height"])


FORMAT = Format("HIS", (".his",), _recognise, sources, ("partial_run",))
