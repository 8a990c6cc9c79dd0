"""Any clusters as a prepared TFDS folder, readable by `tfds.builder_from_directory` without this package."""

from __future__ import annotations

import contextlib
import io
import pickle
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.data.splits import SPLITS, assign_one
from particle_zoo.errors import InputError

NAME = "simulated_clusters"


def write(folder: Path, parts: Iterable[Clusters], *, split_by: str = "primary") -> Path:
    """Write clusters as train, validation and test of a TFDS data set.

    Each example has `hits` (None, k), whose columns are named in the description, and one feature a table column.
    Parts wait on disk, so that memory does not grow with their number.

    Args:
        folder: to create; it appears when it is complete.
        parts: clusters of one kind.
        split_by: table column whose equal values stay in one split; clusters are split by id where it is missing.

    Returns:
        The folder.

    Raises:
        InputError: the folder exists, or nothing to write.
    """
    import tensorflow_datasets as tfds

    folder = Path(folder)
    if folder.exists():
        raise InputError(f"{folder} exists; choose another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        spool = Path(scratch) / "parts.pickle"
        first, splits = _spool(spool, parts, split_by)
        description = f"Simulated clusters; hits: {', '.join(first.columns)}; unit {first.unit}."
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            # TFDS prints to stdout, which belongs to results; it and its libraries warn about themselves.
            warnings.simplefilter("ignore")
            tfds.disable_progress_bar()
            builder = tfds.dataset_builders.store_as_tfds_dataset(
                name=NAME,
                version="1.0.0",
                features=_features(first),
                split_datasets={split: _Split(spool, split, split_by) for split in SPLITS if split in splits},
                data_dir=str(Path(scratch) / "tfds"),
                description=description,
                download_config=tfds.download.DownloadConfig(compute_stats="skip"),
            )
        shutil.move(str(builder.data_dir), folder)
    return folder


def _spool(path: Path, parts: Iterable[Clusters], split_by: str) -> tuple[Clusters, set[str]]:
    first, splits = None, set()
    with path.open("wb") as file:
        for part in parts:
            if len(part):
                first = first if first is not None else part[:1]
                splits |= set(_split_of(part, split_by))
                pickle.dump(part, file)
    if first is None:
        raise InputError("nothing to write: received no clusters")
    return first, splits


def _split_of(part: Clusters, split_by: str) -> list[str]:
    keys = part.table[split_by].astype(str) if split_by in part.table else part.ids
    return [assign_one(str(key)) for key in keys]


def _features(clusters: Clusters) -> Any:
    import tensorflow_datasets as tfds

    features: dict[str, Any] = {
        "hits": tfds.features.Tensor(
            shape=(None, len(clusters.columns)), dtype=clusters.hits.dtype.type, encoding="zlib"
        )
    }
    for name, values in clusters.table.items():
        kind = values.dtype.kind
        if kind == "f":
            # As bytes: TFDS keeps plain numbers in single precision, too coarse for times.
            features[str(name)] = tfds.features.Tensor(shape=(), dtype=np.float64, encoding="bytes")
        elif kind in "biu":
            features[str(name)] = tfds.features.Scalar(np.bool_ if kind == "b" else np.int64)
        else:
            features[str(name)] = tfds.features.Text()
    return tfds.features.FeaturesDict(features)


class _Split:
    """The examples of one split, read from the spool."""

    def __init__(self, spool: Path, split: str, split_by: str) -> None:
        self.spool, self.split, self.split_by = spool, split, split_by

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        with self.spool.open("rb") as file:
            while True:
                try:
                    part: Clusters = pickle.load(file)
                except EOFError:
                    return
                rows: list[dict[str, Any]] = part.table.to_dict("records")  # type: ignore[assignment]
                for i, split in enumerate(_split_of(part, self.split_by)):
                    if split == self.split:
                        hits = part.hits[part.offsets[i] : part.offsets[i + 1]]
                        yield str(rows[i]["id"]), {"hits": hits} | rows[i]
