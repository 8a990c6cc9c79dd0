"""Tables of `particle_zoo.evaluate` of a detector of regions in camera frames."""

from __future__ import annotations

from typing import Any

import click
import numpy as np

from particle_zoo.cli import table
from particle_zoo.evaluation.anomaly.leak import ENERGY_KEV, LIMIT

Numbers = dict[str, Any]


def show_light(result: Numbers) -> None:
    """Print what `of_run.numbers` found; the first method is the one that is judged."""
    first = next(iter(result["at_threshold"]))
    rows: list[tuple[Any, ...]] = [
        (
            name,
            _percent(own["retention"]),
            _percent(own["area_discarded"]),
            _percent(own["area_discarded_boxes"]),
            _percent(own["efficiency"]),
            _percent(own["purity"]),
            _number(own["regions_per_frame"]),
        )
        for name, own in result["at_threshold"].items()
    ]
    occupancy = result["at_threshold"][first]["occupancy"]["value"]
    table(
        f"{result['frames']} frames of {result['dataset']}, {occupancy:.2%} of their pixels lit; thresholds for {result['rate']:g} "
        f"false regions a frame; percent with 95 % intervals",
        ("method", "light kept", "area discarded", "by boxes", "events found", "purity", "regions a frame"),
        rows,
    )
    lowest = _lowest(result["by_energy"])
    rows, half, more = [], [], []
    for name, own in result["equal_area"]["methods"].items():
        other, pixels = name != first, result["pixels"][name]
        light = [_percent(own["retention"]), _percent(own["more_retention"], sign="+") if other else ""]
        events = [_percent(own["efficiency"]), _percent(own["more_efficiency"], sign="+") if other else ""]
        rows.append((name, *light, *events))
        half.append((name, *(_energy(own["e50"].get(kind), lowest.get(kind)) for kind in ("nr", "er"))))
        more.append((name, *(_fine(pixels.get(key)) for key in ("AUROC", "AUPRO 0.3", "AUPRO 0.01"))))
    table(
        f"where each method discards {result['equal_area']['discarded']:.2%} of the area; minus {first} on the same frames",
        ("method", "light kept", "minus", "events found", "minus"),
        rows,
    )
    table("energy at which half of the events are found, same area; keV", ("method", "nr", "er"), half)
    table(
        "scores of pixels, whatever the threshold; faint tails of light left out",
        ("method", "AUROC", "AUPRO, FPR < 0.3", "AUPRO, FPR < 0.01"),
        more,
    )
    for title, key in (("energy", "by_energy"), ("class", "by_class"), ("drift", "by_drift")):
        _efficiencies(result[key], f"events found by {title}, same area; percent")


def _efficiencies(methods: Numbers, title: str) -> None:
    """One row a group, one column a method."""
    groups: dict[tuple[str, ...], dict[str, str]] = {}
    counts_of: dict[tuple[str, ...], int] = {}
    for method, rows in methods.items():
        for row in rows:
            key = tuple(
                f"{row[part]:g} keV" if part == "energy_kev" else str(row[part])
                for part in ("class", "energy_kev", "drift")
                if part in row
            )
            counts_of[key] = row["events"]
            value = {"value": row["efficiency"], "low": row["low"], "high": row["high"]}
            groups.setdefault(key, {})[method] = _percent(value)
    if groups:
        cells = [
            (" ".join(key), counts_of[key], *(own.get(method, "") for method in methods)) for key, own in groups.items()
        ]
        table(title, ("", "events", *methods), cells)


def show_unknown(result: Numbers) -> None:
    """Print regions and area of frames without truth."""
    rows = [
        (name, own["frames"], _number(own["regions"]), _percent(_complement(own["area_kept"])))
        for name, own in result["signal"].items()
    ]
    table(
        f"frames of {result['dataset']}, whose light nobody knows; thresholds for {result['rate']:g} false regions a frame",
        ("method", "frames", "regions a frame", "area discarded, %"),
        rows,
    )


def show_dark(result: Numbers) -> None:
    """Print false regions, and what the reconstructions draw of light."""
    found = result["false_regions"]
    n = found["frames"]
    rows = [(own["method"], f"{own['asked']:g}", f"{own['threshold']:.4g}", _count(own, n)) for own in found["rates"]]
    table(
        f"false regions a frame, {found['frames']} dark frames that nothing was fitted to",
        ("method", "asked for", "threshold", "found"),
        rows,
    )
    if found["equal_area"]:
        cells = [(name, _count(own, n)) for name, own in found["equal_area"].items()]
        table("false regions a dark frame at the thresholds of the tables above", ("method", "regions"), cells)
    for name, own in result["leak"].items():
        said = "passed" if own["leak"] <= LIMIT else "FAILED: the reconstruction copies light"
        click.echo(
            f"{name}: {round(100 * own['leak'], 1) + 0:g} % of a spot of {ENERGY_KEV} keV leaks into the reconstruction, {LIMIT:.0%} are "
            f"allowed; {said}"
        )


def _complement(own: Numbers) -> Numbers:
    return {"value": 1 - own["value"], "low": 1 - own["high"], "high": 1 - own["low"]}


def _percent(own: Numbers, sign: str = "") -> str:
    value, low, high = (100 * own[key] for key in ("value", "low", "high"))
    return "" if np.isnan(value) else f"{value:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"


def _number(own: Numbers) -> str:
    return "" if np.isnan(own["value"]) else f"{own['value']:.3g} [{own['low']:.3g}, {own['high']:.3g}]"


def _fine(own: Numbers | None) -> str:
    """Of values that differ in their last digits, or were not measured."""
    if own is None or np.isnan(own["value"]):
        return ""
    return f"{own['value']:.4f} [{own['low']:.4f}, {own['high']:.4f}]"


def _count(own: Numbers, frames: int) -> str:
    """None among so many is no zero: below 3 in all at 95 % (Poisson)."""
    return _number(own) if own["value"] else f"0, below {3 / frames:.2g}"


def _lowest(methods: Numbers) -> dict[str, float]:
    """Lowest energy of each class, keV."""
    found: dict[str, float] = {}
    for row in (row for rows in methods.values() for row in rows):
        found[row["class"]] = min(row["energy_kev"], found.get(row["class"], np.inf))
    return found


def _energy(own: Numbers | None, lowest: float | None) -> str:
    """0 says that half are found at the lowest energy there is, infinity that half are found at none."""
    if own is None or lowest is None or np.isnan(own["value"]):
        return ""
    names = {0.0: f"<{lowest:g}", np.inf: "never"}
    value, low, high = (names.get(own[key], f"{own[key]:.3g}") for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"
