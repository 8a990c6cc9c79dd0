"""A prepared data set of clusters of any size, read a group of clusters at a time."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.data.load import named_source
from particle_zoo.data.source import Contents
from particle_zoo.data.splits import SPLITS
from particle_zoo.errors import InputError

RECORDS = 512
"""A group has at most so many clusters."""

GROUP_BYTES = 2**18
"""A group ends with the cluster that makes it this large on disk."""

SAMPLE_BYTES = 2**26
"""A sample ends with the group that makes it this large in memory."""

TABLE_BYTES = 200
"""About what a cluster takes beside its hits, if only id and label are read."""


@dataclass(frozen=True)
class Survey:
    """What one pass over a stream has found; a few bytes a cluster.

    Args:
        sizes: (n,) int32 pixels of each cluster, in the order of the groups.
        codes: (n,) int16 place of each label in `labels`.
        counts: (groups,) int64 clusters of each group.
        labels: names, in alphabetical order.
        digest: short hash of the ids in the order of the groups.
    """

    sizes: np.ndarray
    codes: np.ndarray
    counts: np.ndarray
    labels: tuple[str, ...]
    digest: str


class ClusterStream:
    """The clusters of a prepared TFDS data set as a sequence of groups that can be read in any order.

    TFDS shuffles examples by their keys when it writes, so every group is a random sample of its split. Memory holds one
    group, of at most 512 clusters and about 256 KiB on disk, and where each of them begins.

    Args:
        builder: of a prepared TFDS data set, as `tfds.builder_from_directory` gives it.
        splits: names of its splits.
        classes: keep clusters of these classes.
        limit: keep the first so many, as `particle_zoo.data.load` counts them.
        columns: table columns to read besides `id` and `label`; None reads all.

    Attributes:
        contents: what the clusters have in common.
        groups: where each group lies.
        allow_empty: whether a sample may be empty.

    Raises:
        InputError: a data set of something else, in another file format than TFRecord, damaged or without clusters.
    """

    def __init__(
        self,
        builder: Any,
        splits: Sequence[str],
        *,
        classes: Sequence[str] | None = None,
        limit: int | None = None,
        columns: Collection[str] | None = None,
    ) -> None:
        from particle_zoo.data.cluster_records import ClusterRecords
        from particle_zoo.data.record_file import Group

        found = builder.info.file_format
        if found is None or found.value != "tfrecord":
            kind = "an unknown format" if found is None else found.value
            raise InputError(
                f"{builder.data_dir} is in {kind}, and only TFRecord files are read as a stream; prepare the data set in TFDS's "
                "own format, file_format='tfrecord'"
            )
        self.contents = _described(builder)
        unknown = sorted(set(classes or ()) - set(self.contents.classes)) if self.contents.classes else []
        if unknown:
            raise InputError(
                f"no classes {', '.join(unknown)}; {builder.data_dir} has {', '.join(self.contents.classes)}"
            )
        self.classes, self.limit = None if classes is None else tuple(classes), limit
        self.allow_empty = False
        self._records = ClusterRecords(builder.info.features, self.contents, columns)
        self.groups: list[Group] = []
        self._split: list[int] = []
        self._first: list[int] = []
        self._survey: Survey | None = None
        self._largest: tuple[Any, Clusters] | None = None
        for number, split in enumerate(splits):
            self._add(builder, split, number)

    @classmethod
    def open(
        cls,
        dataset: str,
        split: str = "train",
        *,
        data_dir: str | Path | None = None,
        manual_dir: str | Path | None = None,
        classes: Sequence[str] | None = None,
        limit: int | None = None,
        columns: Collection[str] | None = None,
        allow_empty: bool = False,
    ) -> ClusterStream:
        """The stream of what `particle_zoo.data.load` gives for the same arguments, in another order.

        Args:
            dataset: as in `load`.
            split: as in `load`.
            data_dir: as in `load`.
            manual_dir: as in `load`.
            classes: as in `load`.
            limit: as in `load`.
            columns: see `ClusterStream`.
            allow_empty: an empty sample, too, instead of raising.

        Raises:
            InputError: as `load`, damaged files, or no TensorFlow Datasets.
        """
        source, name, config = named_source(dataset)
        if split not in (*SPLITS, "all"):
            raise InputError(f"--split must be {', '.join(SPLITS)} or all; received {split!r}")
        if any(importlib.util.find_spec(name) is None for name in ("tensorflow", "tensorflow_datasets")):
            raise InputError(
                f"{dataset} can be streamed from files of TensorFlow Datasets only; install tensorflow-datasets and tensorflow, "
                "or leave --stream out"
            )
        from particle_zoo.data import prepared

        manual = Path(manual_dir) if manual_dir is not None else source.fetch(config, data_dir)
        builder = prepared.ready(source, name, config, data_dir, manual)
        splits = prepared.present(builder, SPLITS if split == "all" else (split,))
        if not splits and not allow_empty:
            raise InputError(f"{dataset} has no clusters in split {split}; try --split all")
        stream = cls(builder, splits, classes=classes, limit=limit, columns=columns)
        stream.allow_empty = allow_empty
        return stream

    @classmethod
    def of_folder(cls, folder: Path, split: str = "train", **options: Any) -> ClusterStream:
        """The stream of a split of a folder that `particle_zoo.data.store.write` wrote; options as of the class.

        Raises:
            InputError: no such folder or split.
        """
        from particle_zoo.data import prepared

        with prepared.quiet():
            import tensorflow_datasets as tfds

            try:
                builder = tfds.builder_from_directory(str(folder))
            # A damaged description raises whatever it leads TFDS to.
            except Exception as error:
                raise InputError(
                    f"{folder} holds no prepared data set ({error}); name the folder of its version"
                ) from error
        if not prepared.present(builder, [split]):
            raise InputError(f"{folder} has no split {split!r}; there is {', '.join(builder.info.splits)}")
        return cls(builder, [split], **options)

    def _add(self, builder: Any, split: str, number: int) -> None:
        from particle_zoo.data.record_file import index

        about = builder.info.splits[split]
        record = 0
        for path, expected in zip(about.filepaths, about.shard_lengths, strict=True):
            found = index(Path(path), records=RECORDS, size=GROUP_BYTES)
            count = sum(group.count for group in found)
            if count != expected:
                raise InputError(
                    f"{path} has {count} clusters, {expected} were written; remove its folder to have the data set prepared anew"
                )
            for group in found:
                self.groups.append(group)
                self._split.append(number)
                self._first.append(record)
                record += group.count

    def __len__(self) -> int:
        """Clusters; the first call may take a pass over the stream."""
        if self.classes is None:
            whole = sum(group.count for group in self.groups)
            return whole if self.limit is None else min(whole, self.limit)
        return len(self.survey.sizes)

    def read(self, group: int) -> Clusters:
        """The clusters of one group that are kept, possibly none.

        Raises:
            InputError: a damaged file.
        """
        clusters, keys = self._read(group)
        keep = self._chosen(clusters)
        if self._last is not None:
            keep = keep & (keys <= self._last)
        return clusters if keep.all() else clusters[keep]

    def __iter__(self) -> Iterator[Clusters]:
        """Every group that has clusters, in order."""
        for group in range(len(self.groups)):
            clusters = self.read(group)
            if len(clusters):
                yield clusters

    def load(self) -> Clusters:
        """All clusters, in the order of their source.

        Raises:
            InputError: a damaged file, or no clusters.
        """
        if self.classes is not None or self.limit is not None:
            raise InputError("a stream of some classes or with a limit is not for memory; use particle_zoo.data.load")
        parts, keys = zip(*(self._read(group) for group in range(len(self.groups))), strict=True)
        # TFDS shuffles by key when it writes.
        return Clusters.concat(parts)[np.argsort(np.concatenate(keys), kind="stable")]

    def sample(self, n: int, seed: int) -> Clusters:
        """At most n clusters, of whole groups chosen by the seed; all if there are fewer, and fewer if they are very large."""
        parts, total, held = [], 0, 0
        for group in np.random.default_rng((seed, 6)).permutation(len(self.groups)).tolist():
            part = self.read(group)
            if len(part):
                parts.append(part[: n - total])
                total += len(parts[-1])
                held += parts[-1].hits.nbytes + TABLE_BYTES * len(parts[-1])
            if total >= n or held >= SAMPLE_BYTES:
                break
        if not parts and not self.allow_empty:
            raise self._none()
        return Clusters.concat(parts) if parts else Clusters.empty(self.contents.columns, self.contents.unit)

    @property
    def survey(self) -> Survey:
        """Sizes and labels of all clusters, found in the first pass over the stream.

        Raises:
            InputError: a damaged file, or no clusters.
        """
        return self._survey or self.look()

    def look(self, at: Callable[[Clusters], object] | None = None) -> Survey:
        """Pass over the stream once, and have every group looked at, for instance by the check of a preprocessor.

        Args:
            at: called with each group that has clusters.

        Raises:
            InputError: a damaged file, or no clusters; what `at` raises.
        """
        import hashlib

        digest, codes_of = hashlib.sha256(), dict[str, int]()
        sizes, codes, counts = [], [], []
        for group in range(len(self.groups)):
            clusters = self.read(group)
            counts.append(len(clusters))
            if not len(clusters):
                continue
            if at is not None:
                at(clusters)
            names, place = np.unique(clusters.labels, return_inverse=True)
            code = np.array([codes_of.setdefault(name, len(codes_of)) for name in names.tolist()], np.int16)
            sizes.append(clusters.sizes.astype(np.int32))
            codes.append(code[place])
            digest.update("\n".join([*clusters.table["id"], ""]).encode())
        if not sizes:
            raise self._none()
        labels = sorted(codes_of)
        order = np.array([labels.index(name) for name in codes_of], np.int16)
        self._survey = Survey(
            np.concatenate(sizes),
            order[np.concatenate(codes)],
            np.array(counts, np.int64),
            tuple(labels),
            digest.hexdigest()[:16],
        )
        return self._survey

    def largest(self, preprocessor: Any) -> Clusters:
        """One cluster: that whose image is the largest, where images differ in size. Every cluster is checked.

        Takes a pass over the stream, unless the preprocessor has been asked about last time.

        Args:
            preprocessor: see `particle_zoo.pipelines.preprocessor.Preprocessor`; it may have `check` and `largest`.

        Raises:
            InputError: as `look`, or a cluster that the preprocessor cannot draw.
        """
        if self._largest is not None and self._largest[0] == preprocessor:
            return self._largest[1]
        choose = getattr(preprocessor, "largest", lambda clusters: 0)
        found: list[Clusters] = []

        def at(part: Clusters) -> None:
            if hasattr(preprocessor, "check"):
                preprocessor.check(part)
            both = Clusters.concat([*found, part[choose(part)]])
            found[:] = [both[choose(both)]]

        self.look(at)
        self._largest = preprocessor, found[0]
        return found[0]

    @property
    def hit_bytes(self) -> int:
        """Of one hit in memory."""
        return self._records.hit_type.itemsize * len(self.contents.columns)

    def _none(self) -> InputError:
        kept = f" of the classes {', '.join(self.classes)}" if self.classes else ""
        return InputError(
            f"no clusters{kept} in {self.groups[0].path.parent}; choose another --split or other --classes"
        )

    @cached_property
    def _last(self) -> np.uint64 | None:
        """The key of the last cluster within the limit."""
        if self.limit is None:
            return None
        least = np.empty(0, np.uint64)
        for group in range(len(self.groups)):
            clusters, keys = self._read(group)
            least = np.concatenate([least, keys[self._chosen(clusters)]])
            if len(least) > self.limit:
                least = np.partition(least, self.limit - 1)[: self.limit]
        if not len(least):
            raise self._none()
        return np.uint64(least.max())

    def _read(self, group: int) -> tuple[Clusters, np.ndarray]:
        """All clusters of a group with (n,) uint64 keys that sort like the clusters of `load`."""
        clusters, positions = self._records.decode(self.groups[group].read())
        if positions is None:
            positions = self._first[group] + np.arange(len(clusters))
        return clusters, positions.astype(np.uint64) + (np.uint64(self._split[group]) << np.uint64(62))

    def _chosen(self, clusters: Clusters) -> np.ndarray:
        if self.classes is None:
            return np.ones(len(clusters), dtype=bool)
        return clusters.table["label"].isin(self.classes).to_numpy()


def _described(builder: Any) -> Contents:
    """What the description of a stored data set says of its clusters."""
    about = builder.info.metadata or {}
    if {"columns", "unit", "classes"} <= set(about):
        return Contents(tuple(about["columns"]), about["unit"], tuple(about["classes"]))
    found = re.search(r"hits: (.+); unit (\w+)\.", builder.info.description or "")
    if found is None:
        raise InputError(f"{builder.data_dir} does not say what its hits are; name a folder of clusters")
    return Contents(tuple(found[1].split(", ")), found[2], ())
