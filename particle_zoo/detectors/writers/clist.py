"""Clusters to `.clist`; the format is described in `particle_zoo.detectors.readers.clist`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from particle_zoo.clusters import MASK_UNIT, Clusters
from particle_zoo.detectors.morphology import features
from particle_zoo.errors import InputError

COLUMNS = {
    "DetectorID": "", "EventID": "", "X": "px", "Y": "px", "E": "keV", "T": "ns", "Flags": "", "Size": "px",
    "Height": "keV", "BorderPixCount": "px", "Roundness": "", "AngleAzim": "deg", "Linearity": "", "LengthProj": "px",
    "WidthProj": "px", "IsSensEdge": "", "StdAlong": "px", "StdPerp": "px", "Thin": "", "Thick": "", "CurlyThin": "",
    "EpixMean": "keV", "EpixStd": "keV", "LengthCorrStd": "um", "Length3DCorrStd": "um", "AngleElev": "deg",
    "LET": "keV/um", "Diameter": "px", "ClusterID": "", "ClusterPixels": "",
}  # fmt: skip
"""Names and units; what this package does not compute stays empty."""

FEATURES = {
    "Roundness": "roundness", "AngleAzim": "azimuth", "Linearity": "linearity", "LengthProj": "length_projected",
    "WidthProj": "width_projected", "StdAlong": "std_along", "StdPerp": "std_across", "Height": "energy_max",
    "BorderPixCount": "border", "EpixMean": "energy_mean", "EpixStd": "energy_std", "AngleElev": "elevation",
    "LET": "let_kev_um", "Diameter": "diameter", "E": "energy_sum",
}  # fmt: skip
"""Columns by feature."""


def write(path: Path, parts: Iterable[Clusters]) -> None:
    """Write parts one after the other; pixels, energies and times (whole steps of 1.5625 ns) come back exactly.

    Raises:
        InputError: masks, or clusters without times.
    """
    done, unit = 0, None
    with path.open("w", encoding="ascii", newline="\n") as file:
        for part in parts:
            if part.unit == MASK_UNIT or "toa" not in part.columns:
                raise InputError(
                    f".clist holds an energy and a time a pixel; received {part!r}; write .parquet or .clog"
                )
            if not len(part):
                continue
            if unit is None:
                units = {**COLUMNS, "E": part.unit, "Height": part.unit}
                file.write("\t".join(COLUMNS) + "\n" + "\t".join(units.values()) + "\n")
            if unit not in (None, part.unit):
                raise InputError(f"one .clist holds one unit; received {unit} and {part.unit}")
            unit = part.unit
            _rows(part, done).to_csv(file, sep="\t", header=False, index=False, lineterminator="\n", quoting=3)
            done += len(part)


def _rows(part: Clusters, before: int) -> pd.DataFrame:
    shape = features(part, [*FEATURES.values(), "row_mean", "col_mean"])
    toa = part.column("toa")
    first = np.minimum.reduceat(toa, part.offsets[:-1])
    pixels = zip(
        part.column("col").astype(int).tolist(), part.column("row").astype(int).tolist(),
        part.column("energy").tolist(), (toa - first[part.hit_cluster]).tolist(), strict=True,
    )  # fmt: skip
    texts = [f"[{x}, {y}, {energy!r}, {time!r}]" for x, y, energy, time in pixels]
    table = pd.DataFrame(dict.fromkeys(COLUMNS, ""), index=range(len(part)), dtype=object)
    for name, feature in FEATURES.items():
        table[name] = shape[feature].to_numpy()
    # Centres of pixels.
    table["X"], table["Y"] = shape["col_mean"] + 0.5, shape["row_mean"] + 0.5
    table["T"], table["Size"], table["ClusterID"] = first, part.sizes, np.arange(before, before + len(part))
    table["ClusterPixels"] = [" ".join(texts[a:b]) for a, b in itertools.pairwise(part.offsets.tolist())]
    return table
