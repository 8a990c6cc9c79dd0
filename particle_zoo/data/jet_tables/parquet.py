"""Tables in parquet; columns of lists hold the jets of an event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.data.jet_tables.flat import flattened
from particle_zoo.data.jet_tables.table import ORIGIN, UNIT, Block, JetTable, damaged


@contextmanager
def opened(path: Path) -> Iterator[JetTable]:
    """The table of a file, closed at the end of the block.

    Raises:
        InputError: a damaged file, also when its blocks are read.
    """
    import pyarrow.parquet as pq

    with damaged(path, "parquet"):
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
        about = schema.metadata or {}
        unit = about.get(UNIT.encode())

    def blocks(columns: Sequence[str], rows: int) -> Iterator[Block]:
        first = 0
        with damaged(path, "parquet"):
            for batch in file.iter_batches(batch_size=rows, columns=list(columns)):
                yield flattened(path, {name: _values(batch.column(name)) for name in columns}, first)
                first += batch.num_rows

    with file:
        stated = None if unit is None else unit.decode(errors="replace")
        yield JetTable(path, tuple(schema.names), blocks, stated, decoded=ORIGIN.encode() in about)


def _values(column: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        return _plain(column)
    counts = column.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return counts, _plain(column.flatten())


def _plain(column: Any) -> pd.Series:
    import pyarrow as pa

    # A block with a missing whole number keeps the type of the others.
    whole = column.null_count and pa.types.is_integer(column.type)
    return column.to_pandas(types_mapper=(lambda _: pd.Int64Dtype()) if whole else None)
