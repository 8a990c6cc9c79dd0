"""Raw stream of the Katherine readout of Timepix3: little-endian words of 6 bytes.

Bits 44-47 say what a word is: 0x4 a pixel (0x0 and 0x1 are seen too), 0x5 the ToA offset of the pixels that follow, 0xC the
end of a frame with the number of hits sent, 0xD the number of hits lost. Pixel: x bits 28-35, y 36-43, ToA 14-27, ToT 4-13,
FToA 0-3; ToA of the measurement = ToA + 16384 offset (25 ns). In the event mode bits 14-27 hold the integrated ToT, 4-13 the
number of events.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numba
import numpy as np

from particle_zoo.detectors import hits as hits_of
from particle_zoo.detectors.hits import Hits
from particle_zoo.detectors.readers.format import Format
from particle_zoo.detectors.readers.words import blocks
from particle_zoo.errors import InputError

WORD = 6
CHUNK = 2**20
MODES = ("toa+tot", "event+itot")
OFFSET_STEP = 16384
"""25 ns counts an offset stands for, the range of the 14-bit ToA. clusterer_lite's 4096 is an error."""


def iter_hits(
    path: str | Path, *, chunk: int = CHUNK, mode: str = "toa+tot", column_phase: bool = False, partial: bool = False
) -> Iterator[Hits]:
    """Yield the hits in file order, `chunk` words at a time, in ToT; every frame is a run of its own.

    A frame whose end reports another number of hits than were read, and every report of lost hits, is a gap; `counts`
    has `lost`, the hits missing, and `unknown`, words of other kinds.

    Args:
        path: file.
        chunk: words to read at a time.
        mode: what the chip measured, "toa+tot" or "event+itot"; the file does not say. The latter has no times: they are
            all 0.
        column_phase: add the clock's delay along the double columns, as newer libkatherine does: int((x/2) mod 16) steps of
            1.5625 ns, 16 for 0.
        partial: leave out a last word that is not complete.

    Raises:
        InputError: a file that ends inside a word; names the byte.
    """
    path = Path(path)
    if mode not in MODES:
        raise InputError(f"mode must be toa+tot or event+itot; received {mode!r}")
    # ToA offset, hits since the last end of a frame, run, whether a frame has ended.
    state = np.zeros(4, np.int64)
    for _, content in blocks(path, WORD, chunk, partial=partial):
        octets = np.frombuffer(content, np.uint8).reshape(-1, WORD)
        hits, n, gaps, lost, unknown = _decode(octets, state, mode == "toa+tot")
        row, col, tot, toa, run = hits[:n].T
        if column_phase and mode == "toa+tot":
            toa = toa + hits_of.column_phase(col)
        counts = {name: int(k) for name, k in (("lost", lost), ("unknown", unknown)) if k}
        yield Hits(row, col, tot, toa, None, "ToT", int(gaps), run, counts)


@numba.njit(cache=True)
def _decode(octets: np.ndarray, state: np.ndarray, timed: bool) -> tuple[np.ndarray, int, int, int, int]:
    """Hits (row, col, ToT, time in steps, run) and their number, gaps, lost hits, unknown words."""
    hits = np.empty((len(octets), 5), np.int64)
    n, unknown = 0, 0
    gaps, lost = np.int64(0), np.int64(0)
    for i in range(len(octets)):
        word = np.int64(0)
        for k in range(6):
            word |= np.int64(octets[i, k]) << (8 * k)
        kind = word >> 44
        # A word of zeros is padding, not a pixel without signal.
        if word != 0 and (kind == 0x4 or kind == 0x0 or kind == 0x1):
            if state[3]:
                state[2] += 1
                state[3] = 0
            toa = (word >> 14) & 0x3FFF
            hits[n, 0] = (word >> 36) & 0xFF
            hits[n, 1] = (word >> 28) & 0xFF
            if timed:
                hits[n, 2] = (word >> 4) & 0x3FF
                hits[n, 3] = 16 * (toa + OFFSET_STEP * state[0]) - (word & 0xF)
            else:
                hits[n, 2] = toa
                hits[n, 3] = 0
            hits[n, 4] = state[2]
            n += 1
            state[1] += 1
        elif kind == 0x5:
            state[0] = word & 0xFFFFFFFF
        elif kind == 0xC:
            sent = word & 0xFFFFFFFFFFF
            if sent != state[1]:
                gaps += 1
                lost += max(sent - state[1], 0)
            state[0] = 0
            state[1] = 0
            state[3] = 1
        elif kind == 0xD:
            missing = word & 0xFFFFFFFFFFF
            if missing:
                gaps += 1
                lost += missing
        else:
            unknown += 1
    return hits, n, int(gaps), int(lost), unknown


def _recognise(start: bytes) -> bool:
    octets = np.frombuffer(start[: len(start) // WORD * WORD], np.uint8).reshape(-1, WORD)
    kind = octets[:, 5] >> 4
    # Text has such nibbles too, but no byte over 127 and no 0.
    binary = (octets > 127).any() and len(octets) > 1
    return bool(binary and np.isin(kind, (0x4, 0x5, 0x7, 0x8, 0xC, 0xD)).all() and (kind == 0x4).mean() > 0.5)


FORMAT = Format("Katherine", (".raw",), _recognise, iter_hits, ("chunk", "mode", "column_phase", "partial"), gives=Hits)
