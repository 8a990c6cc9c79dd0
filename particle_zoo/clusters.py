"""The record that readers, clustering, simulation, datasets and models exchange."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from particle_zoo.errors import InputError

MASK_UNIT = "mask"
"""The unit of clusters whose pixels say only "hit": every energy is 1."""

UNITS = ("keV", "ADU", "ToT", MASK_UNIT)

Selection = int | slice | npt.ArrayLike


@dataclass(frozen=True, eq=False, repr=False)
class Clusters:
    """An immutable, columnar set of pixel clusters.

    Row is y and column is x, counted from 0 in the convention of the file the cluster came from. An empty cluster
    never occurs; an empty *set* of clusters does.

    Args:
        hits: (n_hits, k) float array, one row a pixel, in cluster order. float64 where a time is among the columns. It is
            copied, unless nobody can write to it.
        columns: names of the k columns: `row`, `col`, `energy` and, for timing detectors, `toa` (ns).
        offsets: (n + 1,) int64; the hits of cluster i are `hits[offsets[i]:offsets[i + 1]]`.
        table: one row a cluster. `id` (unique string) and `label` (class name, "" where unknown) are always there;
            truth, event, run and source columns may follow.
        unit: unit of `energy`: keV, ADU, ToT or "mask" where only the shape is known.

    Raises:
        InputError: the parts contradict each other.
    """

    hits: np.ndarray
    columns: tuple[str, ...]
    offsets: np.ndarray
    table: pd.DataFrame
    unit: str = "keV"

    def __post_init__(self) -> None:
        columns = tuple(self.columns)
        if columns[:3] != ("row", "col", "energy") or columns[3:] not in ((), ("toa",)):
            raise InputError(f"hit columns must be row, col, energy[, toa]; received {', '.join(columns)}")
        dtype = np.float64 if "toa" in columns or np.asarray(self.hits).dtype == np.float64 else np.float32
        hits = self.hits
        if not _handed_over(hits, dtype, len(columns)):
            hits = np.array(hits, dtype=dtype).reshape(-1, len(columns))
        offsets = np.array(self.offsets, dtype=np.int64)
        if offsets.ndim != 1 or offsets.size == 0 or offsets[0] != 0 or offsets[-1] != len(hits):
            raise InputError(
                f"offsets must run from 0 to the {len(hits)} hits; received {offsets[:1]}...{offsets[-1:]}"
            )
        if offsets.size > 1 and np.diff(offsets).min() < 1:
            raise InputError(f"cluster {int(np.diff(offsets).argmin())} has no hits; drop empty clusters first")
        if len(self.table) != offsets.size - 1:
            raise InputError(
                f"the table must have one row a cluster: {offsets.size - 1} clusters, {len(self.table)} rows"
            )
        if self.unit not in UNITS:
            raise InputError(f"energy unit must be one of {', '.join(UNITS)}; received {self.unit!r}")
        table = self.table.reset_index(drop=True)
        if "id" not in table:
            table.insert(0, "id", np.arange(len(table)).astype(str))
        if "label" not in table:
            table["label"] = pd.Series("", index=table.index, dtype=object)
        hits.flags.writeable = False
        offsets.flags.writeable = False
        for name, value in (("hits", hits), ("columns", columns), ("offsets", offsets), ("table", table)):
            object.__setattr__(self, name, value)

    # Construction -------------------------------------------------------------------------------------------------

    @classmethod
    def from_list(
        cls,
        hits: Sequence[npt.ArrayLike],
        *,
        table: pd.DataFrame | None = None,
        columns: tuple[str, ...] = ("row", "col", "energy"),
        unit: str = "keV",
        **table_columns: Any,
    ) -> Clusters:
        """Build from one (n_i, k) hit array a cluster; keyword arguments become table columns."""
        arrays = [np.asarray(h, dtype=np.float64 if "toa" in columns else np.float32) for h in hits]
        offsets = np.concatenate([[0], np.cumsum([len(a) for a in arrays], dtype=np.int64)])
        stacked = np.concatenate(arrays) if arrays else np.empty((0, len(columns)), np.float32)
        if table is None:
            table = pd.DataFrame(table_columns, index=range(len(arrays)))
        return cls(stacked, columns, offsets, table, unit)

    @classmethod
    def empty(cls, columns: tuple[str, ...] = ("row", "col", "energy"), unit: str = "keV") -> Clusters:
        """A set without clusters."""
        return cls.from_list([], columns=columns, unit=unit)

    @classmethod
    def concat(cls, parts: Iterable[Clusters]) -> Clusters:
        """Join sets in order.

        Raises:
            InputError: no parts, or parts with different columns or units.
        """
        parts = list(parts)
        if not parts:
            raise InputError("nothing to join: received no Clusters; use Clusters.empty() for an empty set")
        first = parts[0]
        for part in parts[1:]:
            if part.columns != first.columns or part.unit != first.unit:
                raise InputError(
                    f"cannot join clusters of ({', '.join(first.columns)}; {first.unit}) and "
                    f"({', '.join(part.columns)}; {part.unit}); convert one of them first"
                )
        sizes = np.concatenate([part.sizes for part in parts])
        filled = [part.table for part in parts if len(part)] or [first.table]
        return cls(
            np.concatenate([part.hits for part in parts]),
            first.columns,
            np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]),
            pd.concat(filled, ignore_index=True),
            first.unit,
        )

    # Container ----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, key: Selection) -> Clusters:
        """Select by index, slice, integer array (any order, repeats allowed) or boolean mask; always a `Clusters`.

        Raises:
            IndexError: an index out of range, or a mask of another length.
        """
        index = self._positions(key)
        starts = self.offsets[index]
        sizes = self.offsets[index + 1] - starts
        offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        # One flat gather: position inside the cluster plus its start, for all hits at once.
        take = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], sizes)
        hits = np.take(self.hits, take, axis=0)
        # Handed over, not copied.
        hits.flags.writeable = False
        return Clusters(hits, self.columns, offsets, self.table.iloc[index], self.unit)

    def _positions(self, key: Selection) -> np.ndarray:
        if isinstance(key, (int, np.integer)):
            if not -len(self) <= key < len(self):
                raise IndexError(f"cluster {key} of {len(self)}")
            return np.array([key % len(self)])
        if isinstance(key, slice):
            return np.arange(len(self))[key]
        array = np.asarray(key)
        if array.dtype == bool and array.shape != (len(self),):
            raise IndexError(f"a mask needs one value a cluster: {len(self)} clusters, mask of shape {array.shape}")
        if array.size == 0:
            return np.empty(0, np.int64)
        return np.arange(len(self))[array]

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the (n_i, k) hit array of each cluster."""
        for i in range(len(self)):
            yield self.hits[self.offsets[i] : self.offsets[i + 1]]

    def __repr__(self) -> str:
        return f"Clusters({len(self)} clusters, {len(self.hits)} hits, {'/'.join(self.columns)}, {self.unit})"

    # Columns ------------------------------------------------------------------------------------------------------

    @property
    def sizes(self) -> np.ndarray:
        """(n,) int64 number of pixels of each cluster."""
        return np.diff(self.offsets)

    @property
    def ids(self) -> np.ndarray:
        """(n,) strings."""
        return self.table["id"].to_numpy(dtype=str)

    @property
    def labels(self) -> np.ndarray:
        """(n,) class names, "" where unknown."""
        return self.table["label"].to_numpy(dtype=str)

    def column(self, name: str) -> np.ndarray:
        """(n_hits,) values of one hit column."""
        if name not in self.columns:
            raise InputError(f"no hit column {name!r}; these clusters have {', '.join(self.columns)}")
        return self.hits[:, self.columns.index(name)]

    @property
    def hit_cluster(self) -> np.ndarray:
        """(n_hits,) index of the cluster each hit belongs to."""
        return np.repeat(np.arange(len(self)), self.sizes)

    def with_table(self, **columns: Any) -> Clusters:
        """The same clusters with table columns added or replaced."""
        return Clusters(self.hits, self.columns, self.offsets, self.table.assign(**columns), self.unit)

    # Derived ------------------------------------------------------------------------------------------------------

    def features(self) -> pd.DataFrame:
        """Height, width, size, energy sum and the shape features; see `particle_zoo.detectors.morphology`."""
        from particle_zoo.detectors.morphology import features

        return features(self)

    def images(self, size: int = 64, values: str | None = None) -> np.ndarray:
        """(n, size, size) float32 images, centred; larger clusters downscaled. See `particle_zoo.pipelines.rasterise`.

        Args:
            size: side of the images, px.
            values: "energy" or "mask"; by default the energy where it is known.
        """
        from particle_zoo.pipelines.rasterise import rasterise

        return rasterise(self, size, values or ("mask" if self.unit == MASK_UNIT else "energy"))


def _handed_over(hits: npt.ArrayLike, dtype: npt.DTypeLike, columns: int) -> bool:
    """Whether an array is read-only, owns its memory and is what would be stored."""
    return (
        isinstance(hits, np.ndarray)
        and not hits.flags.writeable
        and hits.base is None
        and hits.dtype == dtype
        and hits.ndim == 2
        and hits.shape[1] == columns
    )
