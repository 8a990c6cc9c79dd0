"""`.tpx3`: the stream of SPIDR readouts of Timepix3 (ASI), little-endian 64-bit words in chunks.

A chunk begins with a header: low 32 bits "TPX3", bits 32-39 the chip, 48-63 the bytes that follow. The top four bits of
every other word say what it is: 0xB a pixel (0xA in frame mode), 0x4 a heartbeat, 0x6 a TDC time stamp, 0x5 and 0x7
control. Pixel: address bits 44-59, ToA 30-43 and ToT 20-29 in 25 ns, FToA 16-19 in 1.5625 ns, SPIDR time 0-15 in 409.6 us.
The pixel's clock starts anew after 26.84 s; heartbeats (0x44: low 32 bits, 0x45: high 16 bits of the 25 ns clock) extend
it. Bit layouts as decoded by tpx3awkward and tpx3HitParser.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numba
import numpy as np
import pandas as pd

from particle_zoo.detectors.hits import Hits, column_phase
from particle_zoo.detectors.readers.format import Format, opened
from particle_zoo.detectors.readers.words import blocks
from particle_zoo.errors import InputError

MAGIC = 0x33585054
WORD = 8
CHUNK = 2**19
"""Words decoded at a time."""

AHEAD = 2**22
"""Words in which the first heartbeats are looked for, whatever is decoded at a time."""

COARSE = 1 << 30
"""25 ns counts after which a pixel's clock starts anew."""

KINDS = ("tdc", "heartbeat", "control", "unknown")
EDGES = {0xF: "TDC1 rise", 0xA: "TDC1 fall", 0xE: "TDC2 rise", 0xB: "TDC2 fall"}
TDC_COARSE_NS, TDC_FINE_NS = 3.125, 3.125 / 12

LAYOUTS = ("single", "quad")


class _State:
    """What one block of words leaves for the next: the open chunk, and the clock of every chip."""

    def __init__(self) -> None:
        # Bytes left of the open chunk, its chip.
        self.chunk = np.zeros(2, np.int64)
        # A chip: heartbeat low part, latest time known with heartbeats (-1: none yet); without, the number of times the
        # pixels' clock started anew, their latest time since then, and that number at the start.
        self.clock = np.full((256, 5), -1, np.int64)
        self.clock[:, 2] = self.clock[:, 4] = 0


def iter_hits(
    path: str | Path, *, chunk: int = CHUNK, layout: str = "single", column_phase: bool = False, partial: bool = False
) -> Iterator[Hits]:
    """Yield the hits in file order, `chunk` words at a time, in ToT; `Hits.counts` has the other words by kind.

    Heartbeats need not be frequent: between two, times go on from the latest. Before the first, and without any, a step back of
    more than half the clock's range is taken for its restart.

    Args:
        path: file.
        chunk: words to decode at a time.
        layout: "single" keeps row and column of each chip; "quad" places four chips on 512 x 512 px as chip 0.
        column_phase: add the clock's delay along the double columns, as tpx3awkward does: int((x/2) mod 16) steps of
            1.5625 ns, 16 for 0.
        partial: read what is there of a file that ends inside a chunk.

    Raises:
        InputError: no chunk header where one is expected, or the end of the file inside a chunk; names the byte.
    """
    path = Path(path)
    if layout not in LAYOUTS:
        raise InputError(f"layout must be single or quad; received {layout!r}")
    state = _State()
    for words in _blocks(path, chunk, partial, state):
        pixels, n, counts, _ = _decode(words, state.chunk, state.clock)
        yield _hits(pixels[:n], counts, layout, column_phase)


def read_tdc(path: str | Path, *, chunk: int = CHUNK, partial: bool = False) -> pd.DataFrame:
    """The TDC time stamps of a file: columns chip, edge, counter, time_ns (float64), valid (fine part in 1..12).

    The time wraps after 107 s, as the counter of the TDC does.

    Raises:
        InputError: as `iter_hits`.
    """
    state = _State()
    parts = []
    for words in _blocks(Path(path), chunk, partial, state):
        _, _, _, stamps = _decode(words, state.chunk, state.clock)
        parts.append(stamps.copy())
    stamps = np.concatenate(parts) if parts else np.empty((0, 2), np.uint64)
    word = stamps[:, 1]
    coarse = (word >> np.uint64(9)) & np.uint64((1 << 35) - 1)
    fine = ((word >> np.uint64(5)) & np.uint64(15)).astype(np.int64)
    valid = (fine >= 1) & (fine <= 12)
    kind = ((word >> np.uint64(56)) & np.uint64(15)).astype(int)
    return pd.DataFrame(
        {
            "chip": stamps[:, 0].astype(np.int16),
            "edge": [EDGES.get(k, "unknown") for k in kind.tolist()],
            "counter": ((word >> np.uint64(44)) & np.uint64(0xFFF)).astype(np.int64),
            "time_ns": coarse * TDC_COARSE_NS + np.where(valid, fine - 1, 0) * TDC_FINE_NS,
            "valid": valid,
        }
    )


