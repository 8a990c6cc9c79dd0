"""Write hits and clusters in the formats of the detectors' own software, always through a temporary name."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from particle_zoo.cli import replacing
from particle_zoo.clusters import Clusters
from particle_zoo.detectors.frames import Frames
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
    ".clist": (),
    ".elist": (),
    ".ini": (),
}
"""Endings that can be written, and the options of each."""

FRAMES: dict[str, tuple[str, ...]] = {".txt": ("layout",), ".pmf": ("layout",)}
"""Endings that frames can be written to."""

STREAMS = (".t3pa", ".t3p", ".tpx3", ".txt")
"""Of hits."""


def write(path: str | Path, data: Clusters | Frames | Hits | Iterable[Any], **options: Any) -> Path:
    """Write clusters, frames or hits; the ending of the name says which format.

    `.parquet` takes clusters and keeps everything. `.t3pa` and `.t3p` (Timepix3 hit tables), `.tpx3`
    (SPIDR stream) and `.txt` (Burda text) take hits and clusters; their options are those of `writers.t3pa.write`.
    `.clist`, `.elist` and `.ini` (MM) take clusters with times. Frames go to
    `.pmf` and `.txt`, `layout` "matrix", "sparse" or "xyC", with a .dsc and, of more than one frame, an .idx. `.clog` (cluster log) takes clusters; options as in `writers.clog.write`.

    Args:
        path: file to write; it appears when it is complete.
        data: Clusters or Hits, or an iterable of them for what does not fit into memory.
        options: of the format.

    Returns:
        The path.

    Raises:
        InputError: an unknown ending or option, or data the format cannot hold.
    """
    from particle_zoo.detectors.writers import burda, clist, clog, mm, parquet, t3p, t3pa, tpx3

    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in {**OPTIONS, **FRAMES}:
        raise InputError(
            f"there is no writer for {path.name!r}; end the name with one of {', '.join({**OPTIONS, **FRAMES})}"
        )
    parts: Iterable[Any] = [data] if isinstance(data, (Clusters, Frames, Hits)) else data
    parts = iter(parts)
    first = next(parts, None)
    parts = itertools.chain([] if first is None else [first], parts)
    if isinstance(first, Frames):
        if suffix not in FRAMES:
            raise InputError(
                f"{suffix} holds no frames; end the name with {' or '.join(FRAMES)}, or cluster them first"
            )
        check_options(suffix, options, FRAMES[suffix])
        return _write_frames(path, parts, **options)
    if suffix not in OPTIONS:
        received = repr(first) if first is not None else "no frames to write"
        raise InputError(f"{suffix} holds frames; received {received}")
    check_options(suffix, options, OPTIONS[suffix])
    if suffix == ".ini":
        # Three files, which appear together.
        mm.write(path, _only(Clusters, parts, suffix))
        return path
    with replacing(path) as temporary:
        if suffix in STREAMS:
            {".t3pa": t3pa, ".t3p": t3p, ".tpx3": tpx3, ".txt": burda}[suffix].write(temporary, parts, **options)
        elif suffix in (".clist", ".elist"):
            clist.write(temporary, _only(Clusters, parts, suffix))
        elif suffix == ".clog":
            clog.write(temporary, _only(Clusters, parts, suffix), **options)
        else:
            parquet.write(temporary, _only(Clusters, parts, suffix))
    return path


def _only(kind: type, parts: Iterable[Any], suffix: str) -> Iterator[Any]:
    for part in parts:
        if not isinstance(part, kind):
            raise InputError(
                f"{suffix} holds {kind.__name__.lower()}; received {part!r}; convert it first or choose another ending"
            )
        yield part


def _write_frames(path: Path, parts: Iterable[Any], **options: Any) -> Path:
    from particle_zoo.detectors.writers import pixet

    description, index = (path.with_name(path.name + suffix) for suffix in (".dsc", ".idx"))
    # Left in reverse order: data appear first, then what points into them.
    with replacing(index) as records, replacing(description) as text, replacing(path) as temporary:
        number = pixet.write(temporary, text, records, _only(Frames, parts, path.suffix), **options)
    if number == 1:
        index.unlink()
    return path
