"""Many clusters in one record of a TFRecord file: fewer, longer records than one a cluster."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.cli import replacing
from particle_zoo.clusters import Clusters
from particle_zoo.data.record_file import index
from particle_zoo.errors import InputError

PER_RECORD = 1024
"""Clusters of a record, but for the last one of each part that was written."""

KINDS = {"f": "float", "b": "bool", "i": "int", "u": "int"}
"""Before the name of a table column in that of its feature, by the kind of its type; others are `text`."""


class PackedClusters:
    """Clusters of a file that `write` wrote, in groups that can be read in any order.

    A record is a `tf.train.Example`: `hits` (zlib), `sizes` (row lengths), `columns`, `unit` and one feature a table column.
    Memory holds where the records begin.

    Args:
        path: of the file.
        columns: table columns to decode besides `id` and `label`; None decodes all.

    Attributes:
        groups: where each group lies.

    Raises:
        InputError: the file cannot be read, or its end is missing.
    """

    def __init__(self, path: Path, columns: Collection[str] | None = None) -> None:
        self.path, self.columns = Path(path), columns
        self.groups = index(self.path, records=1, size=1)

    @classmethod
    def write(cls, path: Path, parts: Iterable[Clusters], per_record: int = PER_RECORD) -> PackedClusters:
        """Write clusters of one kind; the file appears when it is complete.

        Raises:
            InputError: no clusters.
        """
        import tensorflow as tf

        count = 0
        with replacing(path) as temporary, tf.io.TFRecordWriter(str(temporary)) as file:
            for part in parts:
                for start in range(0, len(part), per_record):
                    file.write(_encoded(part[start : start + per_record]))
                    count += 1
            if not count:
                raise InputError("nothing to pack: received no clusters")
        return cls(path)

    def __len__(self) -> int:
        """Groups."""
        return len(self.groups)

    def read(self, group: int) -> Clusters:
        """The clusters of one group, in the order in which they were written.

        Raises:
            InputError: a damaged file, or one of something else.
        """
        (record,) = self.groups[group].read()
        try:
            return _decoded(record, self.columns)
        # A parser of other bytes raises whatever they lead it to.
        except Exception as error:
            raise InputError(
                f"group {group} of {self.path} holds no packed clusters ({type(error).__name__}); pack them again"
            ) from error


def _encoded(clusters: Clusters) -> bytes:
    import tensorflow as tf

    def several(values: Iterable[bytes]) -> Any:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=list(values)))

    def whole(values: np.ndarray) -> Any:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values.astype(np.int64)))

    features = {
        "hits": several([zlib.compress(clusters.hits.tobytes())]),
        "sizes": whole(clusters.sizes),
        "columns": several(name.encode() for name in (*clusters.columns, clusters.hits.dtype.str)),
        "unit": several([clusters.unit.encode()]),
    }
    for name, values in clusters.table.items():
        kind = KINDS.get(values.dtype.kind, "text")
        if kind == "float":
            # As bytes: an Example keeps plain numbers in single precision, too coarse for times.
            feature = several([values.to_numpy(np.float64).tobytes()])
        elif kind == "text":
            feature = several(str(value).encode() for value in values)
        else:
            feature = whole(values.to_numpy())
        features[f"{kind}/{name}"] = feature
    return bytes(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def _decoded(record: bytes, columns: Collection[str] | None) -> Clusters:
    import tensorflow as tf

    features = tf.train.Example.FromString(record).features.feature
    *names, dtype = (name.decode() for name in features["columns"].bytes_list.value)
    hits = np.frombuffer(zlib.decompress(features["hits"].bytes_list.value[0]), dtype).reshape(-1, len(names))
    sizes = np.array(features["sizes"].int64_list.value, np.int64)
    table: dict[str, Any] = {}
    for key in features:
        kind, _, name = key.partition("/")
        if not name or (columns is not None and name not in (*columns, "id", "label")):
            continue
        if kind == "float":
            table[name] = np.frombuffer(features[key].bytes_list.value[0], np.float64)
        elif kind == "text":
            table[name] = np.array([value.decode() for value in features[key].bytes_list.value], object)
        else:
            table[name] = np.array(features[key].int64_list.value, np.int64).astype(
                bool if kind == "bool" else np.int64
            )
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    unit = features["unit"].bytes_list.value[0].decode()
    return Clusters(hits, tuple(names), offsets, pd.DataFrame(table), unit)
