"""Files as a broken disk, transfer or acquisition leaves them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from particle_zoo import Clusters, Frames, Hits, InputError

damages = {
    "cut": st.integers(0, 10**6),
    "flips": st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 7)), max_size=5),
}
fuzzed = settings(max_examples=70, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def broken(content: bytes, cut: int, flips: list[tuple[int, int]]) -> bytes:
    """Some bits flipped, and the end cut off in half of the cases."""
    damaged = bytearray(content)
    for position, bit in flips:
        damaged[position % len(damaged)] ^= 1 << bit
    return bytes(damaged[: len(damaged) - (cut // 2) % len(damaged)] if cut % 2 else damaged)


def read_or_one_sentence(read: Callable[..., Any], path: Path, **options: Any) -> str:
    """The error sentence of a damaged file, "" where it could be read."""
    message = ""
    try:
        assert isinstance(read(path, **options), (Hits, Frames, Clusters))
    except InputError as error:
        message = str(error)
    assert not message or path.name in message
    assert "\n" not in message
    return message
