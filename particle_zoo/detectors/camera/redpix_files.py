"""Pixel lists in ROOT trees of the CYGNO reconstruction (`Events`) and digitization (`event_info`); needs uproot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.detectors.camera.formats.root import opened
from particle_zoo.detectors.camera.redpix import RedPixels
from particle_zoo.errors import InputError

RECONSTRUCTION, DIGITIZATION = "Events", "event_info"

PIXELS = ("redpix_ix", "redpix_iy", "redpix_iz")

COLUMNS = {
    RECONSTRUCTION: ("run", "event", "pedestal_run"),
    DIGITIZATION: ("eventnumber", "particle_type", "energy", "theta", "phi", "z_min", "z_max", "N_photons"),
}
"""Numbers of an event that become columns of the table where the tree has them."""


def read_redpix(path: str | Path, *, swap: bool = False, start: int = 0, stop: int | None = None) -> RedPixels:
    """Read the pixel lists of a file, with their clusters.

    `Events` of CYGNUS-RD/reconstruction: `sc_redpixIdx` (float) is the first pixel of each cluster, -1 of those below its
    integral cut, whose pixels are not stored. `redpix_ix` is the first index of its arrays, the row, and `redpix_iy` the
    column. Its frames are upside down against those of ROOT files: open these with `transpose=True, rotate=1`.
    `event_info` of CYGNUS-RD/digitizationpp: every pixel with light before the pedestal is added, as one cluster an
    event. There `redpix_ix` is x, the column, as in the ROOT histograms beside it.

    Args:
        path: the file.
        swap: exchange `redpix_ix` and `redpix_iy`, for branches of the reconstruction that store x first.
        start: first event to read.
        stop: event to stop before; by default all.

    Returns:
        One frame an event; `iz` is in counts above the pedestal, and may be negative.

    Raises:
        InputError: no such tree or branch, a damaged file, or lists that contradict each other; no uproot.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is no file; give the ROOT file of a reconstruction or digitization")
    with opened(path) as file:
        names = [key.split(";")[0] for key in file.keys(recursive=False)]
        name = next((tree for tree in (RECONSTRUCTION, DIGITIZATION) if tree in names), None)
        if name is None:
            raise InputError(
                f"{path} has no tree {RECONSTRUCTION} or {DIGITIZATION}; there is {', '.join(names[:5]) or 'nothing'}"
            )
        tree = file[name]
        branches = set(tree.keys())
        needed = {*PIXELS, *(("sc_redpixIdx",) if name == RECONSTRUCTION else ())}
        if needed - branches:
            raise InputError(
                f"{path}: {name} has no {', '.join(sorted(needed - branches))}; was it written without pixels?"
            )
        known = [column for column in COLUMNS[name] if column in branches]
        extra = [b for b in ("nSc", "nRedpix", "sc_integral") if b in branches]
        data = tree.arrays([*sorted(needed), *known, *extra], entry_start=start, entry_stop=stop, library="ak")
        return _lists(path, name, data, known, swap)


def _lists(path: Path, name: str, data: Any, known: list[str], swap: bool) -> RedPixels:
    import awkward as ak

    fields = set(data.fields)
    sizes = [ak.to_numpy(ak.num(data[branch], axis=1)) for branch in PIXELS]
    flat = [ak.to_numpy(ak.flatten(data[branch], axis=1)) for branch in PIXELS]
    table = pd.DataFrame({column: ak.to_numpy(data[column]) for column in known})
    number = next((column for column in ("event", "eventnumber") if column in known), None)
    table.insert(0, "frame", np.arange(len(table)) if number is None else table[number])
    for other, branch in zip(sizes[1:], PIXELS[1:], strict=True):
        _agree(path, table, sizes[0], other, f"{PIXELS[0]} and {branch}")
    if "nRedpix" in fields:
        _agree(path, table, ak.to_numpy(data["nRedpix"]), sizes[0], f"nRedpix and {PIXELS[0]}")
    ix, iy, iz = flat
    x_first = (name == DIGITIZATION) != swap
    columns = (iy, ix, iz) if x_first else (ix, iy, iz)
    offsets = np.concatenate([[0], np.cumsum(sizes[0], dtype=np.int64)])
    try:
        if name == DIGITIZATION:
            lit = np.flatnonzero(sizes[0])
            return RedPixels.from_clusters(columns, offsets, np.zeros(len(lit)), lit, table)
        counts = ak.to_numpy(ak.num(data["sc_redpixIdx"], axis=1))
        if "nSc" in fields:
            _agree(path, table, ak.to_numpy(data["nSc"]), counts, "nSc and sc_redpixIdx")
        integral = None
        if "sc_integral" in fields:
            _agree(
                path, table, ak.to_numpy(ak.num(data["sc_integral"], axis=1)), counts, "sc_integral and sc_redpixIdx"
            )
            integral = ak.to_numpy(ak.flatten(data["sc_integral"], axis=1))
        starts = ak.to_numpy(ak.flatten(data["sc_redpixIdx"], axis=1))
        return RedPixels.from_clusters(
            columns, offsets, starts, np.repeat(np.arange(len(counts)), counts), table, integral
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _agree(path: Path, table: pd.DataFrame, one: np.ndarray, two: np.ndarray, names: str) -> None:
    if (one != two).any():
        i = int((one != two).argmax())
        raise InputError(
            f"{path}, frame {table['frame'].iloc[i]}: {names} disagree, {one[i]} and {two[i]}; the file may be damaged"
        )
