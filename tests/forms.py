"""Which form tests take: most repeat what they state for fewer families and backends, unless PARTICLE_ZOO_ALL_TESTS is set."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TypeVar

T = TypeVar("T")

ALL = bool(os.environ.get("PARTICLE_ZOO_ALL_TESTS"))


def unless_all(left_out: Collection[T]) -> Collection[T]:
    """What the small form leaves out; nothing in the full one."""
    return () if ALL else left_out
