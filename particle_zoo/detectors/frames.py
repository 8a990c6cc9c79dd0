"""The record of a frame-based readout: which pixels of each exposure were hit, and by how much."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from particle_zoo.errors import InputError

UNITS = ("ToT", "keV", "ADU")

Selection = int | slice | npt.ArrayLike


@dataclass(frozen=True, eq=False, repr=False)
class Frames:
    """An immutable, columnar set of f sparse frames with n hit pixels in all; a frame may be empty.

    Args:
        row: (n,) row of the pixel (y), counted from 0 as in the file; pixels in frame order.
        col: (n,) column of the pixel (x).
        energy: (n,) ToT counts, keV or ADU, see `unit`; float64 stays, everything else becomes float32.
        offsets: (f + 1,) int64; the pixels of frame i are `offsets[i]:offsets[i + 1]`.
        shape: rows and columns of every frame.
        table: one row a frame: `frame` (its number in the file) is always there; `start_s` (Unix time), `duration_s`,
            `source` and what else the file says may follow.
        unit: unit of `energy`: ToT, keV or ADU.
        toa: (n,) int64 time of arrival in the frame, steps of 1.5625 ns; None where the chip does not measure it beside
            the energy.

    Raises:
        InputError: the parts contradict each other, a pixel outside the frame or an unknown unit.
    """

    row: np.ndarray
    col: np.ndarray
    energy: np.ndarray
    offsets: np.ndarray
    shape: tuple[int, int]
    table: pd.DataFrame | None = None
    unit: str = "ToT"
    toa: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise InputError(f"energy unit must be one of {', '.join(UNITS)}; received {self.unit!r}")
        energy = np.asarray(self.energy)
        columns: dict[str, np.ndarray] = {
            "row": np.array(self.row, np.int32),
            "col": np.array(self.col, np.int32),
            "energy": np.array(energy, np.float64 if energy.dtype == np.float64 else np.float32),
        }
        if self.toa is not None:
            if np.asarray(self.toa).dtype.kind not in "iu":
                raise InputError(f"times are int64 in steps of 1.5625 ns; received {np.asarray(self.toa).dtype}")
            columns["toa"] = np.array(self.toa, np.int64)
        if len({column.shape for column in columns.values()}) != 1 or columns["row"].ndim != 1:
            shapes = ", ".join(f"{name} {column.shape}" for name, column in columns.items())
            raise InputError(f"all columns of frames must have one value a pixel; received {shapes}")
        offsets = np.array(self.offsets, np.int64)
        pixels = len(columns["row"])
        if offsets.ndim != 1 or not len(offsets) or offsets[0] != 0 or offsets[-1] != pixels:
            raise InputError(f"offsets must run from 0 to the {pixels} pixels; received {offsets[:1]}...{offsets[-1:]}")
        if (np.diff(offsets) < 0).any():
            raise InputError(f"offsets must not fall; received {offsets[:5]}...")
        for name, side in zip(("row", "col"), self.shape, strict=True):
            column = columns[name]
            if len(column) and not (column.min() >= 0 and column.max() < side):
                i = int(((column < 0) | (column >= side)).argmax())
                raise InputError(
                    f"frames of {self.shape[0]} x {self.shape[1]} px have no {name} {column[i]} (pixel {i})"
                )
        table = pd.DataFrame(index=range(len(offsets) - 1)) if self.table is None else self.table.reset_index(drop=True)
        if len(table) != len(offsets) - 1:
            raise InputError(f"the table must have one row a frame: {len(offsets) - 1} frames, {len(table)} rows")
        if "frame" not in table:
            table.insert(0, "frame", np.arange(len(table)))
        for name, column in (*columns.items(), ("offsets", offsets)):
            column.flags.writeable = False
            object.__setattr__(self, name, column)
        object.__setattr__(self, "table", table)

    @classmethod
    def from_dense(
        cls, images: npt.ArrayLike, *, unit: str = "ToT", table: pd.DataFrame | None = None, threshold: float = 0.0
    ) -> Frames:
        """Keep the pixels above a threshold of (f, rows, cols) or (rows, cols) images.

        Raises:
            InputError: an array of another shape, or NaN in it.
        """
        stack = np.asarray(images)
        stack = stack[None] if stack.ndim == 2 else stack
        if stack.ndim != 3 or not stack.shape[1] * stack.shape[2]:
            raise InputError(f"frames have rows and columns; received an array of shape {np.asarray(images).shape}")
        if stack.dtype.kind == "f" and np.isnan(stack).any():
            raise InputError("frames must not hold NaN; replace bad pixels by 0 first")
        from particle_zoo.detectors.clustering.union_find import above, compiled

        row, col, value, offsets = above(compiled(stack), np.nextafter(np.float64(threshold), np.inf))
        return cls(row, col, value, offsets, (stack.shape[1], stack.shape[2]), table, unit)

    @classmethod
    def empty(cls, unit: str = "ToT", shape: tuple[int, int] = (256, 256)) -> Frames:
        """A set without frames."""
        nothing = np.empty(0, np.int64)
        return cls(nothing, nothing, nothing, np.zeros(1, np.int64), shape, unit=unit)

    @classmethod
    def concat(cls, parts: Iterable[Frames]) -> Frames:
        """Join sets in order.

        Raises:
            InputError: no parts, or parts that differ in shape, unit or in having times.
        """
        parts = list(parts)
        if not parts:
            raise InputError("nothing to join: received no Frames")
        first = parts[0]
        for part in parts[1:]:
            if (part.shape, part.unit, part.toa is None) != (first.shape, first.unit, first.toa is None):
                raise InputError(f"cannot join {first!r} and {part!r}; they differ in shape, unit or times")
        sizes = np.concatenate([np.diff(part.offsets) for part in parts])
        times = [part.toa for part in parts if part.toa is not None]
        row, col, energy = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("row", "col", "energy")
        )
        return cls(
            row,
            col,
            energy,
            np.concatenate([[0], np.cumsum(sizes)]),
            first.shape,
            pd.concat([part.table for part in parts], ignore_index=True),
            first.unit,
            np.concatenate(times) if times else None,
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, key: Selection) -> Frames:
        """Select frames by index, slice, integer array or boolean mask; always `Frames`."""
        index = np.atleast_1d(np.arange(len(self))[key if isinstance(key, (int, slice)) else np.asarray(key)])
        sizes = np.diff(self.offsets)[index]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        take = np.arange(offsets[-1]) + np.repeat(self.offsets[index] - offsets[:-1], sizes)
        toa = None if self.toa is None else self.toa[take]
        assert self.table is not None
        return Frames(
            self.row[take], self.col[take], self.energy[take], offsets, self.shape, self.table.iloc[index], self.unit, toa
        )  # fmt: skip

    def __repr__(self) -> str:
        times = ", ToA" if self.toa is not None else ""
        return (
            f"Frames({len(self)} frames of {self.shape[0]} x {self.shape[1]} px, {len(self.row)} hit pixels, "
            f"{self.unit}{times})"
        )

    @property
    def pixel_frame(self) -> np.ndarray:
        """(n,) index of the frame each pixel belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def dense(self) -> np.ndarray:
        """(f, rows, cols) images, 0 where not hit; dtype of `energy`."""
        images = np.zeros((len(self), *self.shape), self.energy.dtype)
        images[self.pixel_frame, self.row, self.col] = self.energy
        return images

    def image(self) -> np.ndarray:
        """(rows, cols) float64 sum over all frames."""
        position = self.row.astype(np.int64) * self.shape[1] + self.col
        total = np.bincount(position, self.energy.astype(np.float64), self.shape[0] * self.shape[1])
        return total.reshape(self.shape)
