"""Hits to `.t3p`; the format is described in `particle_zoo.detectors.readers.t3p`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.hits import Hits
from particle_zoo.detectors.readers.t3p import STRUCT
from particle_zoo.detectors.writers.t3pa import blocks


def write(path: Path, parts: Iterable[Hits | Clusters], **options: Any) -> None:
    """Write parts one after the other, each in time order; options and errors as of `writers.t3pa.write`."""
    with path.open("wb") as file:
        for columns in blocks(parts, **options):
            table = np.empty(len(columns["ToA"]), STRUCT)
            for name in STRUCT.names or ():
                table[name] = columns[name]
            file.write(table.tobytes())
