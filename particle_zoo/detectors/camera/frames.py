"""The record of a camera run: dense frames that stay in their files until they are asked for."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt
import pandas as pd

from particle_zoo.detectors.camera.source import Source, check_size, counts, frame_table, size
from particle_zoo.detectors.readers.format import check_count
from particle_zoo.errors import InputError


@dataclass(frozen=True, eq=False, repr=False)
class CameraFrames:
    """An immutable sequence of n dense frames of one size, read when they are asked for.

    Row is y and column is x; the first row of a frame is the first that its file stores. A file is open only while
    frames are taken from it, and never more of a run is in memory than one frame or one chunk.

    Args:
        sources: files, or arrays, with frames of one size.
        index: (n, 2) number of the source of each frame and its position there; by default all frames in order.

    Raises:
        InputError: no frame, or frames of different sizes, both named.
    """

    sources: tuple[Source, ...]
    index: np.ndarray | None = None

    def __post_init__(self) -> None:
        sources = tuple(self.sources)
        for source in sources[1:]:
            if source.shape != sources[0].shape:
                raise InputError(
                    f"{source.path} has frames of {size(source.shape)}, {sources[0].path} of {size(sources[0].shape)}; "
                    f"keep frames of different sizes in separate runs"
                )
        index = self.index
        if index is None:
            lengths = [len(source.table) for source in sources]
            positions = [np.arange(length) for length in lengths] or [np.arange(0)]
            index = np.column_stack([np.repeat(np.arange(len(sources)), lengths), np.concatenate(positions)])
        index = np.array(index, np.int64).reshape(-1, 2)
        if not sources:
            raise InputError("a run needs at least one file or array; received none")
        index.flags.writeable = False
        object.__setattr__(self, "sources", sources)
        object.__setattr__(self, "index", index)

    # Construction -------------------------------------------------------------------------------------------------

    @classmethod
    def from_array(
        cls, images: npt.ArrayLike, *, source: str = "array", table: pd.DataFrame | None = None
    ) -> CameraFrames:
        """Frames of an array in memory, which is not copied: do not write to it afterwards.

        Args:
            images: (n, rows, cols) or (rows, cols) whole counts 0..65535.
            source: name of the frames.
            table: further columns, one row a frame.

        Raises:
            InputError: another shape, no frame, values that are no counts, or a table of another length.
        """
        stack = np.asarray(images)
        stack = stack[None] if stack.ndim == 2 else stack
        if stack.ndim != 3:
            raise InputError(f"camera frames have rows and columns; received an array of shape {np.shape(images)}")
        if not len(stack):
            raise InputError(f"{source} holds no frame; received an array of shape {stack.shape}")
        shape = check_size(source, stack.shape[1:])
        if stack.dtype != np.uint16:
            for number, image in enumerate(stack):
                counts(image, f"{source}, frame {number}")
        own = frame_table(Path(source), np.arange(len(stack)))
        if table is not None:
            if len(table) != len(stack):
                raise InputError(f"the table must have one row a frame: {len(stack)} frames, {len(table)} rows")
            own = pd.concat([own, table.reset_index(drop=True)], axis=1)
        return cls((Source(source, shape, own, partial(_take, stack)),))

    @classmethod
    def concat(cls, parts: Iterable[CameraFrames]) -> CameraFrames:
        """Join runs in order, still unread.

        Raises:
            InputError: no parts, or frames of different sizes.
        """
        parts = list(parts)
        if not parts:
            raise InputError("nothing to join: received no CameraFrames")
        before = np.cumsum([0, *(len(part.sources) for part in parts)])
        index = np.concatenate([part._index + np.array([first, 0]) for part, first in zip(parts, before, strict=False)])
        return cls(tuple(source for part in parts for source in part.sources), index)

    # Container ----------------------------------------------------------------------------------------------------

    @property
    def _index(self) -> np.ndarray:
        assert self.index is not None
        return self.index

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of frames, rows, columns."""
        return len(self), *self.sources[0].shape

    @property
    def dtype(self) -> np.dtype[np.uint16]:
        """Always uint16, in the machine's byte order."""
        return np.dtype(np.uint16)

    @property
    def source(self) -> tuple[str, ...]:
        """Names of the files in order."""
        return tuple(dict.fromkeys(self.sources[i].table["source"].iloc[0] for i in self._index[:, 0]))

    @property
    def table(self) -> pd.DataFrame:
        """One row a frame: `frame` (its number in the file, or that of the event), `source` and what else the file says."""
        parts = [
            self.sources[key].table.iloc[[position for _, position in group]]
            for key, group in itertools.groupby(self._index.tolist(), key=lambda pair: pair[0])
        ]
        return pd.concat(parts, ignore_index=True) if parts else self.sources[0].table.iloc[:0]

    def __len__(self) -> int:
        return len(self._index)

    def __repr__(self) -> str:
        names = self.source
        shown = ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
        return f"CameraFrames({len(self)} frames of {size(self.shape[1:])} from {shown or 'nowhere'})"

    @overload
    def __getitem__(self, key: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, key: slice | Sequence[int] | np.ndarray) -> CameraFrames: ...

    def __getitem__(self, key: int | slice | Sequence[int] | np.ndarray) -> np.ndarray | CameraFrames:
        """One frame as a (rows, cols) uint16 array; a slice, integer array or mask gives `CameraFrames`, still unread.

        Raises:
            IndexError: out of range, or a mask of another length.
            InputError: a damaged file, or values that are no counts.
        """
        if isinstance(key, (int, np.integer)):
            if not -len(self) <= key < len(self):
                raise IndexError(f"frame {key} of {len(self)}")
            return next(iter(self[np.array([key % len(self)])]))
        selected = self._index[
            key if isinstance(key, slice) else np.asarray(key if len(key) else np.empty(0, np.int64))
        ]
        return CameraFrames(self.sources, selected)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the (rows, cols) uint16 frames."""
        for key, group in itertools.groupby(self._index.tolist(), key=lambda pair: pair[0]):
            yield from self.sources[key].read([position for _, position in group])

    def chunks(self, n: int) -> Iterator[np.ndarray]:
        """Yield (k, rows, cols) uint16 arrays of n frames, the last of what is left.

        Raises:
            InputError: n no whole number of 1 or more, a damaged file, or values that are no counts.
        """
        check_count("frames a chunk", n)
        frames = iter(self)
        for first in range(0, len(self), n):
            chunk = np.empty((min(n, len(self) - first), *self.shape[1:]), np.uint16)
            for place in chunk:
                place[...] = next(frames)
            yield chunk


def _take(stack: np.ndarray, positions: Sequence[int]) -> Generator[np.ndarray, None, None]:
    for position in positions:
        yield stack[position]
