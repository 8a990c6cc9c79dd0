"""Write hits and clusters in the formats of the detectors' own software, always through a temporary name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from particle_zoo.cli import replacing
from particle_zoo.clusters import Clusters
from particle_zoo.detectors.hits import Hits
from particle_zoo.detectors.readers.format import check_options
from particle_zoo.errors import InputError

OPTIONS: dict[str, tuple[str, ...]] = {
    ".parquet": (),
    ".t3pa": ("spacing_ns", "calibration"),
    ".t3p": ("spacing_ns", "calibration"),
    ".tpx3": ("spacing_ns", "calibration"),
    ".txt": ("spacing_ns", "calibration"),
    ".clog": ("per_frame", "start_s", "duration_s"),
}
"""Endings that can be written, and the options of each."""

STREAMS = (".t3pa", ".t3p", ".tpx3", ".txt")
"""Of hits."""


def write(path: str | Path, data: Clusters | Hits | Iterable[Any], **options: Any) -> Path:
    """Write clusters or hits; the ending of the name says which format.

    `.parquet` takes clusters and keeps everything. `.t3pa` and `.t3p` (Timepix3 hit tables), `.tpx3`
    (SPIDR stream) and `.txt` (Burda text) take hits and clusters; their options are those of `writers.t3pa.write`. `.clog` (cluster log) takes clusters; options as in `writers.clog.write`.

    Args:
        path: file to write; it appears when it is complete.
        data: Clusters or Hits, or an iterable of them for what does not fit into memory.
        options: of the format.

    Returns:
        The path.

    Raises:
        InputError: an unknown ending or option, or data the format cannot hold.
    """
    from particle_zoo.detectors.writers import burda, clog, parquet, t3p, t3pa, tpx3

    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in OPTIONS:
        raise InputError(f"there is no writer for {path.name!r}; end the name with one of {', '.join(OPTIONS)}")
    check_options(suffix, options, OPTIONS[suffix])
    parts: Iterable[Any] = [data] if isinstance(data, (Clusters, Hits)) else data
    with replacing(path) as temporary:
        if suffix in STREAMS:
            {".t3pa": t3pa, ".t3p": t3p, ".tpx3": tpx3, ".txt": burda}[suffix].write(temporary, parts, **options)
        elif suffix == ".clog":
            clog.write(temporary, _only_clusters(parts, suffix), **options)
        else:
            parquet.write(temporary, _only_clusters(parts, suffix))
    return path


def _only_clusters(parts: Iterable[Any], suffix: str) -> Iterator[Clusters]:
    for part in parts:
        if not isinstance(part, Clusters):
            raise InputError(f"{suffix} holds clusters; received {part!r}; cluster the hits first or write .t3pa")
        yield part
