"""Load clusters of a data set by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.data import ccd, timepix1, timepix3
from particle_zoo.data.installed import tfds_usable
from particle_zoo.data.source import Contents, Source
from particle_zoo.data.splits import SPLITS
from particle_zoo.errors import InputError

SOURCES: dict[str, Source] = {
    "ccd_clusters": ccd,
    "timepix1_clusters": timepix1.SOURCE,
    "timepix3_clusters": timepix3.SOURCE,
}
"""Source of each data set."""

FRAMES = "camera_frames"
"""A data set that has no clusters; see `particle_zoo.data.camera`."""

JETS = "jets"
"""Another one; see `particle_zoo.data.jets`."""


def dataset_classes(dataset: str, *, manual_dir: str | Path | None = None) -> tuple[str, ...]:
    """Class names of a data set in the order of their codes.

    Args:
        dataset: NAME or NAME/CONFIG.
        manual_dir: as in `load`; the user's own files bring their classes along.

    Raises:
        InputError: an unknown data set or unusable source files.
    """
    source, _, config = named_source(dataset)
    return source.contents(config, Path(manual_dir) if manual_dir is not None else None).classes


def labelled(dataset: str) -> bool:
    """Whether the clusters of a data set have labels."""
    source, _, config = named_source(dataset)
    return source.labelled(config)


def fingerprint(dataset: str, *, data_dir: str | Path | None = None, manual_dir: str | Path | None = None) -> str:
    """Hex digest of the source files of a data set, or of the parameters of its simulation.

    Args:
        dataset: NAME or NAME/CONFIG.
        data_dir: as in `load`.
        manual_dir: as in `load`.

    Raises:
        InputError: an unknown data set or unusable source files.
    """
    source, _, config = named_source(dataset)
    manual = Path(manual_dir) if manual_dir is not None else source.fetch(config, data_dir)
    return source.fingerprint(config, manual)


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
        dataset: NAME or NAME/CONFIG; without a configuration, the first simulated one.
        split: train, validation, test, or all for their union.
        data_dir: where prepared data are kept; TFDS's default without it. Every state of the source files has a
            folder of its own in it, so changed files or another `manual_dir` are prepared anew.
        manual_dir: folder with the user's source files.
        classes: keep clusters of these classes, after the split.
        limit: keep the first so many.
        allow_empty: return an empty set instead of raising.
        use_tfds: prepare and read through TFDS; by default where it and TensorFlow are installed.

    Raises:
        InputError: unknown names, unusable source files, or nothing left.
    """
    source, name, config = named_source(dataset)
    if split not in (*SPLITS, "all"):
        raise InputError(f"--split must be {', '.join(SPLITS)} or all; received {split!r}")
    manual = Path(manual_dir) if manual_dir is not None else source.fetch(config, data_dir)
    if use_tfds is None:
        use_tfds = tfds_usable()
    if use_tfds:
        from particle_zoo.data import prepared

        parts = prepared.read(source, name, config, SPLITS if split == "all" else (split,), data_dir, manual)
    else:
        parts = direct(source, config, SPLITS if split == "all" else (split,), manual)
    if parts:
        clusters = Clusters.concat(parts)
    else:
        contents = source.contents(config, manual)
        clusters = Clusters.empty(contents.columns, contents.unit)
    if classes is not None:
        clusters = clusters[np.isin(clusters.labels, list(classes))]
    if limit is not None:
        clusters = clusters[:limit]
    if not len(clusters) and not allow_empty:
        kept = f" of the classes {', '.join(classes)}" if classes else ""
        raise InputError(f"{dataset} has no clusters{kept} in split {split}; try --split all or other --classes")
    return clusters


def direct(source: Source, config: str, splits: Sequence[str], manual_dir: Path | None) -> list[Clusters]:
    """Clusters of the splits straight from the source: what the prepared set holds, without TFDS."""
    source.fingerprint(config, manual_dir)
    contents = source.contents(config, manual_dir)
    chunks = [_stored(source, config, contents, part) for part in source.clusters(config, manual_dir) if len(part)]
    if not chunks:
        return []
    whole = Clusters.concat(chunks)
    parts = [whole[(whole.table["in_split"] == name).to_numpy()] for name in splits]
    return [Clusters(p.hits, p.columns, p.offsets, p.table.drop(columns="in_split"), p.unit) for p in parts if len(p)]


def _stored(source: Source, config: str, contents: Contents, part: Clusters) -> Clusters:
    rows = source.rows(part, config, contents)
    table = {key: [row[key] for row in rows] for key in rows[0] if key != "hits"}
    table["in_split"] = part.table["in_split"].tolist()
    return source.from_columns(contents, part.hits, part.offsets, table)


def named_source(dataset: str) -> tuple[Source, str, str]:
    """Source, name and configuration of NAME[/CONFIG].

    Raises:
        InputError: an unknown data set.
    """
    name, _, config = dataset.partition("/")
    if name == FRAMES:
        raise InputError(
            f"{name} holds whole frames, not clusters; particle_zoo.train and particle_zoo.evaluate take it with a model of "
            f"camera frames such as pedestal_ae, and particle_zoo.benchmark anomaly judges on it"
        )
    if name == JETS:
        raise InputError(
            f"{name} holds jets, not clusters; particle_zoo.train and particle_zoo.evaluate take it with a model of jets such "
            f"as ae_3d_200"
        )
    if name not in SOURCES:
        raise InputError(f"unknown data set {name!r}; there is {', '.join((*SOURCES, FRAMES, JETS))}")
    configs = SOURCES[name].CONFIGS
    config = config or configs[0]
    if config not in configs:
        raise InputError(f"{name} has no configuration {config!r}; there is {', '.join(configs)}")
    return SOURCES[name], name, config
