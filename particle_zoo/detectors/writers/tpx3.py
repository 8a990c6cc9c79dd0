"""Hits to `.tpx3`; the format is described in `particle_zoo.detectors.readers.tpx3`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.hits import Hits
from particle_zoo.detectors.readers.tpx3 import COARSE, MAGIC
from particle_zoo.detectors.writers.t3pa import blocks
from particle_zoo.errors import InputError

PIXELS = 1000
"""Most pixels of a chunk; readouts send 8 kB at a time."""

LARGEST_TOT = 1023


def write(path: Path, parts: Iterable[Hits | Clusters], **options: Any) -> None:
    """Write parts one after the other, each in time order; options and errors as of `writers.t3pa.write`.

    A chunk holds hits of one chip behind a heartbeat, so that all times come back.

    Raises:
        InputError: also a ToT over 1023 or a time of more than 48 bits.
    """
    with path.open("wb") as file:
        for columns in blocks(parts, **options):
            for chunk in _chunks(columns):
                file.write(chunk)


def _chunks(columns: dict[str, np.ndarray]) -> Iterator[bytes]:
    tot, coarse, chip = columns["ToT"], columns["ToA"], columns["Overflow"]
    if (tot > LARGEST_TOT).any() or (coarse >= 1 << 48).any():
        raise InputError(
            f".tpx3 holds ToT up to {LARGEST_TOT} and 48 bits of time; received {tot.max()} and {coarse.max()}"
        )
    row, col = (columns["Matrix Index"] >> 8) & 255, columns["Matrix Index"] & 255
    address = ((col >> 1) << 9) | ((row >> 2) << 3) | ((col & 1) << 2) | (row & 3)
    word = (
        (np.uint64(0xB) << np.uint64(60))
        | (address.astype(np.uint64) << np.uint64(44))
        | ((coarse & 0x3FFF).astype(np.uint64) << np.uint64(30))
        | (tot.astype(np.uint64) << np.uint64(20))
        | (columns["FToA"].astype(np.uint64) << np.uint64(16))
        | ((coarse >> 14) & 0xFFFF).astype(np.uint64)
    )
    found = []
    for own in np.unique(chip):
        members = np.flatnonzero(chip == own)
        start = 0
        while start < len(members):
            first = int(coarse[members[start]])
            # The reader takes the time nearest to the heartbeat.
            within = int(np.searchsorted(coarse[members], first + COARSE // 4))
            stop = min(start + PIXELS, within)
            heartbeat = [(0x44 << 56) | ((first & 0xFFFFFFFF) << 16), (0x45 << 56) | ((first >> 32) << 16)]
            body = np.concatenate([np.array(heartbeat, np.uint64), word[members[start:stop]]])
            header = np.array([MAGIC | (int(own) << 32) | (8 * len(body) << 48)], np.uint64)
            found.append((first, np.concatenate([header, body]).astype("<u8").tobytes()))
            start = stop
    for _, content in sorted(found, key=lambda pair: pair[0]):
        yield content
