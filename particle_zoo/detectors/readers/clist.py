"""`.clist` and `.elist`: cluster and event tables of Pixet and the Data Processing Engine.

Tab-separated; line 1 has the names of the columns, line 2 their units. Columns are found by name. `ClusterPixels` holds the
pixels as `[x, y, E, dToA_ns]` groups, dToA counted from the time `T` of the cluster.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.readers.format import Format
from particle_zoo.detectors.readers.text import blocks, groups
from particle_zoo.errors import InputError

NEEDED = ("T", "ClusterPixels")
PIXELS = re.compile(r"(?:\[[^\[\]]*\]\s*)+")
NUMBERS_OF = (
    "EventID", "X", "Y", "E", "T", "Size", "Height", "BorderPixCount", "Roundness", "AngleAzim", "Linearity", "LengthProj",
    "WidthProj", "StdAlong", "StdPerp", "EpixMean", "EpixStd", "LengthCorrStd", "Length3DCorrStd", "AngleElev", "LET",
    "Diameter", "ClusterID",
)  # fmt: skip
"""Columns that hold numbers."""

BLOCK = 2**23


def iter_clusters(
    path: str | Path, *, unit: str | None = None, partial: bool = False, block: int = BLOCK
) -> Iterator[Clusters]:
    """Yield the clusters in file order; `toa` (ns) is T + dToA, and every column of the file is in the table as `clist_NAME`.

    Args:
        path: file.
        unit: of the energies, keV or ToT; by default what line 2 says of E, keV where it says nothing.
        partial: leave out a last line without an end.
        block: bytes of text to read at a time.

    Raises:
        InputError: a column is missing, or a row cannot be read; names the line.
    """
    path = Path(path)
    names: list[str] = []
    own_unit = "keV"
    done = 0
    for line, text in blocks(path, block, whole=not partial):
        if not names:
            head, units, text = (*text.split(b"\n", 2), b"", b"")[:3]
            head = head.removeprefix(b"\xef\xbb\xbf")
            names = [name.strip() for name in head.decode("latin-1").rstrip("\r").split("\t")]
            own_unit = _unit(path, names, units.decode("latin-1").rstrip("\r").split("\t"), unit)
            line += 2
        if text.strip():
            part = _clusters(path, text, line, names, own_unit, done)
            done += len(part)
            yield part
    if not names:
        raise InputError(f"{path} is empty; copy the file again")


def _unit(path: Path, names: list[str], units: list[str], asked: str | None) -> str:
    for name in NEEDED:
        if name not in names:
            raise InputError(
                f"{path} has no column {name}; export the clusters with their pixels (ClusterPixels) and times"
            )
    if len(set(names)) != len(names):
        raise InputError(f"{path}, line 1: a column appears twice; received {', '.join(names)[:80]}")
    said = dict(zip(names, (unit.strip() for unit in units), strict=False)).get("E", "")
    found = asked or (
        "ToT" if said.lower() in ("tot", "counts") else "keV" if said.lower() in ("kev", "", "-") else said
    )
    if found not in ("keV", "ToT"):
        raise InputError(f"{path}, line 2: energies are in {found!r}; say what they are with unit=keV or unit=ToT")
    return found


def _clusters(path: Path, text: bytes, line: int, names: list[str], unit: str, before: int) -> Clusters:
    # Columns of others are text, whatever they look like: a type that changes on the way fits into no table.
    kinds = dict.fromkeys(NUMBERS_OF, np.float64)
    numbers = {name: ["", "nan", "NaN"] for name in names if name in kinds}
    try:
        table = pd.read_csv(
            io.BytesIO(text), sep="\t", header=None, names=names, index_col=False, engine="c", quoting=3,
            dtype={name: kinds.get(name, str) for name in names}, keep_default_na=False, na_values=numbers, encoding="latin-1", skip_blank_lines=False,
        )  # fmt: skip
        widths = _tabs(text)
        time = table["T"].to_numpy(np.float64)
        pixels = table["ClusterPixels"].str.strip()
        if len(set(widths)) != 1 or widths[0] != len(names) - 1 or len(table) != len(widths):
            raise ValueError
        joined = "\n".join(pixels.tolist())
        sizes = pixels.str.count(r"\[").to_numpy(np.int64)
        values = groups(joined.encode("ascii"), 4)
        if (
            len(values) != sizes.sum()
            or (sizes < 1).any()
            or not (np.isfinite(time).all() and np.isfinite(values).all())
        ):
            raise ValueError
        said = table["Size"].to_numpy(np.float64) if "Size" in table else sizes
        if (said != sizes).any():
            raise ValueError
        place = values[:, :2]
        if not ((place >= 0) & (place == np.floor(place)) & (place < 2**15)).all():
            raise ValueError
    except (ValueError, TypeError, AttributeError, OverflowError, Warning) as error:
        raise InputError(_reason(path, text, line, names)) from error
    cluster = np.repeat(np.arange(len(sizes)), sizes)
    hits = np.column_stack([values[:, 1], values[:, 0], values[:, 2], time[cluster] + values[:, 3]])
    ours = pd.DataFrame({"id": [f"{path.name}:{before + i}" for i in range(len(sizes))], "label": ""})
    kept = table.drop(columns="ClusterPixels").add_prefix("clist_")
    whole = pd.concat([ours, kept, pd.DataFrame({"first_toa_ns": time, "source": path.name})], axis=1)
    return Clusters(hits, ("row", "col", "energy", "toa"), np.concatenate([[0], np.cumsum(sizes)]), whole, unit)


def _tabs(text: bytes) -> list[int]:
    return [row.count(b"\t") for row in text.rstrip(b"\n").split(b"\n")]


def _reason(path: Path, text: bytes, line: int, names: list[str]) -> str:
    pixels = names.index("ClusterPixels")
    for number, row in enumerate(text.rstrip(b"\n").split(b"\n"), line):
        cells = row.decode("latin-1").rstrip("\r").split("\t")
        if len(cells) != len(names):
            return f"{path}, line {number}: {len(cells)} columns of {len(names)}; copy the file again"
        try:
            float(cells[names.index("T")])
            listed = cells[pixels].strip()
            values = groups(listed.encode("ascii"), 4)
            sound = PIXELS.fullmatch(listed) and len(values) == listed.count("[") and np.isfinite(values).all()
            if sound and "Size" in names and float(cells[names.index("Size")]) != len(values):
                size = cells[names.index("Size")]
                return f"{path}, line {number}: Size is {size}, ClusterPixels has {len(values)}; copy the file again"
            if not sound or (values[:, :2] != np.floor(values[:, :2])).any() or (values[:, :2] < 0).any():
                raise ValueError
        except (ValueError, OverflowError):
            return (
                f"{path}, line {number}: expected a time and pixels [x, y, E, dToA]; received {cells[pixels][:40]!r}; copy "
                "the file again"
            )
    return f"{path}, line {line}: the rows after it cannot be read; copy the file again"


def _recognise(start: bytes) -> bool:
    names = start.split(b"\n", 1)[0].rstrip(b"\r").split(b"\t")
    return len(names) > 3 and b"ClusterPixels" in names


FORMAT = Format(".clist", (".clist", ".elist"), _recognise, iter_clusters, ("unit", "partial", "block"))
