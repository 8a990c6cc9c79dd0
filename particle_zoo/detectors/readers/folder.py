"""What is read of a folder: every detector file directly in it, and cluster CSVs in folders below it too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.hits import Hits
from particle_zoo.detectors.readers import ccd
from particle_zoo.detectors.readers.format import Format, check_options, find, head
from particle_zoo.errors import InputError


@dataclass(frozen=True)
class _Source:
    """A file, or the whole of the cluster CSVs, whose ids must differ."""

    path: Path
    format: Format


def iter_folder(
    path: Path, formats: tuple[Format, ...], options: dict[str, Any], *, ignore_unknown: bool = False
) -> Iterator[Clusters | Hits]:
    """Yield the content of a folder: the labelled CCD layout where it is one, else its files in order of their names.

    Hidden files, CSVs whose name is no id and YAML that no detector wrote are skipped.

    Args:
        path: the folder.
        formats: formats to recognise.
        options: of any of the formats in the folder; each gets its own.
        ignore_unknown: leave out options that none of them has.

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
        check_options(names, options, tuple(known))
    if labelled:
        yield ccd.read_labelled(path)
        return
    _check_streams(path, sources)
    first: tuple[str, Any] | None = None
    for source in sources:
        own = {name: value for name, value in options.items() if name in source.format.options}
        for part in [ccd.read_folder(path)] if source.path == path else source.format.parts(source.path, **own):
            kind = (f"{source.format.name} in {part.unit}", _layout(part))
            first = first or kind
            if kind[1] != first[1]:
                raise InputError(
                    f"{path} mixes {first[0]} and {kind[0]}, which cannot be joined; keep them in separate folders"
                )
            yield part


def _layout(part: Clusters | Hits) -> tuple[Any, ...]:
    return (part.unit, part.columns) if isinstance(part, Clusters) else (part.unit,)


def _sources(path: Path, formats: tuple[Format, ...]) -> list[_Source]:
    sources = []
    grids = ccd.files(path)
    if grids:
        sources.append((grids[0].name, _Source(path, ccd.CSV_FORMAT)))
    for file in path.iterdir():
        if file.name.startswith(".") or not file.is_file() or ccd.CSV_FORMAT.named(file):
            continue
        named = next((f for f in formats if f.named(file)), None)
        # Anything may be YAML: only content tells a detector's.
        if named is None or (".yml" in named.suffixes and not any(f.recognise(head(file)) for f in formats)):
            continue
        sources.append((file.name, _Source(file, find(file, formats))))
    return [source for _, source in sorted(sources, key=lambda pair: pair[0])]


def _check_streams(path: Path, sources: list[_Source]) -> None:
    """Refuse hit streams beside others: the formats that hold them are known before anything is read."""
    streams = [source for source in sources if source.format.name == ".t3pa"]
    others = [source for source in sources if source.format.name != ".t3pa"]
    if streams and others:
        raise InputError(
            f"{path} mixes .t3pa hits and {others[0].format.name} clusters, which cannot be joined; keep them in separate folders"
        )
    # Each measurement starts its clock anew: joined, hits of one would coincide with those of another.
    if len(streams) > 1:
        raise InputError(
            f"{path} holds {len(streams)} .t3pa measurements, each with a clock of its own; read them one at a time"
        )
