"""Frames in TIFF, one page a frame; also stacks of ImageJ, which have a single page."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.detectors.camera.source import Source, check_size, frame_table, reading
from particle_zoo.detectors.readers.format import Format
from particle_zoo.errors import InputError

MAGICS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A TIFF file, closed at the end of the block.

    Raises:
        InputError: damaged. Tifffile only logs an unreadable page and goes on without it and those behind it.
    """
    import tifffile

    said: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR:
            said.append(record.getMessage())
        return False

    logger = logging.getLogger("tifffile")
    logger.addFilter(keep)
    try:
        with reading(path, "TIFF"):
            with tifffile.TiffFile(path) as file:
                yield file
            if said:
                raise ValueError(said[0])
    finally:
        logger.removeFilter(keep)


def sources(path: Path) -> Iterator[Source]:
    """Yield the frames of a file.

    Raises:
        InputError: damaged, truncated, without an image, in colour, or with pages of different sizes.
    """
    length = path.stat().st_size
    with _opened(path) as file:
        # All pages are found first: a lost one may not look like a shorter run.
        pages = list(file.pages)
        series = file.series[0] if len(file.series) == 1 else None
        if series is not None and series.dataoffset is not None and series.axes.endswith("YX") and series.ndim == 3:
            shape = check_size(str(path), series.shape[1:])
            dtype = series.dtype.newbyteorder(file.byteorder)
            start, count = int(series.dataoffset), int(series.shape[0])
            each = shape[0] * shape[1] * dtype.itemsize
            _check_end(path, length, [start + (i + 1) * each for i in range(count)])
            reader = partial(_stack, path, start, shape, dtype)
        else:
            for number, page in enumerate(pages):
                if page.shape != pages[0].shape:
                    raise InputError(
                        f"{path}, frame {number}: {' x '.join(map(str, page.shape))} px, the first frame has "
                        f"{' x '.join(map(str, pages[0].shape))} px; keep frames of different sizes in separate files"
                    )
            count = len(pages)
            if not count:
                raise InputError(f"{path} holds no image; expected one page a frame")
            shape = check_size(str(path), pages[0].shape)
            ends = [[o + n for o, n in zip(p.dataoffsets, p.databytecounts, strict=True)] for p in pages]
            _check_end(path, length, [max(end, default=0) for end in ends])
            reader = partial(_pages, path)
    yield Source(str(path), shape, frame_table(path, np.arange(count)), reader)


def _check_end(path: Path, length: int, ends: list[int]) -> None:
    broken = next((number for number, end in enumerate(ends) if end > length), None)
    if broken is not None:
        raise InputError(
            f"{path} is truncated: it ends at byte {length}, in frame {broken} of {len(ends)}, whose pixels end at byte "
            f"{ends[broken]}; copy it again"
        )


def _stack(
    path: Path, start: int, shape: tuple[int, int], dtype: np.dtype[np.generic], positions: Sequence[int]
) -> Generator[np.ndarray, None, None]:
    pixels = shape[0] * shape[1]
    with reading(path, "TIFF"), path.open("rb") as stream:
        for position in positions:
            stream.seek(start + position * pixels * dtype.itemsize)
            yield np.fromfile(stream, dtype, pixels).reshape(shape)


def _pages(path: Path, positions: Sequence[int]) -> Generator[np.ndarray, None, None]:
    with _opened(path) as file:
        for position in positions:
            yield np.asarray(file.pages[position].asarray())


FORMAT = Format("TIFF", (".tif", ".tiff", ".btf"), lambda start: start.startswith(MAGICS), sources)
