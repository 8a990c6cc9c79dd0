"""Jets prepared by TFDS, read in batches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.data.jets_source import JetSource
from particle_zoo.data.prepared import open_builder, prepare, quiet
from particle_zoo.data.source import check_fingerprint
from particle_zoo.jets import Jets

BATCH = 8192


def read(source: JetSource, splits: Sequence[str], data_dir: str | Path | None) -> Jets:
    """Prepare the set if this state of its source is new, then read the splits, one after the other.

    Raises:
        InputError: unusable source files, or a data set that is damaged or of another source.
    """
    with quiet():
        builder = open_builder("jets", source.config, data_dir, source.fingerprint, source=source)
    if not builder.is_prepared():
        prepare(builder)
    check_fingerprint(builder.data_dir, builder.fingerprint, source.fingerprint)
    columns = tuple(builder.info.metadata["columns"])
    parts = [Jets(np.empty((0, len(columns))), columns, np.empty(0, np.int64))]
    return Jets.concat(parts + [_jets(builder, split, columns) for split in splits if split in builder.info.splits])


def _jets(builder: Any, split: str, columns: tuple[str, ...]) -> Jets:
    import tensorflow_datasets as tfds

    with quiet():
        # One reader, one order: the prepared and the direct path give the same jets.
        options = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False, add_tfds_id=False)
        dataset = builder.as_dataset(split=split, read_config=options, shuffle_files=False, batch_size=BATCH)
        batches = list(dataset.as_numpy_iterator())
    values = np.concatenate([batch["jet"] for batch in batches])
    events = np.concatenate([batch["event"] for batch in batches])
    order = np.argsort(np.concatenate([batch["position"] for batch in batches]), kind="stable")
    return Jets(values, columns, events)[order]
