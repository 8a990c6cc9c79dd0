"""Frames in NumPy's .npy (read in place) and .npz (unpacked frame by frame)."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from particle_zoo.detectors.camera.source import Source, check_size, frame_table, reading
from particle_zoo.detectors.readers.format import Format
from particle_zoo.errors import InputError

MAGIC = b"\x93NUMPY"

Header = tuple[tuple[int, ...], bool, "np.dtype[np.generic]", int]
"""Shape, whether the first index runs fastest, dtype, and the bytes before the values."""


def npy_sources(path: Path) -> Iterator[Source]:
    """Yield the frames of a file with a (rows, cols) or (n, rows, cols) array.

    Raises:
        InputError: damaged, truncated, empty, or an array of another dimension.
    """
    with reading(path, "NumPy"), path.open("rb") as stream:
        shape, fortran, dtype, start = _header(stream, str(path))
        end = start + int(np.prod(shape, dtype=object)) * dtype.itemsize
        length = path.stat().st_size
    count, frame = _frames(str(path), shape)
    if end > length:
        each = frame[0] * frame[1] * dtype.itemsize
        raise InputError(
            f"{path} is truncated: it ends at byte {length} of {end}, in frame {(length - start) // each} of {count}; "
            f"copy it again"
        )
    layout = (shape if len(shape) == 3 else (1, *shape), fortran, dtype, start)
    yield Source(str(path), frame, frame_table(path, np.arange(count)), partial(_mapped, path, layout))


def npz_sources(path: Path) -> Iterator[Source]:
    """Yield the frames of a file: one array (n, rows, cols), or arrays (rows, cols) in the numeric order of their names.

    Raises:
        InputError: damaged, truncated, empty, other arrays, or frames of different sizes.
    """
    with reading(path, "npz"), zipfile.ZipFile(path) as archive:
        names = sorted((n for n in archive.namelist() if n.endswith(".npy")), key=natural)
        entries: list[tuple[str, int]] = []
        first: tuple[int, int] | None = None
        for name in names:
            place = f"{path}: {name.removesuffix('.npy')}"
            with archive.open(name) as stream:
                shape, fortran, _, _ = _header(stream, place)
            if fortran and len(shape) == 3:
                raise InputError(f"{place} is stored in Fortran order; save numpy.ascontiguousarray of it")
            if len(shape) == 3 and len(names) > 1:
                raise InputError(
                    f"{path} holds {len(names)} arrays, {', '.join(n.removesuffix('.npy') for n in names[:4])}; expected "
                    f"one (n, rows, cols), or one (rows, cols) a frame"
                )
            count, frame = _frames(place, shape)
            first = first or frame
            if frame != first:
                raise InputError(
                    f"{place} has {frame[0]} x {frame[1]} px, {names[0].removesuffix('.npy')} {first[0]} x {first[1]} px; "
                    f"keep frames of different sizes in separate files"
                )
            entries += [(name, i) for i in range(count)]
    if first is None:
        raise InputError(f"{path} holds no array; expected the frames of a run")
    yield Source(str(path), first, frame_table(path, np.arange(len(entries))), partial(_unpacked, path, tuple(entries)))


def natural(name: str) -> list[tuple[int, int, str]]:
    """A sorting key by which 2 comes before 10."""
    parts = re.split(r"(\d+)", name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


def _header(stream: IO[bytes], place: str) -> Header:
    with reading(Path(place), "NumPy"):
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if read is None:
            raise InputError(f"{place}: version {version[0]}.{version[1]} of the NumPy format; expected 1.0 or 2.0")
        shape, fortran, dtype = read(stream)
        # Flipped bytes of a header can say all of this.
        if any(not isinstance(side, int) or side < 0 for side in shape) or dtype.hasobject or not dtype.itemsize:
            raise InputError(f"{place} holds {dtype} of shape {shape}; expected counts")
        return shape, fortran, dtype, stream.tell()


def _frames(place: str, shape: tuple[int, ...]) -> tuple[int, tuple[int, int]]:
    if len(shape) != 3:
        return 1, check_size(place, shape)
    if not shape[0]:
        raise InputError(f"{place} holds no frame: its array has the shape {shape}")
    return shape[0], check_size(place, shape[1:])


def _mapped(path: Path, layout: Header, positions: Sequence[int]) -> Generator[np.ndarray, None, None]:
    shape, fortran, dtype, start = layout
    with reading(path, "NumPy"):
        stack = np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C")
        for position in positions:
            yield np.array(stack[position])


def _unpacked(
    path: Path, entries: tuple[tuple[str, int], ...], positions: Sequence[int]
) -> Generator[np.ndarray, None, None]:
    with reading(path, "npz"), zipfile.ZipFile(path) as archive:
        position = 0
        while position < len(positions):
            name = entries[positions[position]][0]
            with archive.open(name) as stream:
                shape, fortran, dtype, start = _header(stream, f"{path}: {name}")
                each = shape[-2] * shape[-1] * dtype.itemsize
                # One pass through a member: going back in it would unpack it anew for every frame.
                while position < len(positions) and entries[positions[position]][0] == name:
                    number = entries[positions[position]][1]
                    stream.seek(start + number * each)
                    content = stream.read(each)
                    if len(content) < each:
                        raise InputError(f"{path} is truncated in frame {number} of {name}; copy it again")
                    yield np.frombuffer(content, dtype).reshape(shape[-2:], order="F" if fortran else "C")
                    position += 1


NPY = Format("NumPy", (".npy",), lambda start: start.startswith(MAGIC), npy_sources)
NPZ = Format("npz", (".npz",), lambda start: start[:4] == b"PK\x03\x04" and b".npy" in start[30:300], npz_sources)
