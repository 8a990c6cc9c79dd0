"""Clusters to parquet: one row a cluster, each hit column a list, the table's columns beside them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.cli import sentence
from particle_zoo.clusters import Clusters
from particle_zoo.detectors.readers.parquet import KEY, PREFIX
from particle_zoo.errors import InputError

BATCH = 50_000
"""Clusters a row group."""


def write(path: Path, parts: Iterable[Clusters]) -> None:
    """Write parts one after the other, never all in memory; nothing to write gives an empty set in keV.

    Raises:
        InputError: parts of different columns or units, or a table parquet cannot hold.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer = None
    first: Clusters | None = None
    try:
        for part in parts:
            if first is None:
                first = part
                writer = pq.ParquetWriter(path, _arrow(part[:BATCH]).schema)
            if (part.columns, part.unit) != (first.columns, first.unit):
                raise InputError(
                    f"one file holds one kind of clusters; received ({', '.join(first.columns)}; {first.unit}) and "
                    f"({', '.join(part.columns)}; {part.unit})"
                )
            for start in range(0, len(part), BATCH):
                block = _arrow(part[start : start + BATCH])
                assert writer is not None
                writer.write_table(block.select(writer.schema.names).cast(writer.schema))
        if writer is None:
            writer = pq.ParquetWriter(path, _arrow(Clusters.empty()).schema)
    except (pa.ArrowException, KeyError) as error:
        raise InputError(
            f"the table of these clusters does not fit into parquet ({sentence(str(error))[:120]}); drop a column"
        ) from error
    finally:
        if writer is not None:
            writer.close()


def _arrow(clusters: Clusters) -> Any:
    import pyarrow as pa

    table = pa.Table.from_pandas(clusters.table, preserve_index=False)
    offsets = pa.array(clusters.offsets, pa.int64())
    for name in reversed(clusters.columns):
        values = clusters.column(name)
        if name in ("row", "col") and (values == np.floor(values)).all() and (abs(values) < 2**31).all():
            values = values.astype(np.int32)
        lists = pa.LargeListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(values)))
        table = table.add_column(0, PREFIX + name, lists)
    layout = json.dumps({"columns": clusters.columns, "unit": clusters.unit}).encode()
    return table.replace_schema_metadata({**(table.schema.metadata or {}), KEY: layout})
