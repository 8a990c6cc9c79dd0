"""Load clusters of a data set by name."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.data import ccd
from particle_zoo.data.splits import SPLITS
from particle_zoo.errors import InputError

SOURCES: dict[str, Any] = {"ccd_clusters": ccd}
"""Module of each data set; it offers CLASSES, UNITS, clusters, fingerprint, as_row, from_columns."""


def dataset_classes(dataset: str) -> tuple[str, ...]:
    """Class names of a data set in the order of their codes.

    Raises:
        InputError: an unknown data set.
    """
    return tuple(_parse(dataset)[0].CLASSES)


def labelled(dataset: str) -> bool:
    """Whether the clusters of a data set have labels."""
    return _parse(dataset)[2] != "fits"


def fingerprint(dataset: str, *, data_dir: str | Path | None = None, manual_dir: str | Path | None = None) -> str:
    """Hex digest of the source files of a data set, or of the parameters of its simulation.

    Args:
        dataset: NAME or NAME/CONFIG.
        data_dir: as in `load`.
        manual_dir: as in `load`.

    Raises:
        InputError: an unknown data set or unusable source files.
    """
    source, _, config = _parse(dataset)
    manual = Path(manual_dir) if manual_dir is not None else source.fetch(config, data_dir)
    return str(source.fingerprint(config, manual))


def load(
    dataset: str,
    split: str = "train",
    *,
    data_dir: str | Path | None = None,
    manual_dir: str | Path | None = None,
    classes: Sequence[str] | None = None,
    limit: int | None = None,
    allow_empty: bool = False,
    use_tfds: bool | None = None,
) -> Clusters:
    """Load a split.

    Args:
        dataset: NAME or NAME/CONFIG; without a configuration, the simulated one.
        split: train, validation, test, or all for their union.
        data_dir: where prepared data are kept; TFDS's default without it. Every state of the source files has a
            folder of its own in it, so changed files or another `manual_dir` are prepared anew.
        manual_dir: folder with the user's source files.
        classes: keep clusters of these classes, after the split.
        limit: keep the first so many.
        allow_empty: return an empty set instead of raising.
        use_tfds: prepare and read through TFDS; by default where it is installed.

    Raises:
        InputError: unknown names, unusable source files, or nothing left.
    """
    source, name, config = _parse(dataset)
    if split not in (*SPLITS, "all"):
        raise InputError(f"--split must be {', '.join(SPLITS)} or all; received {split!r}")
    manual = Path(manual_dir) if manual_dir is not None else source.fetch(config, data_dir)
    if use_tfds is None:
        use_tfds = importlib.util.find_spec("tensorflow_datasets") is not None
    if use_tfds:
        from particle_zoo.data import prepared

        parts = prepared.read(source, name, config, SPLITS if split == "all" else (split,), data_dir, manual)
    else:
        parts = direct(source, config, SPLITS if split == "all" else (split,), manual)
    clusters = Clusters.concat(parts) if parts else Clusters.empty(unit=source.UNITS[config])
    if classes is not None:
        clusters = clusters[np.isin(clusters.labels, list(classes))]
    if limit is not None:
        clusters = clusters[:limit]
    if not len(clusters) and not allow_empty:
        kept = f" of the classes {', '.join(classes)}" if classes else ""
        raise InputError(f"{dataset} has no clusters{kept} in split {split}; try --split all or other --classes")
    return clusters


def direct(source: Any, config: str, splits: Sequence[str], manual_dir: Path | None) -> list[Clusters]:
    """Clusters of the splits straight from the source: what the prepared set holds, without TFDS."""
    source.fingerprint(config, manual_dir)
    chunks = [_stored(source, config, part) for part in source.clusters(config, manual_dir) if len(part)]
    if not chunks:
        return []
    whole = Clusters.concat(chunks)
    parts = [whole[(whole.table["split"] == name).to_numpy()] for name in splits]
    return [Clusters(p.hits, p.columns, p.offsets, p.table.drop(columns="split"), p.unit) for p in parts if len(p)]


def _stored(source: Any, config: str, part: Clusters) -> Clusters:
    rows = [source.as_row(part, i) for i in range(len(part))]
    table = {key: [row[key] for row in rows] for key in rows[0] if key != "hits"}
    return source.from_columns(config, part.hits, part.offsets, table | {"split": part.table["split"].tolist()})


def _parse(dataset: str) -> tuple[Any, str, str]:
    name, _, config = dataset.partition("/")
    if name not in SOURCES:
        raise InputError(f"unknown data set {name!r}; there is {', '.join(SOURCES)}")
    config = config or "simulated"
    if config not in SOURCES[name].UNITS:
        raise InputError(f"{name} has no configuration {config!r}; there is {', '.join(SOURCES[name].UNITS)}")
    return SOURCES[name], name, config
