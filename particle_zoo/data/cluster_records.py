"""From serialised examples of a prepared data set to clusters, whole batches at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.data.source import Contents
from particle_zoo.errors import InputError

POSITION = "position"
"""The feature that says where in its source a cluster stood; not a column of the table."""


class ClusterRecords:
    """Decodes examples with `hits` and one feature a table column, as `store` and the builders of the zoo write them.

    Args:
        features: the `tfds.features.FeaturesDict` of the data set.
        contents: what the clusters have in common; labels stored as numbers are places in its classes.
        columns: table columns to decode; None decodes all. `id`, `label` and `position` always are.

    Raises:
        InputError: features that are no clusters.
    """

    def __init__(self, features: Any, contents: Contents, columns: Collection[str] | None = None) -> None:
        import tensorflow as tf

        self.contents = contents
        self.hit_type: np.dtype = np.dtype(np.float32)
        self.types: dict[str, np.dtype | None] = {}
        """Of the values stored as bytes; None for texts and plain values."""
        self._spec: dict[str, Any] = {}
        if not {"hits", "id", "label"} <= set(features):
            raise InputError(f"no data set of clusters: its features are {', '.join(features)}; choose another one")
        for name, feature in features.items():
            if columns is not None and name not in (*columns, "hits", "id", "label", POSITION):
                continue
            stored, encoding = feature.get_serialized_info(), getattr(getattr(feature, "_encoding", None), "value", "")
            coded = encoding in ("bytes", "zlib")
            if name == "hits":
                shape = (None, len(contents.columns))
                if encoding != "zlib" or tuple(feature.shape) != shape:
                    raise InputError(f"hits must be compressed and of shape {shape}; received {feature}")
                self.hit_type = np.dtype(feature.np_dtype)
            elif feature.shape != () or (coded and encoding != "bytes"):
                raise InputError(f"{name} must be one value a cluster; received {feature}; leave this column out")
            kind = tf.as_dtype(stored.np_dtype)
            # Records know integers of 64 bits, floats of 32 and bytes.
            kept = tf.int64 if kind.is_integer or kind.is_bool else tf.float32 if kind.is_floating else tf.string
            self._spec[name] = tf.io.FixedLenFeature((), kept)
            self.types[name] = np.dtype(feature.np_dtype) if coded else np.dtype(bool) if kind.is_bool else None

    def decode(self, records: Sequence[bytes]) -> tuple[Clusters, np.ndarray | None]:
        """The clusters of some examples, and the (n,) int64 positions in their source where those are stored.

        Raises:
            InputError: examples of other features, or hits that cannot be.
        """
        import tensorflow as tf

        try:
            with tf.device("CPU"):
                batch = tf.io.parse_example(tf.constant(records, tf.string), self._spec)
                packed = tf.io.decode_compressed(batch.pop("hits"), "ZLIB")
                lengths = tf.strings.length(packed).numpy().astype(np.int64)
                joined = tf.strings.reduce_join(packed).numpy()
        except tf.errors.OpError as error:
            raise InputError(
                f"examples of {len(records)} clusters cannot be decoded ({error.message.splitlines()[0]})"
            ) from error
        row = self.hit_type.itemsize * len(self.contents.columns)
        if (lengths % row).any() or not lengths.all():
            raise InputError(
                f"hits of {lengths[(lengths % row > 0) | (lengths == 0)][0]} bytes are no rows of {row} bytes"
            )
        hits = np.frombuffer(joined, self.hit_type).reshape(-1, len(self.contents.columns))
        offsets = np.concatenate([[0], np.cumsum(lengths // row)])
        table = {name: self._column(name, values.numpy()) for name, values in batch.items()}
        positions = table.pop(POSITION, None)
        return self._clusters(hits, offsets, table), positions

    def _column(self, name: str, values: np.ndarray) -> np.ndarray:
        kind = self.types[name]
        if values.dtype == object and kind is not None:
            return np.frombuffer(b"".join(values.tolist()), kind)
        if values.dtype == object:
            return np.array([value.decode() for value in values.tolist()], object)
        if kind is not None:
            return values.astype(kind)
        # As `particle_zoo.data.load` has it.
        return values.astype(np.float64) if values.dtype == np.float32 else values

    def _clusters(self, hits: np.ndarray, offsets: np.ndarray, table: dict[str, np.ndarray]) -> Clusters:
        import pandas as pd

        label = table["label"]
        if label.dtype != object:
            # The last name is that of the code -1.
            label = np.array([*self.contents.classes, ""], object)[label]
        first = {"id": table.pop("id"), "label": label}
        del table["label"]
        return Clusters(hits, self.contents.columns, offsets, pd.DataFrame(first | table), self.contents.unit)
