"""What is read of a folder: every detector file directly in it, and cluster CSVs in folders below it too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.frames import Frames
from particle_zoo.detectors.hits import Hits
from particle_zoo.detectors.readers import ccd, mpixdaq
from particle_zoo.detectors.readers.format import Format, check_options, find_among_others, head
from particle_zoo.errors import InputError

BEGINNING = 16
"""Bytes; of a grid they are `NUMBERS`, of the CSVs of other formats they are not."""

NUMBERS = b"0123456789eE+-., \t\r\n"


@dataclass(frozen=True)
class _Source:
    """A file, or the whole of the cluster CSVs, whose ids must differ."""

    path: Path
    format: Format
    grids: tuple[Path, ...] = ()


def iter_folder(
    path: Path,
    formats: tuple[Format, ...],
    options: dict[str, Any],
    *,
    ignore_unknown: bool = False,
    shared: tuple[str, ...] = (),
) -> Iterator[Clusters | Frames | Hits]:
    """Yield the content of a folder: the labelled CCD layout where it is one, else its files in order of their names.

    These are skipped: hidden files; files whose ending no format has; text, YAML, CSV, .ini and .raw files whose content no format
    knows, unless they are named like cluster CSVs; CSVs of bare numbers whose name is no id, which may be any table; files that
    accompany others, as descriptions do and property tables of mPIXdaq beside the pixels of their run; and in folders below,
    everything but cluster CSVs. Each hit stream is a run of its own.

    Args:
        path: the folder.
        formats: formats to recognise.
        options: of any of the formats in the folder; each gets its own.
        ignore_unknown: leave out options that none of them has.
        shared: options to leave out where no format has them.

    Raises:
        InputError: nothing to read, or kinds that cannot be joined, both named.
    """
    complete = any((path / name).exists() for name in ("clusters.tar", "clusters"))
    sources = [] if complete and (path / "labels").is_dir() else _sources(path, formats)
    labelled = not sources and (path / "labels").is_dir()
    if not labelled and not sources:
        endings = ", ".join(dict.fromkeys(suffix for f in formats for suffix in f.suffixes))
        raise InputError(
            f"{path} holds no detector file; expected cluster CSVs such as 001178.csv, or files ending in {endings}"
        )
    if not ignore_unknown:
        names = " and ".join(dict.fromkeys(source.format.name for source in sources)) or "labelled CCD"
        known = dict.fromkeys(option for source in sources for option in source.format.options)
        check_options(names, {n: v for n, v in options.items() if n not in shared}, tuple(known))
    if labelled:
        yield ccd.read_labelled(path)
        return
    first: tuple[str, Any] | None = None
    runs = 0
    for source in sources:
        own = {name: value for name, value in options.items() if name in source.format.options}
        # Each measurement starts its clock anew: joined, hits of one would coincide with those of another.
        before, runs = runs, runs + 1
        for part in _parts(source, own):
            kind = (f"{source.format.name} {type(part).__name__.lower()} in {part.unit}", _layout(part))
            first = first or kind
            if kind[1] != first[1]:
                raise InputError(
                    f"{path} mixes {first[0]} and {kind[0]}, which cannot be joined; keep them in separate folders"
                )
            if isinstance(part, Hits) and part.run is not None and len(part):
                runs = max(runs, before + int(part.run.max()) + 1)
                part = replace(part, run=part.run + np.int32(before))
            yield part


def _parts(source: _Source, options: dict[str, Any]) -> Iterator[Any]:
    if source.grids:
        return iter([ccd.read_folder(source.path, source.grids)])
    return source.format.parts(source.path, **options)


def _layout(part: Clusters | Frames | Hits) -> tuple[Any, ...]:
    if isinstance(part, Clusters):
        return Clusters, part.unit, part.columns
    if isinstance(part, Frames):
        return Frames, part.unit, part.shape, part.toa is None
    return Hits, part.unit


def _sources(path: Path, formats: tuple[Format, ...]) -> list[_Source]:
    sources = []
    # First and together: there may be tens of thousands of them, and formats would look at each for long.
    grids = [file for file in ccd.files(path) if file.parent != path or not _of_another_format(file, formats)]
    if grids:
        sources.append((grids[0].name, _Source(path, ccd.CSV_FORMAT, tuple(grids))))
    taken = {file.name for file in grids if file.parent == path}
    ids = {file.stem for file in grids}
    for file in path.iterdir():
        if file.name.startswith(".") or file.name in taken or not file.is_file():
            continue
        found = find_among_others(file, formats)
        if ccd.is_id(file.name.lower().removesuffix(".gz")):
            found = found or ccd.CSV_FORMAT
            number = re.sub(r"\.csv(\.gz)?$", "", file.name, flags=re.IGNORECASE)
            if found is ccd.CSV_FORMAT and number in ids:
                raise InputError(f"{path} holds the id {number} more than once; keep one file an id")
            ids.add(number)
        elif found is ccd.CSV_FORMAT:
            continue
        if found is not None and not is_told_twice(file, found):
            sources.append((file.name, _Source(file, found)))
    return [source for _, source in sorted(sources, key=lambda pair: pair[0])]


def is_told_twice(file: Path, found: Format) -> bool:
    """Whether a file holds sums of clusters whose pixels lie beside it: a property table of mPIXdaq with its run."""
    return found is mpixdaq.FORMAT and ccd.CSV_FORMAT.named(file) and mpixdaq.pixels_beside(file)


def _of_another_format(file: Path, formats: tuple[Format, ...]) -> bool:
    """Whether a file with the name of a cluster CSV is something else, as a run that is named by its date."""
    if not head(file)[:BEGINNING].strip(NUMBERS):
        return False
    return find_among_others(file, formats) not in (None, ccd.CSV_FORMAT)
