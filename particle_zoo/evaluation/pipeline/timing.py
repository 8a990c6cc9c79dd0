"""Times of several ways to do the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def fastest(ways: Mapping[str, Callable[[], Iterable[Any]]], repeats: int) -> dict[str, float]:
    """Seconds of the fastest pass of each way, after one that does not count.

    They take turns, so that a busy moment of the machine meets all of them.

    Args:
        ways: what gives all batches of an epoch.
        repeats: passes that count.
    """
    seconds: dict[str, float] = dict.fromkeys(ways, float("inf"))
    for number in range(repeats + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            for _ in way():
                pass
            if number:
                seconds[name] = min(seconds[name], time.perf_counter() - started)
    return seconds
