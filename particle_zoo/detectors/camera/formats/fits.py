"""Frames in FITS: two-dimensional images, or cubes whose last axis counts the frames."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.detectors.camera.source import Source, check_size, frame_table, reading
from particle_zoo.detectors.readers.fits import MAGIC, SUFFIXES
from particle_zoo.detectors.readers.format import Format
from particle_zoo.errors import InputError

Entry = tuple[int, int | None]
"""Number of the HDU and, in a cube, the image in it."""


def sources(path: Path) -> Iterator[Source]:
    """Yield the frames of a file; the table has `exposure_s` and `date` where every header has EXPTIME and DATE-OBS.

    Raises:
        InputError: damaged, truncated, without an image, or with images of different sizes.
    """
    from astropy.io import fits

    entries: list[Entry] = []
    exposures: list[Any] = []
    dates: list[Any] = []
    shape: tuple[int, int] | None = None
    packed = _start(path) == b"\x1f\x8b"
    length = path.stat().st_size
    # Astropy only warns about a truncated file and then returns what is left of it.
    with reading(path, "FITS"), warnings.catch_warnings():
        warnings.simplefilter("error")
        # Astropy leaves a file it cannot understand open; this one closes with the block.
        with path.open("rb") as stream, fits.open(stream, memmap=False, lazy_load_hdus=True) as file:
            for number, hdu in enumerate(file):
                if not getattr(hdu, "is_image", False) or len(hdu.shape) not in (2, 3):
                    continue
                here = check_size(f"{path}[{number}]", hdu.shape[-2:])
                shape = shape or here
                if here != shape:
                    raise InputError(
                        f"{path}[{number}]: {here[0]} x {here[1]} px, the first image has {shape[0]} x {shape[1]} px; "
                        f"keep frames of different sizes in separate files"
                    )
                images = hdu.shape[0] if len(hdu.shape) == 3 else 1
                place = hdu.fileinfo()
                end = place["datLoc"] + place["datSpan"]
                if not packed and end > length:
                    raise InputError(
                        f"{path} is truncated: it ends at byte {length}, in the images from frame {len(entries)} on, "
                        f"which end at byte {end}; copy it again"
                    )
                entries += [(number, i if len(hdu.shape) == 3 else None) for i in range(images)]
                exposures += [hdu.header.get("EXPTIME", hdu.header.get("EXPOSURE"))] * images
                dates += [hdu.header.get("DATE-OBS")] * images
    if shape is None or not entries:
        raise InputError(f"{path} holds no two- or three-dimensional image; expected camera frames")
    columns: dict[str, Any] = {}
    if all(isinstance(e, (int, float)) and not isinstance(e, bool) for e in exposures):
        columns["exposure_s"] = np.array(exposures, float)
    if all(isinstance(d, str) for d in dates):
        columns["date"] = dates
    table = frame_table(path, np.arange(len(entries)), **columns)
    yield Source(str(path), shape, table, partial(_images, path, tuple(entries)))


def _start(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(2)


def _images(path: Path, entries: tuple[Entry, ...], positions: Sequence[int]) -> Generator[np.ndarray, None, None]:
    from astropy.io import fits

    # Warnings are made errors around each image and not around the generator: it is suspended in between.
    with reading(path, "FITS"), path.open("rb") as stream:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            file = fits.open(stream, memmap=False, lazy_load_hdus=True)
        with file:
            for position in positions:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    number, plane = entries[position]
                    # A section is read and scaled alone: BZERO of unsigned cameras, compressed images, cubes.
                    section = file[number].section
                    image = np.asarray(section[plane] if plane is not None else section[:, :])
                yield image


FORMAT = Format("FITS", SUFFIXES, lambda start: start.startswith(MAGIC), sources)
