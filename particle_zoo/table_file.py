"""Tables that are written a part at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from particle_zoo.errors import InputError

SUFFIXES = (".csv", ".parquet")


def check_table(path: Path, *, force: bool) -> Path:
    """The path of a table that may be written.

    Raises:
        InputError: another ending, or a file that exists and is not to be replaced.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(f"--output must end in .csv or .parquet; received {path}")
    if path.exists() and not force:
        raise InputError(f"{path} exists; replace it with --force or choose another --output")
    return path


class appending:  # noqa: N801  (a context manager, named like contextlib's)
    """Append DataFrames to one CSV or parquet file, whole tables never in memory.

    Args:
        path: .csv or .parquet.
        of: what a row is, for the error.
    """

    def __init__(self, path: Path, of: str = "a cluster") -> None:
        self.path, self.of = path, of
        self._parquet: Any = None
        self._columns: list[str] | None = None
        self._started = False

    def __enter__(self) -> Any:
        return self._parquet_part if self.path.suffix == ".parquet" else self._csv_part

    def __exit__(self, *_: object) -> None:
        if self._parquet is not None:
            self._parquet.close()

    def _check(self, rows: Any) -> None:
        columns = list(rows.columns)
        if self._columns not in (None, columns):
            odd = sorted(set(columns) ^ set(self._columns or ())) or ["their order"]
            raise InputError(
                f"the files differ in what they say of {self.of} ({', '.join(odd[:4])}); predict them apart"
            )
        self._columns = columns

    def _csv_part(self, rows: Any) -> None:
        self._check(rows)
        rows.to_csv(self.path, mode="a" if self._started else "w", header=not self._started, index=False)
        self._started = True

    def _parquet_part(self, rows: Any) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._check(rows)
        block = pa.Table.from_pandas(rows, preserve_index=False)
        if self._parquet is None:
            self._parquet = pq.ParquetWriter(self.path, block.schema)
        self._parquet.write_table(block.cast(self._parquet.schema))
