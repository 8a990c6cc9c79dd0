"""The sources of `ccd_clusters`, one a configuration; they know nothing of TFDS."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydantic

from particle_zoo.cli import read_json
from particle_zoo.clusters import MASK_UNIT, Clusters
from particle_zoo.data import splits
from particle_zoo.data.source import Contents
from particle_zoo.detectors.readers import ccd as reader
from particle_zoo.detectors.readers import fits
from particle_zoo.errors import InputError

CLASSES = reader.CLASSES

COLUMNS = ("id", "label", "energy_sum", "source")
"""Stored table columns."""

HITS = ("row", "col", "energy")
"""Columns of the hits."""

UNITS = {"simulated": "ADU", "simulated_large": "ADU", "damic_labelled": MASK_UNIT, "fits": "ADU"}
"""Energy unit of each configuration."""

CONFIGS = tuple(UNITS)
"""The first is the default."""

SIMULATED = {"simulated": (2500, 1), "simulated_large": (30_000, 2)}
"""Clusters and seed of the simulated configurations."""

SIMULATION_VERSION = "3"
"""Raised whenever the simulation changes what a seed gives."""

CLUSTERING = "clustering.json"
"""Beside the frames of `fits`: threshold, min_size, edge, connectivity where they differ from the defaults."""

REPOSITORY = "https://github.com/AsbjornPreuss/AppMLFinalProject"


def labelled(config: str) -> bool:
    """Whether the clusters have labels."""
    return config != "fits"


def contents(config: str, manual_dir: Path | None) -> Contents:
    """What the clusters of a configuration have in common."""
    return Contents(HITS, UNITS[config], CLASSES)


def clusters(config: str, manual_dir: Path | None) -> Iterator[Clusters]:
    """Yield the clusters of a configuration, with a column `in_split`; FITS frames one at a time.

    Raises:
        InputError: unusable source files.
    """
    if config == "fits":
        folder = _folder(config, manual_dir)
        settings = frame_settings(folder)
        for frame in fits.find(folder):
            for part in fits.clusters(frame, **settings):
                yield part.with_table(in_split=[splits.assign_one(name) for name in part.ids])
        return
    whole = _simulated(*SIMULATED[config]) if config in SIMULATED else reader.read_labelled(_folder(config, manual_dir))
    yield whole.with_table(in_split=splits.assign(whole.ids, whole.labels))


class FrameSettings(pydantic.BaseModel):
    """Content of `clustering.json`; see `particle_zoo.detectors.clustering.cluster`."""

    model_config = pydantic.ConfigDict(extra="forbid")

    threshold: float = 4000.0
    min_size: int = pydantic.Field(5, ge=1)
    edge: tuple[pydantic.NonNegativeInt, pydantic.NonNegativeInt, pydantic.NonNegativeInt, pydantic.NonNegativeInt] = (
        0, 0, 0, 0,
    )  # fmt: skip
    connectivity: Literal[4, 8] = 8


def frame_settings(folder: Path) -> dict[str, Any]:
    """How to find clusters in the frames of a folder: its `clustering.json` where there is one, else the defaults.

    Raises:
        InputError: the file holds something else.
    """
    path = folder / CLUSTERING
    try:
        return FrameSettings(**(read_json(path, what="clustering settings") if path.exists() else {})).model_dump()
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        name = first["loc"][0] if first["loc"] else "settings"
        raise InputError(
            f"{path}: {name}: {first['msg']}; it may set {', '.join(FrameSettings.model_fields)}"
        ) from error


@lru_cache(maxsize=1)
def _simulated(n: int, seed: int) -> Clusters:
    # Preparation asks once a split.
    from particle_zoo.simulation.ccd import generate

    return generate(n, seed)


def source_files(config: str, manual_dir: Path | None) -> list[Path]:
    """The files a configuration reads, in order.

    Raises:
        InputError: no folder, or no files of this configuration in it.
    """
    if config in SIMULATED:
        return []
    folder = _folder(config, manual_dir)
    if config == "fits":
        files = fits.find(folder)
        files += [folder / CLUSTERING] if files and (folder / CLUSTERING).exists() else []
        expected = "*.fits frames"
    else:
        named = [folder / "clusters.tar", folder / "cluster_meta.csv", *sorted((folder / "labels").glob("*.npy"))]
        files = [p for p in (*named, *sorted((folder / "clusters").rglob("*.csv"))) if p.is_file()]
        expected = "clusters.tar or clusters/*.csv, labels/*.npy and, if there, cluster_meta.csv"
    if not files:
        raise InputError(f"{folder} is empty of what ccd_clusters/{config} reads; expected {expected}")
    return files


def fingerprint(config: str, manual_dir: Path | None) -> str:
    """Hex digest of names and contents of the source files, or of the parameters of the simulation."""
    digest = hashlib.sha256(config.encode())
    if config in SIMULATED:
        n, seed = SIMULATED[config]
        digest.update(f"{n} {seed} {SIMULATION_VERSION}".encode())
    for path in source_files(config, manual_dir):
        digest.update(f"\0{path.relative_to(_folder(config, manual_dir)).as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def fetch(config: str, data_dir: str | Path | None) -> Path | None:
    """The folder to read without `--manual-dir`: the public set is downloaded, the others have none.

    Raises:
        InputError: no network.
    """
    if config != "damic_labelled":
        return None
    from particle_zoo.data.download import labelled_ccd

    return labelled_ccd(Path(data_dir or Path.home() / "tensorflow_datasets") / "downloads")


def _folder(config: str, manual_dir: Path | None) -> Path:
    if manual_dir is None:
        raise InputError(f"ccd_clusters/{config} reads your own files; name their folder with --manual-dir")
    if not Path(manual_dir).is_dir():
        raise InputError(f"--manual-dir {manual_dir} is no folder; name the folder with the source files")
    return Path(manual_dir)


def rows(part: Clusters, config: str, contents: Contents) -> list[dict[str, Any]]:
    """The stored examples of some clusters."""
    return [_row(part, i) for i in range(len(part))]


def _row(part: Clusters, i: int) -> dict[str, Any]:
    row = part.table.iloc[i]
    label = row["label"]
    return {
        "hits": np.asarray(part.hits[part.offsets[i] : part.offsets[i + 1]], np.float32),
        "id": str(row["id"]),
        "label": CLASSES.index(label) if label else -1,
        "energy_sum": float(np.float32(row["energy_sum"])) if "energy_sum" in part.table else float("nan"),
        "source": str(row["source"]) if "source" in part.table else "",
    }


def from_columns(contents: Contents, hits: np.ndarray, offsets: np.ndarray, table: dict[str, list[Any]]) -> Clusters:
    """The inverse of `rows` for many examples."""
    import pandas as pd

    frame = pd.DataFrame(table)
    frame = frame[[*COLUMNS, *(name for name in frame if name not in COLUMNS)]]
    frame["label"] = [CLASSES[code] if code >= 0 else "" for code in frame["label"]]
    return Clusters(hits, contents.columns, offsets, frame, contents.unit)
