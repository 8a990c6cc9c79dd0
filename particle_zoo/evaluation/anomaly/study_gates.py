"""What a search for light has to reach to be called better than the one the experiment has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from particle_zoo.evaluation.anomaly.bootstrap import Interval, difference
from particle_zoo.evaluation.anomaly.light import statistic
from particle_zoo.evaluation.anomaly.methods import BASELINE
from particle_zoo.evaluation.anomaly.study_passes import AREA, GATE
from particle_zoo.evaluation.anomaly.study_settings import WHITE_DISCARDED, Cell

if TYPE_CHECKING:
    from particle_zoo.evaluation.anomaly.study_results import Found

KEPT, EFFICIENCY, BEHIND = 0.93, 0.95, 0.01
"""Of realistic noise: light kept, events of `BRIGHT` found, and points of light behind the online trigger."""

BRIGHT = 1.0
"""Events that have to be found, keV."""

WHITE_KEPT, WHITE_KEV = 0.99, 0.5
"""Of white noise: light kept of events from so much energy on, where `WHITE_DISCARDED` of the area is discarded."""

PUBLISHED = (
    "published of real frames against the experiment's own reconstruction, arXiv:2512.24290: 93.0 % of the light kept, "
    "97.8 % of the area discarded, 25 ms a frame; not comparable with numbers against truth"
)

Numbers = dict[str, Any]


def judge(found: Mapping[str, Found], base: Found, cell: Cell) -> list[Numbers]:
    """Gates of every method.

    Args:
        found: methods by name.
        base: the online trigger.
        cell: noise and level; there are gates for realistic and white noise.

    Returns:
        One entry a method and gate: `method`, `gate`, `found` (text with the numbers), `passed` (None without such events).
    """
    rules = {"realistic": _realistic, "white": _white}.get(cell.noise)
    return [] if rules is None else [gate for name, one in found.items() for gate in rules(name, one, base)]


def _realistic(name: str, one: Found, base: Found) -> list[Numbers]:
    light = (
        f"at least {KEPT:.1%} of the light kept / at least {one.settings.discarded:.1%} discarded / at most "
        f"{one.settings.rate:g} false regions a dark frame"
    )
    bright = f"at least {EFFICIENCY:.0%} found of whole events from {BRIGHT:g} keV on, there"
    behind = f"at most {100 * BEHIND:g} point of light of events from {BRIGHT:g} keV on behind G, same area"
    gates = []
    if GATE not in one.sums:
        gates += [_gate(name, gate, "no threshold", False) for gate in (light, bright)]
    else:
        kept, discarded = (one.interval(statistic(one.sums[GATE], key)) for key in ("retention", "area_discarded"))
        false = float(np.mean(one.false[GATE]))
        passed = kept.value >= KEPT and discarded.value >= one.settings.discarded and false <= one.settings.rate
        text = f"{100 * kept.value:.2f} / {100 * discarded.value:.2f} / {false:.2f}"
        gates.append(_gate(name, light, text, passed, kept))
        share = one.interval(one.statistic(GATE, "whole", least=BRIGHT))
        gates.append(_gate(name, bright, _percent(share), share.value >= EFFICIENCY, share))
    if name != BASELINE:
        ahead = one.interval(difference(*(each.statistic(AREA, "light", least=BRIGHT) for each in (one, base))))
        gates.append(_gate(name, behind, _percent(ahead, sign="+"), ahead.value >= -BEHIND, ahead))
    return gates


def _white(name: str, one: Found, base: Found) -> list[Numbers]:
    kept = one.interval(one.statistic(AREA, "light", least=WHITE_KEV))
    discarded = one.interval(statistic(one.sums[AREA], "area_discarded"))
    gate = f"at least {WHITE_KEPT:.0%} of the light of events from {WHITE_KEV:g} keV on kept / at least {WHITE_DISCARDED:.0%} discarded"
    passed = kept.value >= WHITE_KEPT and discarded.value >= WHITE_DISCARDED
    return [_gate(name, gate, f"{_percent(kept)} / {100 * discarded.value:.2f}", passed, kept)]


def _gate(method: str, gate: str, found: str, passed: bool, of: Interval | None = None) -> Numbers:
    if of is not None and math.isnan(of.value):
        return {"method": method, "gate": gate, "found": "no such events", "passed": None}
    return {"method": method, "gate": gate, "found": found, "passed": bool(passed)}


def _percent(value: Interval, sign: str = "") -> str:
    low, high = 100 * value.low, 100 * value.high
    return f"{100 * value.value:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"
