"""Clusters of the Timepix on VZLUSAT-1 (vzlusat/vzlusat1-timepix-data): `N_fullres.clusters.txt`.

JSON: a list of `{pos_x, pos_y, cluster_class: {name, cluster_class}, pixels: [{x, y, value}, ...]}`, values in keV, pixels
relative to the position; `N_fullres.metadata.txt` beside it has `Key: value` lines. The frame itself, `N_fullres.txt`, is a
matrix as of Pixet.
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

START = re.compile(rb'\s*\[\s*\{[^\[\]]*"(?:pos_x|pos_y|cluster_class|pixels)"')
METADATA = {"unix time": "start_s", "acquisition time": "duration_s", "threshold": "threshold", "bias": "bias_v"}
"""Lines of the metadata that become columns, by the beginning of the key in lower case."""

SIDE = 256


def iter_clusters(path: str | Path) -> Iterator[Clusters]:
    """Yield the clusters of a file in keV; `label` is the name of its class, `vzlusat_class` its number.

    Raises:
        InputError: no such list, or a pixel that is none; names the entry.
    """
    path = Path(path)
    try:
        entries = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a readable file") from error
    except (ValueError, RecursionError) as error:
        place = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "some byte"
        raise InputError(f"{path}, {place}: no JSON; copy the file again") from error
    if not isinstance(entries, list):
        raise InputError(f"{path} holds a {type(entries).__name__}; expected a list of clusters; copy the file again")
    hits, labels, codes = [], [], []
    for i, entry in enumerate(entries):
        try:
            kind = entry["cluster_class"]
            origin = (float(entry["pos_y"]), float(entry["pos_x"]), 0.0)
            pixels = np.array([(p["y"], p["x"], p["value"]) for p in entry["pixels"]], np.float64) + origin
            labels.append(str(kind["name"]))
            codes.append(int(kind["cluster_class"]))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(
                f"{path}, cluster {i}: expected position, class and pixels; received {str(entry)[:40]!r}; copy it again"
            ) from error
        at = pixels[:, :2] if pixels.ndim == 2 and len(pixels) else np.full((1, 2), -1.0)
        inside = ((at >= 0) & (at < SIDE) & (at == np.floor(at))).all()
        if not (inside and np.isfinite(pixels).all()):
            raise InputError(f"{path}, cluster {i}: a pixel outside {SIDE} x {SIDE}; copy the file again")
        hits.append(pixels)
    if not hits:
        return
    table = pd.DataFrame(
        {
            "id": [f"{path.name}:{i}" for i in range(len(hits))],
            "label": labels,
            "vzlusat_class": codes,
            **_metadata(path),
            "source": path.name,
        }
    )
    yield Clusters.from_list(hits, table=table, unit="keV")


def _metadata(path: Path) -> dict[str, float]:
    beside = path.with_name(re.sub(r"\.clusters\.txt$", ".metadata.txt", path.name))
    if beside == path or not beside.is_file():
        return {}
    found: dict[str, float] = {}
    for line in beside.read_text("utf-8", "replace").splitlines():
        key, colon, value = line.partition(":")
        name = next((name for start, name in METADATA.items() if key.strip().lower().startswith(start)), None)
        number = re.match(r"\s*(-?\d+(?:\.\d*)?)", value)
        if colon and name and number:
            found.setdefault(name, float(number[1]))
    return found


def _recognise(start: bytes) -> bool:
    return START.match(start) is not None


def _of_another(path: str | Path) -> Iterator[Any]:
    raise InputError(f"{path} only accompanies a frame of VZLUSAT-1; give the .clusters.txt or the frame itself")
    yield  # pragma: no cover


FORMAT = Format("VZLUSAT-1 clusters", (".clusters.txt",), _recognise, iter_clusters)
COMPANION = Format(
    "VZLUSAT-1 metadata", (".metadata.txt", ".statistics.txt"), lambda start: False, _of_another, companion=True
)
