"""Where the frames of a camera run lie, and what every reader of them checks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.cli import sentence
from particle_zoo.errors import InputError

HIGHEST = 65535
"""Largest count of a camera."""

LARGEST = 2**27
"""Most pixels of a frame; more can only be a damaged header."""

Reader = Callable[[Sequence[int]], Generator[np.ndarray, None, None]]
"""Yields the stored images at some positions and keeps its file open only while it does."""


@dataclass(frozen=True, eq=False)
class Source:
    """n frames of one size in one file.

    Args:
        path: the file as error sentences name it.
        stored: rows and columns of the images that `reader` yields.
        table: one row a frame, first `frame` (its number in the file) and `source` (name of the file).
        reader: gives the images at positions 0..n-1, row y and column x, first row first.
        transpose: exchange rows and columns.
        rotate: quarter turns counterclockwise, as numpy.rot90, after the transposition.
    """

    path: str
    stored: tuple[int, int]
    table: pd.DataFrame
    reader: Reader
    transpose: bool = False
    rotate: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a frame."""
        rows, cols = self.stored
        return (cols, rows) if self.transpose != bool(self.rotate % 2) else (rows, cols)

    def read(self, positions: Sequence[int]) -> Iterator[np.ndarray]:
        """Yield (rows, cols) uint16 frames.

        Raises:
            InputError: a damaged file, an image of another size, or a value that is no count.
        """
        with closing(self.reader(positions)) as images:
            for position, image in zip(positions, images, strict=True):
                place = f"{self.path}, frame {self.table['frame'].iloc[position]}"
                if image.shape != self.stored:
                    raise InputError(
                        f"{place} has {size(image.shape)}, the first frame of the file {size(self.stored)}; "
                        f"keep frames of different sizes in separate files"
                    )
                yield counts(np.rot90(image.T if self.transpose else image, self.rotate), place)


def counts(image: np.ndarray, place: str) -> np.ndarray:
    """A copy of an image as uint16.

    Args:
        image: whole numbers 0..65535 of any dtype and byte order.
        place: file and frame, for the error.

    Raises:
        InputError: a value that is none; names its pixel.
    """
    if image.dtype.kind not in "uif":
        raise InputError(f"{place} holds values of type {image.dtype}; camera frames hold counts 0..{HIGHEST}")
    if image.dtype.kind != "u" or image.dtype.itemsize > 2:
        with np.errstate(invalid="ignore"):
            good = (image >= 0) & (image <= HIGHEST)
            if image.dtype.kind == "f":
                good &= np.rint(image) == image
        if not good.all():
            row, col = np.unravel_index(int(good.argmin()), good.shape)
            raise InputError(
                f"{place}: pixel (row {row}, col {col}) is {image[row, col]}; camera frames hold whole counts "
                f"0..{HIGHEST}, so give frames before pedestals or logarithms were applied"
            )
    return np.array(image, np.uint16, order="C")


def size(shape: Sequence[int]) -> str:
    """A shape in words."""
    return " x ".join(map(str, shape)) + " px"


def check_size(place: str, shape: Sequence[int]) -> tuple[int, int]:
    """The rows and columns of an image.

    Raises:
        InputError: not two dimensions, no pixel, or more than any camera has.
    """
    if len(shape) != 2:
        raise InputError(
            f"{place} holds an array of {len(shape)} dimensions {tuple(shape)}; expected rows and columns, in one colour"
        )
    rows, cols = map(int, shape)
    if rows < 1 or cols < 1 or rows * cols > LARGEST:
        raise InputError(f"{place} has frames of {rows} x {cols} px, which no camera has; the file may be damaged")
    return rows, cols


def frame_table(path: Path, numbers: Sequence[int] | np.ndarray, **columns: Any) -> pd.DataFrame:
    """The table of a source."""
    return pd.DataFrame({"frame": np.asarray(numbers, np.int64), "source": path.name, **columns})


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn what a library raises about a damaged file into one sentence.

    Raises:
        InputError: whatever went wrong in the block.
    """
    try:
        yield
    except InputError:
        raise
    except ModuleNotFoundError:
        raise
    # Parsers of foreign binary files raise whatever a wrong byte leads them to.
    except Exception as error:
        said = sentence(str(error))[:120] or type(error).__name__
        raise InputError(f"{path} is a damaged {kind} file ({said}); copy it again") from error
