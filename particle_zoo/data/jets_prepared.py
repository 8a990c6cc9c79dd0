"""Jets prepared by TFDS, read in batches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from particle_zoo.data.jets_source import JetSource
from particle_zoo.data.prepared import open_builder, prepare, quiet
from particle_zoo.data.source import check_fingerprint
from particle_zoo.errors import InputError
from particle_zoo.jets import Jets

BATCH = 8192
"""Records that are unpacked at once."""

MANY = 10_000
"""Jets that take noticeably long to prepare."""


def read(source: JetSource, splits: Sequence[str], data_dir: str | Path | None) -> Jets:
    """Prepare the set if this state of its source is new, then read the splits, one after the other.

    Raises:
        InputError: unusable source files, or a data set that is damaged or of another source.
    """
    with quiet():
        builder = open_builder("jets", source.config, data_dir, source.fingerprint, source=source)
    if not builder.is_prepared():
        # Unusable files are refused here, before TFDS makes folders.
        count = len(source.jets)
        if count >= MANY:
            click.echo(f"preparing {count} jets of jets/{source.config} once, in {builder.data_dir}", err=True)
        prepare(builder)
    check_fingerprint(builder.data_dir, builder.fingerprint, source.fingerprint)
    columns = tuple(builder.info.metadata["columns"])
    parts = [_jets(builder, split, columns) for split in splits if split in builder.info.splits]
    return Jets.concat([Jets(np.empty((0, len(columns))), columns, np.empty(0, np.int64)), *parts])


def _jets(builder: Any, split: str, columns: tuple[str, ...]) -> Jets:
    import tensorflow as tf

    info = builder.info.splits[split]
    # Whole batches of records at once: TFDS unpacks example by example, which takes 30 times longer.
    scalar = {"jet": tf.string, "event": tf.int64, "position": tf.int64}
    features = {name: tf.io.FixedLenFeature([], dtype) for name, dtype in scalar.items()}
    try:
        records = tf.data.TFRecordDataset([str(path) for path in info.filepaths]).batch(BATCH)
        read = [
            {name: values.numpy() for name, values in tf.io.parse_example(batch, features).items()} for batch in records
        ]
    except tf.errors.OpError as error:
        raise InputError(_damaged(builder, split)) from error
    if sum(len(batch["event"]) for batch in read) != info.num_examples:
        raise InputError(_damaged(builder, split))
    events, positions = (np.concatenate([batch[name] for batch in read]) for name in ("event", "position"))
    values = np.frombuffer(b"".join(jet for batch in read for jet in batch["jet"]), "<f8").reshape(-1, len(columns))
    # The position in the source is the order: the prepared and the direct path give the same jets.
    return Jets(values, columns, events)[np.argsort(positions, kind="stable")]


def _damaged(builder: Any, split: str) -> str:
    return f"{builder.data_dir} is damaged ({split}); remove the folder, and it is made anew"
