"""CCD frames in FITS files, one at a time."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.cli import sentence
from particle_zoo.clusters import Clusters
from particle_zoo.detectors.clustering import cluster
from particle_zoo.detectors.readers.format import Format
from particle_zoo.errors import InputError

SUFFIXES = (".fits", ".fit", ".fts", ".fits.gz", ".fz")
MAGIC = b"SIMPLE  ="

OPTIONS = ("threshold", "min_size", "edge", "connectivity", "unit")
"""Of `particle_zoo.detectors.clustering.cluster`."""


def find(folder: Path) -> list[Path]:
    """FITS files of a folder in order of their names; hidden ones are skipped."""
    return sorted(p for p in folder.iterdir() if p.name.lower().endswith(SUFFIXES) and not p.name.startswith("."))


def iter_frames(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, (rows, cols) array) of each two-dimensional image of a file, one in memory at a time.

    Raises:
        InputError: damaged, truncated, or without an image.
    """
    from astropy.io import fits
    from astropy.io.fits.verify import VerifyError

    found = 0
    try:
        # Astropy only warns about a truncated file and then returns what is left of it.
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # Pixel scaling (BZERO of unsigned 16-bit cameras) needs a writable copy: no memory mapping.
            # Astropy leaves a file it cannot understand open; this one closes with the block.
            with path.open("rb") as stream, fits.open(stream, memmap=False, lazy_load_hdus=True) as file:
                for number, hdu in enumerate(file):
                    if not getattr(hdu, "is_image", False) or hdu.header.get("NAXIS", 0) != 2:
                        continue
                    found += 1
                    name = path.name if found == 1 else f"{path.name}[{number}]"
                    yield name, np.ascontiguousarray(hdu.data)
                    del hdu.data
    except InputError:
        raise
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        Warning,
        VerifyError,
        EOFError,
        MemoryError,
    ) as error:
        raise InputError(
            f"{path} is a damaged FITS file ({sentence(str(error))[:120] or type(error).__name__}); copy it again"
        ) from error
    if not found:
        raise InputError(f"{path} holds no two-dimensional image; expected a CCD frame")


def clusters(path: Path, **options: Any) -> Iterator[Clusters]:
    """Yield the clusters of each frame of a file; options go to `particle_zoo.detectors.clustering.cluster`."""
    for name, frame in iter_frames(path):
        yield cluster(frame, source=name, **options)


FORMAT = Format("FITS", SUFFIXES, lambda start: start.startswith(MAGIC), clusters, OPTIONS)
