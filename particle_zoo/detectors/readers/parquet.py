"""Clusters in parquet, as `particle_zoo.detectors.writers` writes them: one row a cluster, hit columns as lists."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.cli import sentence
from particle_zoo.clusters import Clusters
from particle_zoo.detectors.readers.format import Format
from particle_zoo.errors import InputError

KEY = b"particle_zoo"
"""Entry of the schema's metadata: JSON with `columns` and `unit`."""

PREFIX = "hit_"
BATCH = 50_000


def iter_clusters(path: str | Path, *, batch: int = BATCH) -> Iterator[Clusters]:
    """Yield the clusters, at most `batch` at a time.

    Raises:
        InputError: damaged, or parquet of another kind.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    try:
        with pq.ParquetFile(path) as file:
            layout = _layout(path, file.schema_arrow.metadata or {})
            for block in file.iter_batches(batch_size=batch):
                if block.num_rows:
                    yield _clusters(pa.Table.from_batches([block]), *layout)
    except InputError:
        raise
    # Arrow's exceptions are OSError, ValueError, KeyError and NotImplementedError; a damaged footer adds the others.
    except (OSError, ValueError, KeyError, NotImplementedError, TypeError, IndexError, pa.ArrowException) as error:
        raise InputError(
            f"{path} is a damaged parquet file ({sentence(str(error))[:120] or type(error).__name__}); copy it again"
        ) from error


def _layout(path: Path, metadata: dict[bytes, bytes]) -> tuple[tuple[str, ...], str]:
    try:
        layout = json.loads(metadata[KEY])
        return tuple(layout["columns"]), str(layout["unit"])
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{path} is parquet without clusters in it; expected a file written by particle_zoo.detectors.writers"
        ) from error


def _clusters(block: Any, columns: tuple[str, ...], unit: str) -> Clusters:
    import pyarrow as pa

    lists = [block.column(PREFIX + name).combine_chunks() for name in columns]
    if wrong := [
        str(part.type) for part in lists if not (pa.types.is_list(part.type) or pa.types.is_large_list(part.type))
    ]:
        raise ValueError(f"hits are lists, and not {wrong[0]}")
    # Slices of one buffer: the offsets of a later batch do not start at 0.
    offsets = lists[0].offsets.to_numpy().astype(np.int64)
    values = [part.flatten().to_numpy(zero_copy_only=False) for part in lists]
    dtype = np.result_type(*(v.dtype for v in values if v.dtype.kind == "f"))
    hits = np.column_stack([v.astype(dtype) for v in values])
    table = block.drop_columns([PREFIX + name for name in columns]).to_pandas()
    try:
        return Clusters(hits, columns, offsets - offsets[0], table, unit)
    except InputError as error:
        # It does not know of the file.
        raise ValueError(str(error)) from error


FORMAT = Format("parquet", (".parquet",), lambda start: start[:4] == b"PAR1", iter_clusters, ("batch",))
