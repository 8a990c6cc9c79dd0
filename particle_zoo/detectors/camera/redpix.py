"""Pixel lists of clusters, frame by frame: what a reconstruction keeps, and what a simulation knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from particle_zoo.detectors.camera.source import size
from particle_zoo.errors import InputError


@dataclass(frozen=True, eq=False, repr=False)
class RedPixels:
    """Lists of n pixels in f frames ("redpix" in the CYGNO reconstruction); row is y, column is x, from 0.

    Args:
        row: (n,) rows, pixels in the order of frames.
        col: (n,) columns.
        value: (n,) float32 counts above the pedestal; negative ones are kept.
        cluster: (n,) number of the pixel's cluster in its frame; -1 of none.
        offsets: (f + 1,) int64; the pixels of frame i are `offsets[i]:offsets[i + 1]`.
        table: one row a frame, `frame` first (number of the event); what else the file says follows.
        clusters: one row a cluster: `position` (index of its frame here), `cluster`, `n_pixels` (0 where its pixels
            were not kept), `integral` (counts, NaN where unknown), `stored`.

    Raises:
        InputError: the parts contradict each other, or a negative row or column.
    """

    row: np.ndarray
    col: np.ndarray
    value: np.ndarray
    cluster: np.ndarray
    offsets: np.ndarray
    table: pd.DataFrame
    clusters: pd.DataFrame

    def __post_init__(self) -> None:
        columns: dict[str, np.ndarray] = {
            "row": np.array(self.row, np.int32),
            "col": np.array(self.col, np.int32),
            "value": np.array(self.value, np.float32),
            "cluster": np.array(self.cluster, np.int32),
        }
        if len({column.shape for column in columns.values()}) != 1 or columns["row"].ndim != 1:
            shapes = ", ".join(f"{name} {column.shape}" for name, column in columns.items())
            raise InputError(f"all columns of pixel lists must have one value a pixel; received {shapes}")
        offsets = np.array(self.offsets, np.int64)
        pixels = len(columns["row"])
        if (
            offsets.ndim != 1
            or not len(offsets)
            or offsets[0] != 0
            or offsets[-1] != pixels
            or (np.diff(offsets) < 0).any()
        ):
            raise InputError(
                f"offsets must rise from 0 to the {pixels} pixels; received {offsets[:1]}...{offsets[-1:]}"
            )
        if len(self.table) != len(offsets) - 1 or "frame" not in self.table:
            raise InputError(
                f"the table must have one row a frame, with its number: {len(offsets) - 1} frames, {len(self.table)} rows"
            )
        for name in ("row", "col"):
            if pixels and columns[name].min() < 0:
                raise InputError(
                    f"pixel {int(columns[name].argmin())} has the {name} {columns[name].min()}; expected 0 or more"
                )
        columns["offsets"] = offsets
        for name, column in columns.items():
            column.flags.writeable = False
            object.__setattr__(self, name, column)
        object.__setattr__(self, "table", self.table.reset_index(drop=True))
        object.__setattr__(self, "clusters", self.clusters.reset_index(drop=True))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        stored = int(self.clusters["stored"].sum())
        return (
            f"RedPixels({len(self)} frames, {len(self.row)} pixels, {stored} of {len(self.clusters)} clusters stored)"
        )

    def __getitem__(self, key: int | slice | Sequence[int] | np.ndarray) -> RedPixels:
        """Select frames by index, slice, integer array or boolean mask; always `RedPixels`."""
        index = np.atleast_1d(np.arange(len(self))[key if isinstance(key, (int, slice)) else np.asarray(key)])
        sizes = np.diff(self.offsets)[index]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        take = np.arange(offsets[-1]) + np.repeat(self.offsets[index] - offsets[:-1], sizes)
        parts = [self.clusters[self.clusters["position"] == old].assign(position=new) for new, old in enumerate(index)]
        clusters = pd.concat(parts) if parts else self.clusters.iloc[:0]
        return RedPixels(
            self.row[take], self.col[take], self.value[take], self.cluster[take], offsets, self.table.iloc[index], clusters
        )  # fmt: skip

    @property
    def pixel_frame(self) -> np.ndarray:
        """(n,) index of the frame each pixel belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def rasterise(self, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Images of the pixels.

        Args:
            shape: rows and columns of the camera; of more numbers the last two count.

        Returns:
            (f, rows, cols) bool, the listed pixels, and float32, their counts; a pixel listed twice has the sum.

        Raises:
            InputError: a pixel outside; names its frame.
        """
        rows, cols = (int(side) for side in tuple(shape)[-2:])
        outside = (self.row >= rows) | (self.col >= cols)
        if outside.any():
            i = int(outside.argmax())
            frame = self.table["frame"].iloc[int(self.pixel_frame[i])]
            raise InputError(
                f"frame {frame}: pixel (row {self.row[i]}, col {self.col[i]}) lies outside {size((rows, cols))}; give the size of "
                f"the camera, or read the list with ix and iy swapped"
            )
        mask = np.zeros((len(self), rows, cols), np.bool_)
        intensity = np.zeros((len(self), rows, cols), np.float32)
        where = (self.pixel_frame, self.row, self.col)
        mask[where] = True
        np.add.at(intensity, where, self.value)
        return mask, intensity

    @classmethod
    def from_clusters(
        cls,
        columns: Sequence[npt.ArrayLike],
        offsets: npt.ArrayLike,
        starts: npt.ArrayLike,
        positions: npt.ArrayLike,
        table: pd.DataFrame,
        integral: npt.ArrayLike | None = None,
    ) -> RedPixels:
        """Build from the first pixel of each cluster, as the reconstruction stores it.

        Cluster i owns the pixels from its start to that of the next cluster of the frame whose start is not -1; the last
        one those to the end. Pixels before the first belong to none.

        Args:
            columns: rows, columns and counts of n pixels in the order of frames.
            offsets: (f + 1,) bounds of the frames.
            starts: (c,) index, in its frame, of the first pixel of each cluster; -1 where its pixels were not kept.
            positions: (c,) frame of each cluster, ascending.
            table: one row a frame, with `frame`.
            integral: (c,) counts of the clusters; by default the sums of their pixels, NaN where these were not kept.

        Raises:
            InputError: starts that are no whole numbers, or do not rise, or lie outside their frame.
        """
        row, col, value = (np.asarray(column) for column in columns)
        bounds, given = np.asarray(offsets, np.int64), np.asarray(starts, np.float64)
        frame = np.asarray(positions, np.int64)
        sizes = np.diff(bounds)
        wrong = ~((given == np.rint(given)) & (given >= -1) & (given <= sizes[frame]))
        kept = np.flatnonzero(~wrong & (given >= 0))
        falls = (np.diff(frame[kept]) == 0) & (np.diff(given[kept]) < 0)
        wrong[kept[1:][falls]] = True
        if wrong.any():
            i = int(wrong.argmax())
            raise InputError(
                f"frame {table['frame'].iloc[frame[i]]}: cluster {i - int(np.searchsorted(frame, frame[i]))} starts at pixel "
                f"{given[i]:g} of {sizes[frame[i]]}; expected whole numbers that rise, or -1"
            )
        first = bounds[frame[kept]] + given[kept].astype(np.int64)
        last = np.append(first[1:], len(row))
        last = np.minimum(last, bounds[frame[kept] + 1])
        number = np.arange(len(given)) - np.searchsorted(frame, frame)
        owner = np.full(len(row), -1, np.int64)
        owner[_ranges(first, last)] = np.repeat(number[kept], last - first)
        n_pixels, sums = np.zeros(len(given), np.int64), np.full(len(given), np.nan)
        n_pixels[kept] = last - first
        running = np.concatenate([[0.0], np.cumsum(value, dtype=np.float64)])
        sums[kept] = running[last] - running[first]
        clusters = pd.DataFrame(
            {
                "position": frame,
                "cluster": number,
                "n_pixels": n_pixels,
                "integral": sums if integral is None else np.asarray(integral, np.float64),
                "stored": given >= 0,
            }
        )
        return cls(row, col, value, owner, bounds, table, clusters)


def _ranges(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """All indices from each first to before each last."""
    sizes = last - first
    before = np.concatenate([[0], np.cumsum(sizes)])
    return np.arange(before[-1]) + np.repeat(first - before[:-1], sizes)
