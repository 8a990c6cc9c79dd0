"""Read detector files; the format is recognised by content first, by name second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.frames import Frames
from particle_zoo.detectors.hits import Hits
from particle_zoo.detectors.readers import (
    allpix,
    burda,
    ccd,
    clist,
    clog,
    deposits,
    fits,
    katherine,
    mm,
    mpixdaq,
    parquet,
    pixet,
    t3p,
    t3pa,
    tpx3,
    vzlusat,
)
from particle_zoo.detectors.readers.folder import iter_folder
from particle_zoo.detectors.readers.format import Format, check_options, find
from particle_zoo.errors import InputError

FORMATS: tuple[Format, ...] = (
    fits.FORMAT,
    parquet.FORMAT,
    tpx3.FORMAT,
    t3pa.FORMAT,
    clog.FORMAT,
    clist.FORMAT,
    allpix.FORMAT,
    deposits.FORMAT,
    mm.FORMAT,
    mm.SIMULATED,
    mm.COMPANION,
    mpixdaq.FORMAT,
    ccd.TAR_FORMAT,
    ccd.CSV_FORMAT,
    vzlusat.FORMAT,
    pixet.DESCRIPTION,
    pixet.FORMAT,
    burda.FORMAT,
    t3p.FORMAT,
    katherine.FORMAT,
)
"""Asked in this order, those with an unmistakable beginning first; a new reader adds its own."""


def read(path: str | Path, **options: Any) -> Clusters | Frames | Hits:
    """Read clusters, frames or hits from a file or folder.

    Hits come from the streams of Timepix3: .t3pa, .t3p, .tpx3, Burda text and Katherine words. Frames come from Pixet and
    Pixelman (matrix .txt and .pmf, lists of `index value` and `x y C`, packed 64-bit; with their .dsc and .idx), mPIXdaq frame
    files (.yml, .yml.gz) and Allpix Squared text. Clusters come from .clog, .clist and .elist, MM files (.ini, _sim.txt), mPIXdaq
    cluster files (.yml, .yml.gz, .csv), VZLUSAT-1 (.clusters.txt), energy deposits as CSV, FITS frames, cluster grids (CSV, or a
    tar of them) and parquet written by `particle_zoo.detectors.writers`.
    A folder is the labelled CCD layout (CSV grids with `labels/*.npy` beside them), or gives all of its files in order;
    hit streams in it become runs 0, 1, ... of one stream, since each has a clock of its own.

    Args:
        path: file or folder.
        options: of the format: the keyword arguments of its reader in `particle_zoo.detectors.readers`, e.g. `unit` of
            .clog and Pixet frames, `mode` of packed frames, `layout` of .tpx3, `signal` of Allpix Squared, `partial` where
            a file may end early. Those of FITS frames go to `particle_zoo.detectors.clustering.cluster`.

    Returns:
        Clusters; Frames of a format that stores pixels frame by frame; Hits of one that stores a stream of them.

    Raises:
        InputError: missing, damaged or unknown content, named with file and place, or a folder that mixes kinds.
    """
    parts = list(iter_parts(path, **options))
    if not parts:
        return (Clusters if Path(path).is_dir() else find(Path(path), FORMATS).gives).empty()
    kind: Any = type(parts[0])
    joined: Clusters | Frames | Hits = kind.concat(parts)
    return joined


def iter_parts(
    path: str | Path, *, ignore_unknown: bool = False, shared: tuple[str, ...] = (), **options: Any
) -> Iterator[Clusters | Frames | Hits]:
    """`read` in pieces that fit into memory: some frames, a folder of clusters or a block of rows at a time.

    Args:
        path: file or folder.
        ignore_unknown: leave out options the format does not have, for commands that take files of several formats.
        shared: options to leave out where the format does not have them: they belong to a later step.
        options: of the format.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; give a detector file or a folder of them")
    if path.is_dir():
        yield from iter_folder(path, FORMATS, options, ignore_unknown=ignore_unknown, shared=shared)
        return
    found = find(path, FORMATS)
    options = {n: v for n, v in options.items() if n in found.options or not (ignore_unknown or n in shared)}
    check_options(f"{path}: {found.name}", options, found.options)
    yield from found.parts(path, **options)
