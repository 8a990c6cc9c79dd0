"""Hits to Burda text; the format is described in `particle_zoo.detectors.readers.burda`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.hits import Hits
from particle_zoo.detectors.readers.burda import COLUMNS
from particle_zoo.detectors.writers.t3pa import blocks
from particle_zoo.errors import InputError


def write(path: Path, parts: Iterable[Hits | Clusters], **options: Any) -> None:
    """Write parts one after the other, each in time order; options and errors as of `writers.t3pa.write`.

    Raises:
        InputError: also hits of several chips, which the format cannot tell apart.
    """
    import pyarrow as pa
    from pyarrow import csv

    schema = pa.schema([(name, pa.int64()) for name in COLUMNS])
    layout = csv.WriteOptions(include_header=False, delimiter=" ", quoting_style="none")
    with path.open("wb") as file:
        file.write(f"# {' '.join(COLUMNS)}\n".encode())
        with csv.CSVWriter(file, schema, write_options=layout) as writer:
            for columns in blocks(parts, **options):
                if columns["Overflow"].any():
                    raise InputError(f"Burda text holds one chip; received hits of chip {columns['Overflow'].max()}")
                own = {**columns, "linear": columns["Matrix Index"]}
                writer.write_table(pa.table([pa.array(own[name]) for name in COLUMNS], schema=schema))
