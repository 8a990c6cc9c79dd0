"""Energy calibration of every pixel of a chip: ToT = a E + b - c / (E - t), with a, b, c and t as 256 x 256 files."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from particle_zoo.cli import replacing
from particle_zoo.clusters import Clusters
from particle_zoo.detectors.calibration import Surrogate, energy_of, tot_of
from particle_zoo.detectors.frames import Frames
from particle_zoo.detectors.hits import Hits
from particle_zoo.errors import InputError

COEFFICIENTS = ("a", "b", "c", "t")

TYPICAL = "typical"
"""Stands for the typical values of `Surrogate` where a folder is asked for."""

Record = TypeVar("Record", bound=Hits | Frames | Clusters)


@dataclass(frozen=True, eq=False)
class Calibration:
    """The calibration of one chip.

    Args:
        a: (rows, cols) ToT a keV, at high energy.
        b: (rows, cols) ToT of the straight line at 0 keV.
        c: (rows, cols) bend near the threshold, ToT keV.
        t: (rows, cols) pole, keV.

    Raises:
        InputError: coefficients of different shape.
    """

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    t: np.ndarray

    def __post_init__(self) -> None:
        for name in COEFFICIENTS:
            values = np.array(getattr(self, name), np.float64)
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        shapes = {getattr(self, name).shape for name in COEFFICIENTS}
        if len(shapes) != 1 or self.a.ndim != 2:
            raise InputError(f"a, b, c and t must have one value a pixel each; received shapes {sorted(shapes)}")

    @classmethod
    def read(cls, folder: str | Path, *, shape: tuple[int, int] | None = (256, 256)) -> Calibration:
        """Read a.txt, b.txt, c.txt and t.txt (also caliba.txt, chip_a.txt, ...): a line a row, numbers between spaces.

        Args:
            folder: with the four files.
            shape: rows and columns of the chip; None takes any.

        Raises:
            InputError: a file that is missing, damaged or of another shape.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder; give the one with a.txt, b.txt, c.txt and t.txt of the chip")
        files = {name: _file(folder, name) for name in COEFFICIENTS}
        tables = {name: _table(path) for name, path in files.items()}
        expected = shape or tables["a"].shape
        for name, values in tables.items():
            if values.shape != expected:
                raise InputError(
                    f"{files[name]} has {values.shape[0]} x {values.shape[1]} pixels, expected {expected[0]} x "
                    f"{expected[1]}; give four whole files of one chip"
                )
        return cls(**tables)

    def write(self, folder: str | Path) -> Path:
        """Write the four files; values come back exactly."""
        folder = Path(folder)
        for name in COEFFICIENTS:
            with replacing(folder / f"{name}.txt") as temporary:
                np.savetxt(temporary, getattr(self, name), fmt="%.17g")
        return folder

    @property
    def dead(self) -> np.ndarray:
        """(rows, cols) pixels without a calibration: a not positive, c negative, or any of the four not finite."""
        finite = np.logical_and.reduce([np.isfinite(getattr(self, name)) for name in COEFFICIENTS])
        with np.errstate(invalid="ignore"):
            dead: np.ndarray = ~finite | ~(self.a > 0) | (self.c < 0)
        return dead

    def energy(self, tot: npt.ArrayLike, row: npt.ArrayLike, col: npt.ArrayLike) -> np.ndarray:
        """Energy in keV (float64) of ToT: the larger root; NaN of dead pixels.

        Raises:
            InputError: a pixel the chip does not have.
        """
        energy = energy_of(tot, *self._at(row, col))
        return np.where(self.dead[np.asarray(row), np.asarray(col)], np.nan, energy)

    def tot(self, energy: npt.ArrayLike, row: npt.ArrayLike, col: npt.ArrayLike) -> np.ndarray:
        """ToT (float64, not rounded, at least 0) of energies in keV; 0 at and below the pole, NaN of dead pixels.

        Raises:
            InputError: a pixel the chip does not have.
        """
        found = tot_of(energy, *self._at(row, col))
        return np.where(self.dead[np.asarray(row), np.asarray(col)], np.nan, found)

    def _at(self, row: npt.ArrayLike, col: npt.ArrayLike) -> list[np.ndarray]:
        row, col = np.asarray(row), np.asarray(col)
        rows, cols = self.a.shape
        outside = (row < 0) | (row >= rows) | (col < 0) | (col >= cols)
        if outside.any():
            i = int(outside.ravel().argmax())
            raise InputError(
                f"the calibration has {rows} x {cols} pixels; received row {row.ravel()[i]}, col {col.ravel()[i]}"
            )
        return [getattr(self, name)[row, col] for name in COEFFICIENTS]


Any_Calibration = Surrogate | Calibration | Mapping[int, Calibration]
"""One for all pixels, one a pixel, or one a chip."""


def read_calibration(path: str | Path) -> Any_Calibration:
    """The calibration in a folder; "typical" gives typical values, a folder with chip0, chip1, ... one a chip.

    Raises:
        InputError: no calibration there.
    """
    path = Path(path)
    if str(path) == TYPICAL:
        return Surrogate()
    chips = {int(m[1]): sub for sub in path.glob("chip*") if (m := re.fullmatch(r"chip[_-]?(\d{1,3})", sub.name))}
    return {chip: Calibration.read(sub) for chip, sub in sorted(chips.items())} if chips else Calibration.read(path)