def _blocks(path: Path, chunk: int, partial: bool, state: _State) -> Iterator[np.ndarray]:
    """Blocks of whole words whose chunk headers are sound."""
    with opened(path) as file:
        content = file.read(WORD * AHEAD)
    words = np.frombuffer(content[: len(content) // WORD * WORD], "<u8")
    if _check(words, state.chunk.copy()) < 0:
        _start_clocks(words, state.clock)
    end = 0
    for at, content in blocks(path, WORD, chunk, partial=partial):
        words = np.frombuffer(content, "<u8")
        bad = _check(words, state.chunk.copy())
        if bad >= 0:
            raise InputError(_header_error(path, at + WORD * bad, int(words[bad])))
        yield words
        end = at + len(content)
    if state.chunk[0] and not partial:
        raise InputError(
            f"{path}, byte {end}: the file ends {state.chunk[0]} bytes before the end of a chunk; copy it again, or read "
            "what is there with partial=True"
        )


def _header_error(path: Path, at: int, word: int) -> str:
    if word & 0xFFFFFFFF == MAGIC:
        return f"{path}, byte {at}: a chunk of {word >> 48} bytes, which are no words of 8; copy the file again"
    return f"{path}, byte {at}: expected a chunk header (TPX3), received {word:#018x}; copy the file again"


@numba.njit(cache=True)
def _check(words: np.ndarray, chunk: np.ndarray) -> int:
    """Index of the first word that is no chunk header where one has to be, -1 if there is none."""
    left = chunk[0]
    i = 0
    n = len(words)
    while i < n:
        if left == 0:
            size = np.int64(words[i] >> np.uint64(48))
            if (words[i] & np.uint64(0xFFFFFFFF)) != np.uint64(MAGIC) or size % 8 != 0:
                return i
            left = size
            i += 1
            continue
        step = int(min(left // 8, n - i))
        i += step
        left -= 8 * step
    return -1


@numba.njit(cache=True)
def _unwrapped(coarse: int, clock: np.ndarray) -> int:
    """The time of a pixel without heartbeats; `clock` is that of its chip and goes on."""
    half = np.int64(COARSE // 2)
    last, epoch = clock[3], clock[2]
    if last >= 0 and last - coarse > half:
        epoch += 1
        clock[2], clock[3] = epoch, coarse
    elif epoch > clock[4] and last >= 0 and coarse - last > half:
        # Late, from before the clock started anew.
        epoch -= 1
    else:
        clock[3] = max(last, coarse)
    return epoch * np.int64(COARSE) + coarse


@numba.njit(cache=True)
def _start_clocks(words: np.ndarray, clock: np.ndarray) -> None:
    """Let every chip's clock start so that it reaches the time of its first heartbeat in the words.

    The words begin with a chunk header.
    """
    left, chip = np.int64(0), np.int64(0)
    low = np.full(256, -1, np.int64)
    done = np.zeros(256, np.bool_)
    trial = clock.copy()
    for word in words:
        if left == 0:
            left = np.int64(word >> np.uint64(48))
            chip = np.int64((word >> np.uint64(32)) & np.uint64(0xFF))
            continue
        left -= 8
        if done[chip]:
            continue
        part = np.int64(word >> np.uint64(56))
        value = np.int64((word >> np.uint64(16)) & np.uint64(0xFFFFFFFF))
        if part >> 4 == 0xB or part >> 4 == 0xA:
            coarse = np.int64(
                ((word & np.uint64(0xFFFF)) << np.uint64(14)) | ((word >> np.uint64(30)) & np.uint64(0x3FFF))
            )
            _unwrapped(coarse, trial[chip])
        elif part == 0x44 and low[chip] < 0:
            low[chip] = value
        elif part == 0x45 and low[chip] >= 0:
            done[chip] = True
            heartbeat = ((value & 0xFFFF) << 32) | low[chip]
            if trial[chip, 3] >= 0:
                # The latest pixel is the one nearest to the heartbeat.
                latest = trial[chip, 2] * np.int64(COARSE) + trial[chip, 3]
                shift = (heartbeat - latest + np.int64(COARSE // 2)) // COARSE
                clock[chip, 2] = clock[chip, 4] = max(shift, 0)


@numba.njit(cache=True)
def _decode(words: np.ndarray, chunk: np.ndarray, clock: np.ndarray) -> tuple[np.ndarray, int, np.ndarray, np.ndarray]:
    """Pixels (row, col, ToT, time in steps, chip) and their number, counts of other words, (chip, word) of TDC stamps.

    `chunk` and `clock` are those of `_State` and go on from block to block.
    """
    pixels = np.empty((len(words), 5), np.int64)
    stamps = np.empty((len(words), 2), np.uint64)
    counts = np.zeros(4, np.int64)
    n = 0
    for word in words:
        if chunk[0] == 0:
            chunk[0] = np.int64(word >> np.uint64(48))
            chunk[1] = np.int64((word >> np.uint64(32)) & np.uint64(0xFF))
            continue
        chunk[0] -= 8
        chip = chunk[1]
        kind = np.int64(word >> np.uint64(60))
        if kind == 0xB or kind == 0xA:
            address = np.int64((word >> np.uint64(44)) & np.uint64(0xFFFF))
            toa = np.int64((word >> np.uint64(30)) & np.uint64(0x3FFF))
            spidr = np.int64(word & np.uint64(0xFFFF))
            coarse = (spidr << 14) | toa
            if clock[chip, 1] >= 0:
                # The time nearest to the latest that has these low bits.
                full = (clock[chip, 1] & ~np.int64(COARSE - 1)) | coarse
                if full - clock[chip, 1] > COARSE // 2:
                    full -= COARSE
                elif clock[chip, 1] - full > COARSE // 2:
                    full += COARSE
                clock[chip, 1] = max(clock[chip, 1], full)
            else:
                full = _unwrapped(coarse, clock[chip])
            pixels[n, 0] = ((address & 0x01F8) >> 1) + (address & 3)
            pixels[n, 1] = ((address & 0xFE00) >> 8) + ((address >> 2) & 1)
            pixels[n, 2] = np.int64((word >> np.uint64(20)) & np.uint64(0x3FF))
            pixels[n, 3] = 16 * full - np.int64((word >> np.uint64(16)) & np.uint64(0xF))
            pixels[n, 4] = chip
            n += 1
        elif kind == 0x6:
            stamps[counts[0], 0] = np.uint64(chip)
            stamps[counts[0], 1] = word
            counts[0] += 1
        elif kind == 0x4:
            counts[1] += 1
            part = np.int64((word >> np.uint64(56)) & np.uint64(0xF))
            value = np.int64((word >> np.uint64(16)) & np.uint64(0xFFFFFFFF))
            if part == 4:
                clock[chip, 0] = value
            elif part == 5 and clock[chip, 0] >= 0:
                clock[chip, 1] = ((value & 0xFFFF) << 32) | clock[chip, 0]
        elif kind == 0x5 or kind == 0x7:
            counts[2] += 1
        else:
            counts[3] += 1
    return pixels, n, counts, stamps[: counts[0]]


def _hits(pixels: np.ndarray, counts: np.ndarray, layout: str, with_phase: bool) -> Hits:
    row, col, tot, toa, chip = pixels.T
    if with_phase:
        toa = toa + column_phase(col)
    if layout == "quad":
        if (chip > 3).any():
            raise InputError(f"the quad layout has chips 0..3; received chip {chip.max()}; use layout=single")
        flipped_row, flipped_col = 511 - row, 511 - col
        # Chip 0 right below, 1 right above and 2 left above, both turned, 3 left below.
        row = np.select([chip == 1, chip == 2], [flipped_row, flipped_row], row)
        col = np.select([chip == 0, chip == 1, chip == 2], [col + 256, flipped_col, 255 - col], col)
        chip = np.zeros_like(chip)
    found = {name: int(count) for name, count in zip(KINDS, counts, strict=True) if count}
    return Hits(row, col, tot, toa, chip, "ToT", counts=found)


def _recognise(start: bytes) -> bool:
    return start[:4] == b"TPX3"


FORMAT = Format(".tpx3", (".tpx3",), _recognise, iter_hits, ("chunk", "layout", "column_phase", "partial"), gives=Hits)
