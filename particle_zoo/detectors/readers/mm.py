"""The MM cluster format of the Katherine tools (tomascelko/clusterer): an .ini that names two files.

`_cl.txt` has a line a cluster, `first_toa_ns n_hits px_line_start px_byte_start`; `_px.txt` a line a hit, `x y toa_ns
energy_keV`, and `#` closes each cluster. The variant of simulations, `_sim.txt`, has all in one file: a line
`ParticleType=..,Size=..,Energy=..,Theta=..,Phi=..` and then the pixels of each cluster.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.readers.format import Format
from particle_zoo.detectors.readers.text import NUMBER, blocks, numbers, records
from particle_zoo.errors import InputError

COLUMNS = ("row", "col", "energy", "toa")
BLOCK = 2**23
CLOSING = re.compile(rb"^#[^\n]*$", re.MULTILINE)
PIXEL = re.compile(NUMBER + rb"(?:[ \t]+" + NUMBER + rb"){3}[ \t]*")
TRUTH = re.compile(
    rb"ParticleType=([^,\n]{1,60}),Size=(\d{1,9}),Energy=([^,\n]{1,40}),Theta=([^,\n]{1,40}),Phi=([^,\n]{1,40})"
)


def iter_clusters(path: str | Path, *, block: int = BLOCK) -> Iterator[Clusters]:
    """Yield the clusters of an .ini with its two files, in keV, in file order.

    Args:
        path: the .ini.
        block: bytes of text to read at a time.

    Raises:
        InputError: a file is missing or damaged, or the two contradict each other; names file and line.
    """
    path = Path(path)
    listed, pixels = _named(path)
    announced = _announced(listed)
    done = 0
    for line, at, text in _closed(pixels, block):
        part, places, starts = _pixels(pixels, line, text)
        n = len(part)
        own = announced[done : done + n]
        if len(own) < n:
            raise InputError(
                f"{pixels} holds more clusters than the {len(announced)} of {listed.name}; copy both again"
            )
        _compare(listed, pixels, own, part, line + places, at + starts, done)
        table = pd.DataFrame(
            {"id": [f"{path.name}:{done + i}" for i in range(n)], "label": "", "first_toa_ns": own[:, 0]}
        )
        yield Clusters(part.hits, COLUMNS, part.offsets, table.assign(source=path.name), "keV")
        done += n
    if done != len(announced):
        raise InputError(
            f"{pixels} ends after {done} clusters of the {len(announced)} of {listed.name}; copy both again"
        )


def iter_simulated(path: str | Path, *, block: int = BLOCK) -> Iterator[Clusters]:
    """Yield the clusters of a `_sim.txt` in keV, in file order.

    `label` is the particle in lower case; `particle_type`, `sim_energy_kev`, `theta` and `phi` are those of the file.

    Args:
        path: file.
        block: bytes of text to read at a time.

    Raises:
        InputError: a line that is neither truth nor pixel, or a cluster of another size than announced; names the line.
    """
    path = Path(path)
    done = 0
    for line, text in records(path, block, TRUTH, option=False):
        heads = list(TRUTH.finditer(text))
        if not heads or text[: heads[0].start()].strip():
            raise InputError(
                f"{path}, line {line}: expected ParticleType=..,Size=..; received {text[:40]!r}; copy it again"
            )
        ends = [*(head.start() for head in heads[1:]), len(text)]
        bodies = [
            CLOSING.sub(b"", text[head.end() : end]).strip(b"\r\n") for head, end in zip(heads, ends, strict=True)
        ]
        numbers = [line + text.count(b"\n", 0, head.start()) for head in heads]
        sizes = np.array([body.count(b"\n") + 1 if body else 0 for body in bodies])
        expected = np.array([int(head[2]) for head in heads])
        if ((sizes != expected) | (sizes < 1)).any():
            i = int(((sizes != expected) | (sizes < 1)).argmax())
            raise InputError(
                f"{path}, line {numbers[i]}: a cluster with {sizes[i]} pixels of {expected[i]}; copy the file again"
            )
        values = _hits(path, re.sub(rb"(?m)^(?:ParticleType=|#)[^\n]*$", b"", text), line)
        if len(values) != sizes.sum():
            raise InputError(
                f"{path}, line {line}: a line without hits in one of the clusters after it; copy the file again"
            )
        try:
            truth = np.array([[float(head[k]) for k in (3, 4, 5)] for head in heads])
            if not np.isfinite(truth).all():
                raise ValueError
        except ValueError as error:
            raise InputError(
                f"{path}, lines {line} and after: energy or angles are no numbers; copy it again"
            ) from error
        kinds = [head[1].decode("latin-1").strip() for head in heads]
        table = pd.DataFrame(
            {
                "id": [f"{path.name}:{done + i}" for i in range(len(heads))],
                "label": [kind.lower() for kind in kinds],
                "particle_type": kinds,
                "sim_energy_kev": truth[:, 0],
                "theta": truth[:, 1],
                "phi": truth[:, 2],
                "source": path.name,
            }
        )
        yield Clusters(values, COLUMNS, np.concatenate([[0], np.cumsum(sizes)]), table, "keV")
        done += len(heads)


def _named(path: Path) -> tuple[Path, Path]:
    parser = configparser.ConfigParser()
    try:
        parser.read_string(path.read_bytes().decode("utf-8-sig"))
        own = parser["Measurement"]
        names = own["ClFile"].strip(), own["PxFile"].strip()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a readable file") from error
    except (configparser.Error, KeyError, ValueError) as error:
        raise InputError(f"{path} names no clusters; expected [Measurement] with PxFile and ClFile") from error
    if own.get("Format", "txt").strip().lower() != "txt":
        raise InputError(f"{path}: files of the format {own['Format']!r} are not read; export them as txt")
    # Written on another machine, perhaps with its folders.
    found = [path.parent / name.replace("\\", "/").rsplit("/", 1)[-1] for name in names]
    for name in found:
        if not name.is_file():
            raise InputError(f"{path} names {name.name}, which is not beside it; copy all three files")
    return found[0], found[1]


def _announced(path: Path) -> np.ndarray:
    """(n, 4) time, size, line and byte of every cluster."""
    parts = [_with_line(path, text, text.strip(), line) for line, text in blocks(path, option=False) if text.strip()]
    found = np.concatenate(parts) if parts else np.empty((0, 4))
    whole = found[:, 1:]
    if (whole != np.floor(whole)).any() or (whole < 0).any() or (found[:, 1] < 1).any():
        raise InputError(f"{path}: sizes and places must be whole numbers; copy the file again")
    return found


def _closed(path: Path, size: int) -> Iterator[tuple[int, int, bytes]]:
    """Blocks that end behind the mark that closes a cluster, with the line and the byte they start at."""
    rest, start, at = b"", 1, 0
    for _, text in blocks(path, size, option=False):
        text = rest + text
        last = text.rfind(b"#")
        cut = text.find(b"\n", last) + 1 if last >= 0 else 0
        rest = text[cut:]
        if cut:
            yield start, at, text[:cut]
            start += text.count(b"\n", 0, cut)
            at += cut
    if rest.endswith(b"#"):
        yield start, at, rest
    elif rest.strip():
        raise InputError(f"{path}, line {start}: the last cluster is not closed by #; copy the file again")


def _pixels(path: Path, line: int, text: bytes) -> tuple[Clusters, np.ndarray, np.ndarray]:
    """The clusters of a block, and the line and the byte in it each starts at."""
    closing = list(re.finditer(rb"^#[^\n]*\n?", text, re.MULTILINE))
    if not closing:
        raise InputError(f"{path}, line {line}: a cluster that is not closed by #; copy the file again")
    marks, ends = (np.array(places) for places in zip(*(mark.span() for mark in closing), strict=True))
    starts = np.concatenate([[0], ends[:-1]])
    feed = np.concatenate([[0], np.cumsum(np.frombuffer(text, np.uint8) == 10)])
    sizes = feed[marks] - feed[starts]
    if (sizes < 1).any():
        i = int((sizes < 1).argmax())
        raise InputError(f"{path}, line {line + feed[marks[i]]}: a cluster without hits; copy the file again")
    values = _hits(path, CLOSING.sub(b"", text), line)
    if len(values) != sizes.sum():
        raise InputError(f"{path}, line {line}: an empty line in one of the clusters after it; copy the file again")
    part = Clusters(
        values, COLUMNS, np.concatenate([[0], np.cumsum(sizes)]), pd.DataFrame(index=range(len(sizes))), "keV"
    )
    return part, feed[starts], starts


def _compare(
    listed: Path, pixels: Path, own: np.ndarray, part: Clusters, lines: np.ndarray, at: np.ndarray, before: int
) -> None:
    first = np.minimum.reduceat(part.column("toa"), part.offsets[:-1])
    # Lines are counted from 0 or 1, whichever the first cluster says.
    shift = lines[0] - own[0, 2] if not before else None
    wrong: dict[str, Any] = {
        "n_hits": own[:, 1] != part.sizes,
        "first_toa_ns": ~np.isclose(own[:, 0], first, rtol=1e-9, atol=0.01),
        "px_byte_start": own[:, 3] != at,
    }
    if shift is not None and shift in (0, 1):
        wrong["px_line_start"] = own[:, 2] + shift != lines
    for name, bad in wrong.items():
        if bad.any():
            i = int(bad.argmax())
            raise InputError(
                f"{listed}, line {before + i + 1}: {name} does not fit the cluster at line {lines[i]} of {pixels.name}; "
                "copy both files again"
            )


def _hits(path: Path, text: bytes, line: int) -> np.ndarray:
    """(n, 4) row, column, energy, time of lines `x y toa energy`; lines that are empty are left out."""
    kept = re.sub(rb"\n{2,}", b"\n", text.replace(b"\r", b"")).strip(b"\n")
    if not kept:
        return np.empty((0, 4))
    values = _with_line(path, text, kept, line)[:, [1, 0, 3, 2]]
    place = values[:, :2]
    if ((place < 0) | (place != np.floor(place)) | (place >= 2**15)).any():
        raise InputError(f"{path}, line {line}: a pixel outside every chip in the lines after it; copy the file again")
    return np.ascontiguousarray(values)


def _with_line(path: Path, text: bytes, kept: bytes, line: int) -> np.ndarray:
    try:
        return numbers(path, kept, line, 4)
    except InputError:
        # With the lines that were left out, so that the number is that of the file.
        for number, row in enumerate(text.splitlines(), line):
            if row.strip() and not PIXEL.fullmatch(row.strip()):
                raise InputError(
                    f"{path}, line {number}: expected four numbers; received {row[:40]!r}; copy the file again"
                ) from None
        raise


def _part(path: str | Path) -> Iterator[Clusters]:
    raise InputError(f"{path} is a part of a cluster file in three; give the .ini that names it")


FORMAT = Format(
    "MM clusters",
    (".ini",),
    lambda start: re.search(rb"(?mi)^\s*PxFile\s*=", start) is not None,
    iter_clusters,
    ("block",),
)
SIMULATED = Format(
    "MM simulated clusters",
    ("_sim.txt",),
    lambda start: TRUTH.match(start.lstrip()) is not None,
    iter_simulated,
    ("block",),
)
COMPANION = Format("MM parts", ("_cl.txt", "_px.txt"), lambda start: False, _part, companion=True)
