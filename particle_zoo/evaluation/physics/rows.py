"""One line of the validation table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Row:
    """A measured value beside a published one.

    Args:
        group: what belongs together.
        name: what is measured.
        measured: by the simulation.
        published: value or interval, with its unit.
        tolerance: in words.
        low: smallest accepted value; NaN where no tolerance is agreed and the row only informs.
        high: largest accepted value.
    """

    group: str
    name: str
    measured: float
    published: str
    tolerance: str
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """ok, OUTSIDE or - (no tolerance agreed)."""
        if np.isnan(self.low):
            return "-"
        return "ok" if self.low <= self.measured <= self.high else "OUTSIDE"


@dataclass
class Findings:
    """Rows of one group, and what its figure shows."""

    rows: list[Row] = field(default_factory=list)
    curves: dict[str, Any] = field(default_factory=dict)


Check = Callable[[int], Findings]


def within(group: str, name: str, measured: float, published: float, share: float, unit: str = "") -> Row:
    """A row that may differ from one value by a share of it."""
    text = f"{published:g} {unit}".strip()
    return Row(group, name, measured, text, f"{100 * share:g} %", published * (1 - share), published * (1 + share))


def between(
    group: str,
    name: str,
    measured: float,
    low: float,
    high: float,
    *,
    plus: float = 0,
    share: float = 0,
    unit: str = "",
) -> Row:
    """A row that may lie in an interval, widened by `plus` or by a share of its ends."""
    tolerance = f"{plus:g} {unit}".strip() if plus else f"{100 * share:g} %" if share else "inside"
    text = f"{low:g}" if low == high else f"{low:g}-{high:g}"
    return Row(
        group, name, measured, f"{text} {unit}".strip(), tolerance, low * (1 - share) - plus, high * (1 + share) + plus
    )


def informs(group: str, name: str, measured: float, published: str) -> Row:
    """A row without an agreed tolerance."""
    return Row(group, name, measured, published, "none agreed", np.nan, np.nan)
