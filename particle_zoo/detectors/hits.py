"""The record of a hit stream: what a data-driven chip sends, before clustering."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from particle_zoo.clusters import Clusters
from particle_zoo.errors import InputError

STEP_NS = 1.5625
"""Step of `Hits.toa`: one period of the 640 MHz fast clock of Timepix3."""

UNITS = ("ToT", "keV")

Selection = slice | npt.ArrayLike


@dataclass(frozen=True, eq=False, repr=False)
class Hits:
    """An immutable, columnar stream of n hits, in time order or not.

    Args:
        row: (n,) row of the pixel (y), counted from 0 as in the file.
        col: (n,) column of the pixel (x).
        energy: (n,) ToT counts or keV, see `unit`; float64 stays, everything else becomes float32.
        toa: (n,) int64 time of arrival in steps of 1.5625 ns; `from_ns` converts float64 nanoseconds.
        chip: (n,) number of the chip; 0 everywhere by default.
        unit: unit of `energy`, ToT or keV.
        gaps: how often the readout reported lost data.
        run: (n,) number of the measurement, each with a clock of its own; 0 everywhere by default.
        counts: what else the stream holds and how often, e.g. tdc, heartbeat, unknown.

    Raises:
        InputError: columns of different length, a time that is no int64, a pixel, chip or run that is no whole number,
            or an unknown unit.
    """

    row: np.ndarray
    col: np.ndarray
    energy: np.ndarray
    toa: np.ndarray
    chip: np.ndarray | None = None
    unit: str = "ToT"
    gaps: int = 0
    run: np.ndarray | None = None
    counts: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        toa = np.asarray(self.toa)
        if toa.dtype.kind not in "iu" or (toa.dtype.itemsize < 8 and toa.size):
            raise InputError(
                f"times are int64 in steps of {STEP_NS} ns; received {toa.dtype}; use Hits.from_ns for nanoseconds"
            )
        if self.unit not in UNITS:
            raise InputError(f"energy unit must be one of {', '.join(UNITS)}; received {self.unit!r}")
        energy = np.asarray(self.energy)
        chip = np.zeros(len(toa), np.int16) if self.chip is None else self.chip
        run = np.zeros(len(toa), np.int32) if self.run is None else self.run
        columns = {
            "row": _whole("row", self.row, np.int32),
            "col": _whole("col", self.col, np.int32),
            "energy": np.array(energy, np.float64 if energy.dtype == np.float64 else np.float32),
            "toa": np.array(toa, np.int64),
            "chip": _whole("chip", chip, np.int16),
            "run": _whole("run", run, np.int32),
        }
        if len({column.shape for column in columns.values()}) != 1 or columns["toa"].ndim != 1:
            shapes = ", ".join(f"{name} {column.shape}" for name, column in columns.items())
            raise InputError(f"all columns of hits must have one value a hit; received {shapes}")
        for name, column in columns.items():
            column.flags.writeable = False
            object.__setattr__(self, name, column)

    @classmethod
    def from_ns(
        cls,
        row: npt.ArrayLike,
        col: npt.ArrayLike,
        energy: npt.ArrayLike,
        time_ns: npt.ArrayLike,
        chip: npt.ArrayLike | None = None,
        *,
        unit: str = "ToT",
        gaps: int = 0,
    ) -> Hits:
        """Build from times in nanoseconds (float64), rounded to the nearest step.

        Raises:
            InputError: float32 times, which cannot hold a second in nanoseconds, or times that are not finite.
        """
        time = np.asarray(time_ns)
        if time.dtype.kind == "f" and time.dtype.itemsize < 8:
            raise InputError(f"times in ns must be float64; received {time.dtype}, which loses steps after 20 ms")
        time = np.asarray(time, np.float64)
        if not np.isfinite(time).all():
            raise InputError(f"hit {int(np.argmin(np.isfinite(time)))} has the time nan or inf; remove it first")
        toa = np.rint(time / STEP_NS).astype(np.int64)
        chips = None if chip is None else np.asarray(chip)
        return cls(np.asarray(row), np.asarray(col), np.asarray(energy), toa, chips, unit, gaps)

    @classmethod
    def from_clusters(cls, clusters: Clusters, *, spacing_ns: float | None = None) -> Hits:
        """The hits of clusters in time order.

        Args:
            clusters: clusters in ToT or keV.
            spacing_ns: cluster i is moved by i times this; without it, the times of arrival are taken as they are.

        Raises:
            InputError: clusters without times and without a spacing, or in another unit.
        """
        if clusters.unit not in UNITS:
            raise InputError(f"hits are in {' or '.join(UNITS)}; received clusters in {clusters.unit}; calibrate first")
        if "toa" not in clusters.columns and spacing_ns is None:
            raise InputError(
                "these clusters have no times of arrival; give spacing_ns, the time from one cluster to the next"
            )
        time = clusters.column("toa") if "toa" in clusters.columns else np.zeros(len(clusters.hits))
        if spacing_ns is not None:
            time = time + spacing_ns * clusters.hit_cluster
        row, col, energy = (clusters.column(name) for name in ("row", "col", "energy"))
        return cls.from_ns(row, col, energy, time, unit=clusters.unit).sorted()

    @classmethod
    def empty(cls, unit: str = "ToT") -> Hits:
        """A stream without hits."""
        nothing = np.empty(0, np.int64)
        return cls(nothing, nothing, nothing, nothing, unit=unit)

    @classmethod
    def concat(cls, parts: Iterable[Hits]) -> Hits:
        """Join streams in order; their gaps and counts add up.

        Raises:
            InputError: no parts, or parts with different units.
        """
        parts = list(parts)
        if not parts:
            raise InputError("nothing to join: received no Hits; use Hits.empty() for an empty stream")
        if len({part.unit for part in parts}) > 1:
            units = ", ".join(sorted({part.unit for part in parts}))
            raise InputError(f"cannot join hits in {units}; calibrate one of them first")
        joined = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("row", "col", "energy", "toa", "chip", "run")
        }
        counts: Counter[str] = Counter()
        for part in parts:
            counts.update(part.counts)
        return cls(**joined, unit=parts[0].unit, gaps=sum(part.gaps for part in parts), counts=dict(counts))

    def __len__(self) -> int:
        return len(self.toa)

    def __getitem__(self, key: Selection) -> Hits:
        """Select by slice, integer array or boolean mask; always `Hits`, with the gaps and counts of the whole."""
        index = key if isinstance(key, slice) else np.asarray(key)
        assert self.chip is not None
        assert self.run is not None
        return Hits(
            self.row[index], self.col[index], self.energy[index], self.toa[index], self.chip[index], self.unit,
            self.gaps, self.run[index], self.counts,
        )  # fmt: skip

    def __repr__(self) -> str:
        span = f"{(self.toa.max() - self.toa.min()) * STEP_NS * 1e-9:.3g} s" if len(self) else "empty"
        others = "".join(f", {count} {name}" for name, count in self.counts.items() if count)
        return f"Hits({len(self)} hits, {span}, {self.unit}, {self.gaps} gaps{others})"

    @property
    def time_ns(self) -> np.ndarray:
        """(n,) float64 time of arrival in ns; exact up to 2^53 / 25 steps, 6.5 days."""
        return self.toa * STEP_NS

    @property
    def is_sorted(self) -> bool:
        """Whether no hit is earlier than the one before it; runs follow each other."""
        assert self.run is not None
        later, same = np.diff(self.run), np.diff(self.toa) >= 0
        return bool(((later > 0) | ((later == 0) & same)).all())

    def sorted(self) -> Hits:
        """The hits in time order, run by run; hits of equal time keep their order."""
        if self.is_sorted:
            return self
        assert self.run is not None
        one = (self.run == self.run[0]).all()
        return self[np.argsort(self.toa, kind="stable") if one else np.lexsort((self.toa, self.run))]


def column_phase(col: np.ndarray) -> np.ndarray:
    """Delay of the clock along the double columns of Timepix3, (n,) steps: int((x / 2) mod 16), 16 for 0."""
    phase = (col // 2) % 16
    return np.where(phase == 0, 16, phase)


def _whole(name: str, values: npt.ArrayLike, dtype: type[np.signedinteger[Any]]) -> np.ndarray:
    """A copy as integers that holds the same numbers."""
    array = np.asarray(values)
    limits = np.iinfo(dtype)
    if array.dtype.kind in "iu" and (not array.size or (array.min() >= limits.min and array.max() <= limits.max)):
        return array.astype(dtype)
    odd = ~((array >= limits.min) & (array <= limits.max) & (array == np.floor(array)))
    if odd.any():
        i = int(odd.argmax())
        raise InputError(f"{name} must be whole numbers up to {limits.max}; received {array.flat[i]} at hit {i}")
    return array.astype(dtype)
