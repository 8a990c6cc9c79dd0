"""Read detector files; the format is recognised by content first, by name second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.hits import Hits
from particle_zoo.detectors.readers import ccd, clog, fits, mpixdaq, parquet, t3pa
from particle_zoo.detectors.readers.folder import iter_folder
from particle_zoo.detectors.readers.format import Format, check_options, find
from particle_zoo.errors import InputError

FORMATS: tuple[Format, ...] = (
    fits.FORMAT,
    parquet.FORMAT,
    t3pa.FORMAT,
    clog.FORMAT,
    mpixdaq.FORMAT,
    ccd.TAR_FORMAT,
    ccd.CSV_FORMAT,
)
"""Asked in this order; a new reader adds its own."""


def read(path: str | Path, **options: Any) -> Clusters | Hits:
    """Read clusters or hits from a file or folder.

    Clusters come from one cluster as a CSV grid, a tar archive of those, FITS frames, mPIXdaq frame and cluster files
    (.yml, .yml.gz), cluster logs (.clog) and parquet written by `particle_zoo.detectors.writers`. Hits come from .t3pa.
    A folder is the labelled CCD layout (CSV grids with `labels/*.npy` beside them), or gives all of its files in order.

    Args:
        path: file or folder.
        options: of the format. Those of FITS frames go to `particle_zoo.detectors.clustering.cluster`; `unit` of a
            .clog; `partial` of mPIXdaq files.

    Returns:
        Clusters, or Hits of a format that stores a hit stream.

    Raises:
        InputError: missing, damaged or unknown content, named with file and place, or a folder that mixes kinds.
    """
    parts = list(iter_parts(path, **options))
    if not parts:
        return Clusters.empty(unit="ADU")
    hits = [part for part in parts if isinstance(part, Hits)]
    return Hits.concat(hits) if hits else Clusters.concat(part for part in parts if isinstance(part, Clusters))


def iter_parts(path: str | Path, *, ignore_unknown: bool = False, **options: Any) -> Iterator[Clusters | Hits]:
    """`read` in pieces that fit into memory: a frame, a folder of clusters or a block of rows at a time.

    Args:
        path: file or folder.
        ignore_unknown: leave out options the format does not have, for commands that take files of several formats.
        options: of the format.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; give a detector file or a folder of them")
    if path.is_dir():
        yield from iter_folder(path, FORMATS, options, ignore_unknown=ignore_unknown)
        return
    found = find(path, FORMATS)
    if ignore_unknown:
        options = {name: value for name, value in options.items() if name in found.options}
    check_options(found.name, options, found.options)
    yield from found.parts(path, **options)


def iter_clusters(path: str | Path, **options: Any) -> Iterator[Clusters]:
    """`iter_parts` of files that hold clusters or frames.

    Raises:
        InputError: also for a file that holds a hit stream.
    """
    for part in iter_parts(path, **options):
        if isinstance(part, Hits):
            raise InputError(
                f"{path} holds hits, not clusters; read them with particle_zoo.read and cluster them first"
            )
        yield part
