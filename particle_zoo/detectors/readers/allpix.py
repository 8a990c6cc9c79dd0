"""Text of Allpix Squared's TextWriter: pixel hits of simulated events.

`# Allpix Squared ASCII data - ...`, then `=== EVENT ===`, `--- DETECTOR ---`, an object a line, and the footer `# n objects from
m messages`. `PixelHit X, Y, signal, local_t, global_t, gx, gy, gz` (ns, mm), in older files `PixelHit X, Y, signal, time`; the
signal is in electrons, or in ticks behind a ToT digitiser. Other objects are left out; of MCParticle blocks the PDG number of
the first names the particle of the event.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.detectors.frames import Frames
from particle_zoo.detectors.hits import STEP_NS
from particle_zoo.detectors.readers.format import Format
from particle_zoo.detectors.readers.text import records, table_of
from particle_zoo.errors import InputError

START = re.compile(rb"# Allpix Squared ASCII data")
EVENT = re.compile(rb"^=== (\d{1,18}) ===[ \t\r]*$", re.MULTILINE)
SECTION = re.compile(rb"^(?:=== (\d{1,18}) ===|--- ([^\n]{1,80}?) ---)[ \t\r]*$", re.MULTILINE)
HIT = re.compile(rb"^[ \t]*PixelHit[ \t]+([^\r\n]*)", re.MULTILINE)
WORD = re.compile(rb"^[ \t]*PixelHit[^\r\n]*", re.MULTILINE)
PDG = re.compile(rb"PDG[^\n]*?(-?\d{1,10})[ \t\r]*$", re.MULTILINE)
OTHER = re.compile(rb"^(?!#|===|---|[ \t]*PixelHit)[^\r\n]*[^\s][^\r\n]*", re.MULTILINE)
"""Lines of other objects."""

FOOTER = re.compile(rb"^# (\d{1,18}) objects from (\d{1,18}) messages", re.MULTILINE)
FIELDS = (8, 4)
"""Numbers a hit, of newer and of older files; the first four are x, y, signal and time."""

SIGNALS = ("electrons", "kev", "tot")
BLOCK = 2**23


def iter_frames(
    path: str | Path,
    *,
    signal: str = "electrons",
    pair_ev: float = 3.64,
    time_unit_ns: float = 1.0,
    shape: tuple[int, int] = (256, 256),
    partial: bool = False,
    block: int = BLOCK,
) -> Iterator[Frames]:
    """Yield the hits, one frame an event and detector, with times.

    Args:
        path: file.
        signal: what the signal is: "electrons", "kev" or "tot" (ticks of a ToT digitiser).
        pair_ev: energy an electron-hole pair, eV, to make keV of electrons.
        time_unit_ns: of local_t; ticks behind a ToA digitiser.
        shape: rows and columns of the detectors.
        partial: read what is there of a file without its footer.
        block: bytes of text to read at a time.

    Yields:
        Frames; the table has frame (the event), detector, particle ("" without MCParticle), source.

    Raises:
        InputError: a line of hits that cannot be read, or a file that ends without its footer; names the line.
    """
    path = Path(path)
    if signal not in SIGNALS:
        raise InputError(f"signal must be {', '.join(SIGNALS)}; received {signal!r}")
    for name, value in (("pair_ev", pair_ev), ("time_unit_ns", time_unit_ns)):
        if not (isinstance(value, (int, float)) and 0 < value < 1e9):
            raise InputError(f"{name} must be a positive number; received {value!r}")
    sides = shape if isinstance(shape, (tuple, list)) and len(shape) == 2 else (0, 0)
    if not all(isinstance(side, int) and 0 < side <= 2**15 for side in sides):
        raise InputError(f"shape must be rows and columns, 1 to 32768 each; received {shape!r}")
    footer, hits, others, end = None, 0, 0, 1
    for line, text in records(path, block, EVENT, whole=not partial):
        footer = FOOTER.search(text) or footer
        others += len(OTHER.findall(text))
        hits += len(HIT.findall(text))
        end = line + text.count(b"\n")
        part = _frames(path, text, line, signal, pair_ev, time_unit_ns, tuple(shape))
        if part is not None:
            yield part
    if footer is None and not partial:
        raise InputError(
            f"{path}, line {end}: the file ends without its footer (# n objects from m messages); copy it again, or read "
            "what is there with partial=True"
        )
    # An object of another kind has a line or more.
    if footer is not None and not hits <= int(footer[1]) <= hits + others:
        raise InputError(
            f"{path} holds {hits} pixel hits, its footer counts {int(footer[1])} objects; copy the file again"
        )


def _frames(
    path: Path, text: bytes, line: int, signal: str, pair_ev: float, time_unit_ns: float, shape: tuple[int, ...]
) -> Frames | None:
    found = list(HIT.finditer(text))
    if len(found) != len(WORD.findall(text)):
        odd = next(match for match in WORD.finditer(text) if not HIT.match(text, match.start()))
        number = line + text.count(b"\n", 0, odd.start())
        raise InputError(
            f"{path}, line {number}: expected 'PixelHit X, Y, ...'; received {odd[0][:40]!r}; copy it again"
        )
    if not found:
        return None
    values = _values(path, text, line, found)
    sections = list(SECTION.finditer(text))
    at = np.array([match.start() for match in found])
    section = np.searchsorted([match.start() for match in sections], at) - 1
    event, detector, names = _sections(sections)
    if section[0] < 0 or (event[section] < 0).any() or (detector[section] < 0).any():
        raise InputError(f"{path}, line {line}: hits before the first event and detector; copy the file again")
    # A frame is an event and a detector, in the order of the file.
    first = np.concatenate([[0], np.flatnonzero(np.diff(section)) + 1])
    table = pd.DataFrame(
        {
            "frame": event[section[first]],
            "detector": [names[i] for i in detector[section[first]]],
            "particle": _particles(text, sections, section[first], event),
            "source": path.name,
        }
    )
    x, y = values[:, 0], values[:, 1]
    for name, place, side in (("x", x, shape[1]), ("y", y, shape[0])):
        bad = (place < 0) | (place >= side) | (place != np.floor(place))
        if bad.any():
            raise InputError(
                f"{path}, line {_line(text, line, found, bad)}: {name} is {place[bad.argmax()]:g}, outside detectors of "
                f"{shape[0]} x {shape[1]} px; say their shape=(rows, columns)"
            )
    energy = values[:, 2] * (pair_ev * 1e-3 if signal == "electrons" else 1.0)
    toa = np.rint(values[:, 3] * time_unit_ns / STEP_NS).astype(np.int64)
    offsets = np.concatenate([first, [len(at)]])
    unit = "ToT" if signal == "tot" else "keV"
    return Frames(y, x, energy, offsets, (shape[0], shape[1]), table, unit, toa)


def _values(path: Path, text: bytes, line: int, found: list[re.Match[bytes]]) -> np.ndarray:
    fields = found[0][1].count(b",") + 1
    if fields in FIELDS:
        joined = b"\n".join(match[1] for match in found).replace(b" ", b"").replace(b"\t", b"")
        with contextlib.suppress(ValueError):
            values = table_of(joined, fields)
            if len(values) == len(found) and (np.abs(values[:, 3]) < 1e15).all():
                return values
    for match in found:
        cells = match[1].split(b",")
        try:
            if len(cells) != fields or fields not in FIELDS or not all(np.isfinite(float(cell)) for cell in cells):
                raise ValueError
        except ValueError as error:
            number = line + text.count(b"\n", 0, match.start())
            raise InputError(
                f"{path}, line {number}: expected PixelHit with 8 or 4 numbers; received {match[1][:40]!r}; copy it again"
            ) from error
    raise InputError(f"{path}, line {line}: the hits after it cannot be read; copy the file again")


def _sections(sections: list[re.Match[bytes]]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Event and detector number that hold from each section mark on (-1: none yet), and the detectors' names."""
    names: list[str] = []
    event, detector = np.empty(len(sections), np.int64), np.empty(len(sections), np.int64)
    now = [-1, -1]
    for i, match in enumerate(sections):
        if match[1] is not None:
            now = [int(match[1]), -1]
        else:
            name = match[2].decode("utf-8", "replace")
            if name not in names:
                names.append(name)
            now = [now[0], names.index(name)]
        event[i], detector[i] = now
    return event, detector, names


def _particles(text: bytes, sections: list[re.Match[bytes]], chosen: np.ndarray, event: np.ndarray) -> list[str]:
    from particle_zoo.simulation.pdg import name

    found: dict[int, str] = {}
    starts = [match.start() for match in sections]
    for match in PDG.finditer(text):
        own = int(event[np.searchsorted(starts, match.start()) - 1])
        found.setdefault(own, name(int(match[1])))
    return [found.get(int(event[i]), "") for i in chosen]


def _line(text: bytes, line: int, found: list[re.Match[bytes]], bad: Any) -> int:
    return line + text.count(b"\n", 0, found[int(bad.argmax())].start())


OPTIONS = ("signal", "pair_ev", "time_unit_ns", "shape", "partial", "block")
FORMAT = Format(
    "Allpix Squared", ("_allpix.txt",), lambda start: START.match(start) is not None, iter_frames, OPTIONS, gives=Frames
)
