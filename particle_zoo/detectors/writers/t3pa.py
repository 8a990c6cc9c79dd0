"""Hits to `.t3pa`; the format is described in `particle_zoo.detectors.readers.t3pa`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.calibration import Surrogate
from particle_zoo.detectors.hits import Hits
from particle_zoo.detectors.readers.t3pa import COLUMNS
from particle_zoo.errors import InputError

PIXELS = 256
CHUNK = 2**20


def write(
    path: Path,
    parts: Iterable[Hits | Clusters],
    *,
    spacing_ns: float | None = None,
    calibration: Surrogate | None = None,
) -> None:
    """Write parts one after the other, each in time order, tab separated.

    Row, column, chip, ToT and time come back exactly as they were. FToA is written as the 4 bits of the chip. Energies
    in keV become whole ToT from 1 to 1023 through `calibration`, the typical values of `Surrogate` without one; the
    energy read back then differs by the ToT step, 0.6 keV above some 20 keV, and stops at 625 keV.

    Args:
        path: file to write.
        parts: hits, or clusters whose hits are written.
        spacing_ns: cluster i is moved by i times this, counted through all parts; needed for clusters without times.
        calibration: from keV to ToT.

    Raises:
        InputError: pixels outside 256 x 256, times before 0, clusters in ADU or without times, ToT that is not whole.
    """
    import pyarrow as pa
    from pyarrow import csv

    schema = pa.schema([(name, pa.int64()) for name in COLUMNS])
    options = csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    index = 0
    with path.open("wb") as file:
        file.write(("\t".join(COLUMNS) + "\n").encode())
        with csv.CSVWriter(file, schema, write_options=options) as writer:
            for block in blocks(parts, spacing_ns=spacing_ns, calibration=calibration):
                n = len(block["ToA"])
                columns = {"Index": np.arange(index, index + n, dtype=np.int64), **block}
                writer.write_table(pa.table([pa.array(columns[name]) for name in COLUMNS], schema=schema))
                index += n


def blocks(
    parts: Iterable[Hits | Clusters], *, spacing_ns: float | None = None, calibration: Surrogate | None = None
) -> Iterator[dict[str, np.ndarray]]:
    """Yield the columns of Pixet's table without the index, int64; arguments and errors as of `write`."""
    clusters = 0
    for part in parts:
        hits = _hits(part, spacing_ns, clusters)
        clusters += len(part) if isinstance(part, Clusters) else 0
        for start in range(0, len(hits), CHUNK):
            yield _columns(hits[start : start + CHUNK], calibration or Surrogate())


def _hits(part: Hits | Clusters, spacing_ns: float | None, before: int) -> Hits:
    if isinstance(part, Hits):
        return part.sorted()
    hits = Hits.from_clusters(part, spacing_ns=spacing_ns)
    shift = Hits.from_ns([0], [0], [0], [before * (spacing_ns or 0.0)]).toa[0]
    return Hits(hits.row, hits.col, hits.energy, hits.toa + shift, hits.chip, hits.unit)


def _columns(hits: Hits, calibration: Surrogate) -> dict[str, np.ndarray]:
    outside = (np.minimum(hits.row, hits.col) < 0) | (np.maximum(hits.row, hits.col) >= PIXELS)
    if outside.any():
        i = int(outside.argmax())
        raise InputError(
            f".t3pa holds chips of {PIXELS} x {PIXELS} px; received a hit at row {hits.row[i]}, col {hits.col[i]}"
        )
    if hits.toa.min() < 0:
        raise InputError(f".t3pa counts time from 0; received a hit at {hits.time_ns.min()} ns; add an offset first")
    if hits.unit == "keV":
        tot = calibration.counts(hits.energy)
    else:
        tot = np.rint(hits.energy)
        if (tot != hits.energy).any():
            i = int((tot != hits.energy).argmax())
            raise InputError(f"ToT are whole counts; received {hits.energy[i]}; if these are keV, say unit='keV'")
    coarse = -(-hits.toa // 16)
    chip = np.zeros(len(hits), np.int64) if hits.chip is None else hits.chip.astype(np.int64)
    return {
        "Matrix Index": (chip << 16) + PIXELS * hits.row.astype(np.int64) + hits.col,
        "ToA": coarse,
        "ToT": tot.astype(np.int64),
        "FToA": 16 * coarse - hits.toa,
        "Overflow": chip,
    }
