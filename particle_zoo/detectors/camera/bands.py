"""Work on parts of a frame at the same time."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

MOST = 16
"""Threads; beyond that memory is the limit."""

LEAST = 2**17
"""Fewest pixels of a band: fewer are done before a thread has started."""


def in_bands(work: Callable[[int, int], None], n: int, pixels: int) -> None:
    """Call `work(first, last)` for bands that make up the lines 0..n, each in a thread of its own.

    Args:
        work: does the lines first..last - 1 and no others, in code that lets go of the interpreter's lock.
        n: number of lines.
        pixels: of a line.
    """
    count = max(1, min(cores(), MOST, n, n * pixels // LEAST))
    edges = np.linspace(0, n, count + 1).astype(int).tolist()
    if count == 1:
        work(0, n)
        return
    # A pool that outlives the call would not survive a fork.
    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(work, first, last) for first, last in pairwise(edges)]:
            done.result()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
