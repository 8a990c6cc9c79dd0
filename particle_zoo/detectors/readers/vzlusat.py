"""Labelled clusters of the Timepix on board VZLUSAT-1, `N_fullres.clusters.txt` with `N_fullres.metadata.txt` beside it.

A JSON list of clusters: pos_x and pos_y, pixels with x and y relative to them and a value in keV, and the class a random
forest gave it (T. Baca et al., IROS 2019): 1 dot, 2 blob_small, 4 blob_branched, 5 track_straight, 6 track_curly,
9 track_lowres; others keep the name in the file. The metadata are `Key: value` lines. Frames of the same data set,
`N_fullres.txt`, are read by `particle_zoo.detectors.readers.pixet`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.readers.format import Format
from particle_zoo.errors import InputError

SIDE = 256
ENDING = ".clusters.txt"
CLUSTER = re.compile(rb'\s*\[\s*\{\s*"(?:pos_x|pos_y|pixels|cluster_class)"\s*:')
METADATA = {
    "frame": "Image number",
    "start_s": "Time",
    "duration_s": "Acquisition time",
    "hv_v": "Bias",
    "threshold_dac": "Threshold",
    "temperature_c": "Temperature",
}
POSITION = "latitude, longitude, altitude, tle_time"


def iter_clusters(path: str | Path) -> Iterator[Clusters]:
    """Yield the clusters in keV; label and `vzlusat_class` (integer) as in the file.

    The table also has `source` and, of the metadata, `frame` (number of the image), `start_s` (Unix time),
    `duration_s`, `hv_v`, `threshold_dac`, `temperature_c`, `latitude_deg`, `longitude_deg` and `altitude_km`; NaN where
    they are not there.

    Raises:
        InputError: damaged JSON or metadata, or a pixel outside 256 x 256; names the cluster.
    """
    path = Path(path)
    try:
        entries = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a readable .clusters.txt file") from error
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise InputError(f"{path}, line {line}: this is no JSON; copy the file again") from error
    if not isinstance(entries, list):
        raise InputError(f"{path}: expected a list of clusters, received {str(entries)[:30]!r}; copy the file again")
    metadata = _metadata(path)
    if not entries:
        return
    parsed = [_cluster(path, i, entry) for i, entry in enumerate(entries)]
    hits, labels, classes = zip(*parsed, strict=True)
    table = pd.DataFrame(
        {
            "id": [f"{path.name}:{i}" for i in range(len(parsed))],
            "label": labels,
            "vzlusat_class": np.array(classes, np.int64),
            **metadata,
            "source": path.name,
        }
    )
    yield Clusters.from_list(hits, table=table, unit="keV")


def _cluster(path: Path, i: int, entry: Any) -> tuple[np.ndarray, str, int]:
    """(n, 3) row, column and keV, label and class."""
    try:
        kind = entry["cluster_class"]
        pixels = np.array([(p["y"], p["x"], p["value"]) for p in entry["pixels"]])
        origin = np.array([entry["pos_y"], entry["pos_x"], 0])
        label, number = kind["name"], kind["cluster_class"]
        if pixels.ndim != 2 or pixels.dtype.kind not in "if" or origin.dtype.kind not in "if":
            raise TypeError
        hits = pixels.astype(np.float64) + origin
        whole = hits[:, :2] == np.floor(hits[:, :2])
        inside = (hits[:, :2] >= 0) & (hits[:, :2] < SIDE)
        if not (whole.all() and inside.all() and (abs(hits[:, 2]) < 1e9).all()):
            raise ValueError
        if type(label) is not str or type(number) is not int or abs(number) >= 2**31:
            raise TypeError
    except (KeyError, TypeError, ValueError, OverflowError, IndexError) as error:
        raise InputError(
            f"{path}, cluster {i}: expected pos_x, pos_y, cluster_class and pixels of x, y (0 to {SIDE - 1} in the "
            f"frame) and value; received {' '.join(str(entry).split())[:60]!r}; copy the file again"
        ) from error
    return hits.astype(np.float32), label, number


def _metadata(path: Path) -> dict[str, float]:
    found = dict.fromkeys((*METADATA, "latitude_deg", "longitude_deg", "altitude_km"), float("nan"))
    beside = path.with_name(path.name[: -len(ENDING)] + ".metadata.txt")
    if not path.name.endswith(ENDING) or not beside.is_file():
        return found
    try:
        lines = [line.partition(": ") for line in beside.read_text(encoding="utf-8").splitlines()]
        said = {key.strip(): value.strip() for key, _, value in lines}
        found.update({column: float(said[key]) for column, key in METADATA.items() if key in said})
        if POSITION in said:
            numbers = [float(text) for text in said[POSITION].split(",")[:3]]
            found.update(zip(("latitude_deg", "longitude_deg", "altitude_km"), numbers, strict=True))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{beside}: expected 'Key: number' lines ({' '.join(str(error).split())[:60]}); copy it again, or remove it "
            "to read the clusters without"
        ) from error
    return found


FORMAT = Format("VZLUSAT-1 clusters", (ENDING,), lambda start: CLUSTER.match(start) is not None, iter_clusters)
