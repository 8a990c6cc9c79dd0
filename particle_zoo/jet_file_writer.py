"""Write files of compressed jets, see `particle_zoo.jet_file`.

Latent numbers are stored with bytes of one significance behind each other (BYTE_STREAM_SPLIT), and then brotli at level 4. Of
what parquet offers that is smaller than zstd at level 3, than no split and than a dictionary; higher levels of zstd gain a percent
for float32 numbers at best, and lose for float16.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from particle_zoo.cli import sentence
from particle_zoo.errors import InputError
from particle_zoo.jet_file import KEY, ROWS, JetFileHead

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ENCODING = {
    "compression": "brotli", "compression_level": 4, "use_dictionary": False, "use_byte_stream_split": True, "write_statistics": False
}  # fmt: skip
"""Arguments of pyarrow for columns of floating-point numbers."""

Write = Callable[[np.ndarray, "pd.DataFrame"], None]


class storing:  # noqa: N801  (a context manager, named like contextlib's)
    """Write a file a part at a time, of which no more than a row group is in memory.

    Entering gives a function of (n, latent) float32 latent numbers and a DataFrame of n rows, whose columns are kept; it raises
    InputError for latent numbers that the dtype cannot hold and for columns that cannot be stored or differ from part to part.

    Args:
        path: file to write, or anything pyarrow writes into.
        head: with any number of jets; those that are written are counted.
    """

    def __init__(self, path: Any, head: JetFileHead) -> None:
        self.path, self.head = path, head
        self._jets = 0
        self._waiting: list[pa.Table] = []
        self._schema: pa.Schema | None = None
        self._writer: Any = None

    def __enter__(self) -> Write:
        return self._write

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._waiting:
            self._flush()
        if self._writer is None or self._schema is None:
            return
        # What stopped on the way has no head, and nobody takes it for whole.
        if kind is None:
            types = tuple(str(self._schema.field(name).type) for name in self.head.kept)
            head = self.head.model_copy(update={"jets": self._jets, "types": types})
            self._writer.add_key_value_metadata({KEY: head.model_dump_json().encode()})
        self._writer.close()

    def _write(self, latent: np.ndarray, kept: pd.DataFrame) -> None:
        import pyarrow as pa

        numbers = _as(latent, self.head.dtype, first=self._jets)
        columns = {name: pa.array(np.ascontiguousarray(numbers[:, i])) for i, name in enumerate(self.head.columns)}
        block = pa.table(columns | {name: _column(name, kept[name]) for name in self.head.kept})
        self._schema = self._schema or block.schema
        for before, now in zip(self._schema, block.schema, strict=True):
            if before.type != now.type:
                raise InputError(
                    f"--keep {now.name}: its values are {before.type} and {now.type} in different parts of the files; convert them "
                    f"or leave the column out"
                )
        self._waiting.append(block)
        self._jets += len(block)
        if sum(map(len, self._waiting)) >= ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        block = pa.concat_tables(self._waiting)
        if self._writer is None:
            split = [field.name for field in block.schema if pa.types.is_floating(field.type)]
            others = [name for name in self.head.kept if name not in split]
            options = {
                **ENCODING,
                "use_byte_stream_split": split,
                "use_dictionary": others,
                "use_compliant_nested_type": False,
            }
            self._writer = pq.ParquetWriter(self.path, block.schema, write_page_checksum=True, **options)
        self._writer.write_table(block, row_group_size=ROWS)
        self._waiting.clear()


def _as(latent: np.ndarray, dtype: str, *, first: int) -> np.ndarray:
    with np.errstate(over="ignore"):
        numbers = latent.astype(dtype)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        row, i = np.argwhere(wrong)[0]
        hint = (
            "take --dtype float32" if np.isfinite(latent[row, i]) else "the weights are damaged, train the model again"
        )
        raise InputError(
            f"latent number z{i} of jet {first + row} is {latent[row, i]:g}, which {dtype} cannot hold; {hint}"
        )
    return numbers


def _column(name: str, values: pd.Series) -> Any:
    import pyarrow as pa

    try:
        column = pa.Array.from_pandas(values)
        # Reading widens the numbers of a dictionary, and a type must come back as it was.
        return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise InputError(
            f"--keep {name}: its values cannot be stored ({sentence(str(error))[:100]}); leave it out"
        ) from error