def calibrate(data: Record, calibration: Any_Calibration) -> Record:
    """The same record in keV.

    Hits of dead pixels are left out and counted: in `counts["dead"]` of Hits, in the column `dead_pixels` of the table of
    Frames and Clusters. A cluster of dead pixels only disappears.

    Args:
        data: in ToT.
        calibration: one for all pixels, one a pixel, or one a chip (Hits only).

    Raises:
        InputError: data that are not in ToT, a pixel or chip without calibration.
    """
    if data.unit != "ToT":
        raise InputError(f"a calibration turns ToT into keV; received {data!r}")
    found: Any
    if isinstance(data, Hits):
        found = _hits(data, calibration)
    elif isinstance(calibration, Mapping):
        raise InputError("calibrations of several chips are for hit streams; give the one of this chip")
    elif isinstance(data, Frames):
        found = _frames(data, calibration)
    else:
        found = _clusters(data, calibration)
    return found


def _hits(data: Hits, calibration: Any_Calibration) -> Hits:
    energy = _hit_energy(data, calibration)
    alive = np.isfinite(energy)
    dead = int((~alive).sum())
    if not dead:
        return replace(data, energy=energy, unit="keV")
    counts = dict(data.counts) | {"dead": data.counts.get("dead", 0) + dead}
    return replace(data[alive], energy=energy[alive], unit="keV", counts=counts)


def _frames(data: Frames, calibration: Surrogate | Calibration) -> Frames:
    energy = _energy(calibration, data.energy, data.row, data.col)
    alive = np.isfinite(energy)
    frame, n = data.pixel_frame, len(data)
    assert data.table is not None
    return Frames(
        data.row[alive],
        data.col[alive],
        energy[alive],
        np.concatenate([[0], np.cumsum(np.bincount(frame[alive], minlength=n))]),
        data.shape,
        data.table.assign(dead_pixels=np.bincount(frame[~alive], minlength=n)),
        "keV",
        None if data.toa is None else data.toa[alive],
    )


def _clusters(data: Clusters, calibration: Surrogate | Calibration) -> Clusters:
    if "summed_pixels" in data.table and data.table["summed_pixels"].notna().any():
        raise InputError("hits that stand for several pixels have a sum of ToT, which no calibration turns into keV")
    row, col = (data.column(name).astype(np.int64) for name in ("row", "col"))
    energy = _energy(calibration, data.column("energy"), row, col)
    alive = np.isfinite(energy)
    cluster, n = data.hit_cluster, len(data)
    sizes = np.bincount(cluster[alive], minlength=n)
    hits = data.hits.astype(np.float64)
    hits[:, 2] = energy
    table = data.table.assign(dead_pixels=np.bincount(cluster[~alive], minlength=n))
    # They were those of the clusters before.
    stale = ["energy_sum"] + (["size", "height", "width", "row0", "col0"] if not alive.all() else [])
    table = table.drop(columns=[name for name in stale if name in table])
    kept = sizes > 0
    offsets = np.concatenate([[0], np.cumsum(sizes[kept])])
    return Clusters(hits[alive], data.columns, offsets, table[kept], "keV")


def _hit_energy(hits: Hits, calibration: Any_Calibration) -> np.ndarray:
    if not isinstance(calibration, Mapping):
        return _energy(calibration, hits.energy, hits.row, hits.col)
    assert hits.chip is not None
    energy = np.empty(len(hits))
    for chip in np.unique(hits.chip):
        if int(chip) not in calibration:
            raise InputError(f"no calibration of chip {chip}; received those of {', '.join(map(str, calibration))}")
        members = hits.chip == chip
        own = calibration[int(chip)]
        energy[members] = own.energy(hits.energy[members], hits.row[members], hits.col[members])
    return energy


def _energy(calibration: Surrogate | Calibration, tot: np.ndarray, row: np.ndarray, col: np.ndarray) -> np.ndarray:
    return calibration.energy(tot) if isinstance(calibration, Surrogate) else calibration.energy(tot, row, col)


def _file(folder: Path, name: str) -> Path:
    exact = folder / f"{name}.txt"
    if exact.is_file():
        return exact
    pattern = re.compile(rf"(?:.*[_-])?(?:calib)?{name}\.txt", re.IGNORECASE)
    found = sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name))
    if len(found) != 1:
        received = ", ".join(path.name for path in found) or "none"
        raise InputError(f"{folder} needs one file {name}.txt of the calibration; received {received}")
    return found[0]


def _table(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # An empty file is only a warning to NumPy.
            warnings.simplefilter("error")
            return np.loadtxt(path, np.float64, comments=None, ndmin=2)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a readable file") from error
    except (ValueError, UserWarning) as error:
        raise InputError(f"{path}, {_bad_line(path)}; copy the file again") from error


def _bad_line(path: Path) -> str:
    rows = path.read_bytes().split(b"\n")
    width = len(rows[0].split())
    for number, row in enumerate(rows, 1):
        cells = row.split()
        if cells and len(cells) != width:
            return f"line {number}: {len(cells)} numbers, the lines before have {width}"
        for cell in cells:
            try:
                float(cell)
            except ValueError:
                return f"line {number}: {cell[:20]!r} is no number"
    return "line 1: no numbers"
