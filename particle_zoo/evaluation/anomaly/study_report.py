"""A comparison of searches for light on the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from particle_zoo.cli import table
from particle_zoo.detectors.camera.source import size
from particle_zoo.evaluation.anomaly.leak import LIMIT
from particle_zoo.evaluation.anomaly.methods import BASELINE, PLAIN
from particle_zoo.evaluation.anomaly.of_run import DRIFTS, SPECIES
from particle_zoo.evaluation.anomaly.study_gates import PUBLISHED
from particle_zoo.evaluation.anomaly.study_passes import AREA, OWN, RATE
from particle_zoo.evaluation.anomaly.study_settings import Cell, Settings
from particle_zoo.plots import retention

Numbers = dict[str, Any]

LEGEND = (
    "light kept: of all events; minus G: the difference and its interval; an event: mean share of each one's light; false: regions "
    "a dark frame; purity: lit pixels in regions; redpix: share of the emulated reconstruction's counts that is kept; no common "
    "mode: level, rows and columns taken out before; leak: share of a spot's light that the network draws, and so erases, above "
    f"{LIMIT:.0%} it copies light. Thresholds of equal area are taken from the frames that are judged and held fixed when these are "
    "resampled; those of equal false regions are from other frames"
)

SHOWN = 5e-5
"""Differences up to this are printed as 0."""

PASSED = {True: "passed", False: "FAILED", None: ""}

COUNTED = "events count that leave light behind the shutter, whole ones where it takes none"


def show(result: Numbers, settings: Settings, cell: Cell, folder: Path) -> None:
    """Print the tables, gates and sentences of `study_results.collect`, and draw light against area."""
    called = {name: _called(name, one) for name, one in result["methods"].items()}
    methods = {called[name]: one for name, one in result["methods"].items()}
    rate, area = settings.rate, settings.area(cell.noise)
    click.echo(f"{_about(result, settings, cell)}\n{LEGEND}")
    _at_rate(
        methods, f"{cell.name}: at {rate:g} false region a frame, asked of {settings.calibration} calibration frames; %"
    )
    _at_area(methods, f"{cell.name}: where each method discards {area:.1%} of the area; %")
    for kind in ("nr", "er", "nr, er"):
        point, where = (AREA, f"{area:.1%} discarded") if kind == "nr, er" else (RATE, f"{rate:g} false region a frame")
        _by_energy(methods, point, kind, f"{cell.name}: whole events found, {kind}, {where}; %, half the 95 % interval")
    for kind in SPECIES:
        _by_drift(methods, kind, f"{cell.name}: whole events found by drift, {kind}, {area:.1%} discarded; %")
    _pixels(methods, f"{cell.name}: pixels told apart (lit: above half the noise), and energy of 50 % efficiency, keV")
    masks = {called.get(name, name): one for name, one in result["redpix"].items()}
    _redpix(masks, f"{cell.name}: masks against truth, by energy of nr and er: light kept / purity, %")
    _gates([{**gate, "method": called[gate["method"]]} for gate in result["gates"]], cell)
    for line in sentences(result):
        click.echo(line)
    click.echo(PUBLISHED)
    path = folder / "plots" / "retention.png"
    curves = {name: one["curve"] for name, one in methods.items()}
    retention.against_area(path, curves, discarded=area, title=f"{cell.name}: light kept against area kept")
    click.echo(f"figure: {path}")


def _called(name: str, one: Numbers) -> str:
    return f"{name}, copies light" if one.get("leak_passed") is False else name


def _about(result: Numbers, settings: Settings, cell: Cell) -> str:
    benchmark, events = settings.benchmark(cell.noise, cell.level), result["events"]
    shape = benchmark.camera_noise().shape
    where = "all" if settings.shape is None else f"{size(shape)} around the middle"
    return (
        f"\n{benchmark.name}, {where} of the sensor; {settings.train} dark frames to train on, {settings.calibration} for "
        f"thresholds, {settings.test} to count false regions in; {settings.signal} frames with {settings.events_per_frame} "
        f"events each, {100 * result['occupancy']['value']:.2f} % of their pixels lit. {COUNTED[0].upper() + COUNTED[1:]}: "
        f"{events['visible']} and {events['whole']} of {events['all']}. Intervals: 95 %, from resampling frames."
    )


def _at_rate(methods: Numbers, title: str) -> None:
    rows: list[tuple[str, ...]] = []
    for name, one in methods.items():
        rows.append(_rate_row(name, one.get(RATE), one["minus_g"].get(RATE)))
        if OWN in one:
            rows.append(_rate_row(f"G, {one['thresholds'][OWN]:g} counts", one[OWN], None))
    columns = (
        "method", "light kept", "minus G", "an event", "discarded", "boxes", "false", "purity", "redpix",
    )  # fmt: skip
    table(title, columns, rows)


def _rate_row(name: str, found: Numbers | None, minus: Numbers | None) -> tuple[str, ...]:
    if found is None:
        return (name, "no such threshold", *[""] * 7)
    return (
        name,
        _half(found["retention"]),
        _percent(minus["retention"]) if minus else "",
        _half(found["retention_events"]),
        _half(found["area_discarded"], digits=2),
        _round(found["area_discarded_boxes"], digits=2),
        _half(found["false_regions"], scale=1, digits=2),
        _round(found["purity"]),
        _half(found["retention_redpix"]),
    )


def _at_area(methods: Numbers, title: str) -> None:
    rows = []
    for name, one in methods.items():
        found, minus = one[AREA], one["minus_g"].get(AREA, {})
        rows.append((
            name,
            _half(found["retention"]),
            _percent(minus.get("retention")),
            _half(found["efficiency_whole"]),
            _half(minus.get("efficiency"), sign="+"),
            _half(found["faint"]),
            _half(minus.get("faint"), sign="+"),
            _round(found["retention_redpix"], digits=1),
            _round(found["false_regions"], scale=1, digits=2),
            _leak(one),
        ))  # fmt: skip
    columns = (
        "method", "light kept", "minus G", "whole found", "minus G", "< 1 keV", "minus G", "redpix", "false", "leak",
    )  # fmt: skip
    table(title, columns, rows)


def _leak(one: Numbers) -> str:
    if "leak" not in one:
        return ""
    return "unknown" if one["leak"] is None else f"{100 * one['leak']:.0f}"


def _by_energy(methods: Numbers, point: str, kind: str, title: str) -> None:
    first: list[Numbers] = next((one["by_energy"][point] for one in methods.values() if point in one["by_energy"]), [])
    groups = [row["energy_kev"] for row in first if row["class"] == kind and row["energy_kev"] is not None]
    counts = {row["energy_kev"]: row["events"] for row in first if row["class"] == kind}
    mips = next((row["events"] for row in first if row["class"] == "mip"), 0)
    if not groups:
        return
    rows = []
    for name, one in methods.items():
        own = {(row["class"], row["energy_kev"]): row for row in one["by_energy"].get(point, [])}
        cells = [_efficiency(own.get((kind, energy))) for energy in groups]
        rows.append((name, *cells, _efficiency(own.get(("mip", None)))))
    columns = ("method", *(f"{energy:g} keV\n({counts[energy]})" for energy in groups), f"mip\n({mips})")
    table(title, columns, rows)


def _by_drift(methods: Numbers, kind: str, title: str) -> None:
    groups = [(faint, drift) for faint in (True, False) for drift in DRIFTS]
    counts: dict[tuple[bool, str], int] = {}
    rows = []
    for name, one in methods.items():
        own = {(row["faint"], row["drift"]): row for row in one["by_drift"][AREA] if row["class"] == kind}
        counts = {group: row["events"] for group, row in own.items()}
        rows.append((name, *(_efficiency(own.get(group)) for group in groups)))
    heads = (f"{'<' if faint else '>='} 1 keV\n{drift}\n({counts.get((faint, drift), 0)})" for faint, drift in groups)
    table(title, ("method", *heads), rows)


def _pixels(methods: Numbers, title: str) -> None:
    measures = ("AUROC", "AUPR", "AUPRO 0.3", "AUPRO 0.01")
    rows = [
        (
            name,
            *(_half(one["pixels"].get(measure), scale=1, digits=3) for measure in measures),
            *(_energy(one["e50"].get(kind)) for kind in ("nr", "er")),
        )
        for name, one in methods.items()
    ]
    table(title, ("method", *measures, "E50 nr", "E50 er"), rows)


def _redpix(masks: Numbers, title: str) -> None:
    first = next(iter(masks.values()))["by_energy"]
    rows = []
    for name, one in masks.items():
        own = {row["energy"]: row for row in one["by_energy"]}
        cells = [f"{_round(own[row['energy']]['retention'])} / {_round(own[row['energy']]['purity'])}" for row in first]
        rows.append((name, *cells, f"{_round(one['all']['retention'])} / {_round(one['all']['purity'])}"))
    columns = ("mask", *(f"{row['energy']}\n({row['events']})" for row in first), "all, with\nnoise")
    table(title, columns, rows)


def _gates(gates: Sequence[Numbers], cell: Cell) -> None:
    if not gates:
        click.echo(f"there are no gates for {cell.name}")
        return
    names = list(dict.fromkeys(gate["gate"] for gate in gates))
    for number, name in enumerate(names, 1):
        click.echo(f"gate {number}: {name}")
    found = {(gate["method"], gate["gate"]): gate for gate in gates}
    rows = []
    for method in dict.fromkeys(gate["method"] for gate in gates):
        cells: list[str] = []
        for name in names:
            gate = found.get((method, name))
            cells += ["", ""] if gate is None else [gate["found"], PASSED[gate["passed"]]]
        rows.append((method, *cells))
    columns = ("method", *(text for number in range(1, len(names) + 1) for text in (f"gate {number}, %", "")))
    table(f"{cell.name}: gates", columns, rows)


def sentences(result: Numbers) -> list[str]:
    """Who beats the online trigger, where, and who does not; and what networks add to the same search without one."""
    lines = []
    for name, one in result["methods"].items():
        if name not in (BASELINE, PLAIN):
            lines.append(f"{_called(name, one)} against G: {_where(one['minus_g'])}")
    for name, one in result["methods"].items():
        if one["twin"] not in ("", BASELINE):
            lines.append(
                f"{_called(name, one)} against {one['twin']}, the same search without a network: {_where(one['minus_twin'])}"
            )
    return lines


def _where(minus: Numbers) -> str:
    said = [
        f"{_verdict(minus[point]['retention'])} of light and {_verdict(minus[point]['faint'])} of whole events below 1 keV {where}"
        for point, where in ((AREA, "at equal area"), (RATE, "at equal false regions"))
        if point in minus
    ]
    return "; ".join(said)


def _verdict(found: Numbers) -> str:
    if found["value"] is None:
        return "nothing to compare"
    word = "wins" if found["low"] > SHOWN else "loses" if found["high"] < -SHOWN else "level,"
    return f"{word} {100 * found['value']:+.2f} [{100 * found['low']:+.2f}, {100 * found['high']:+.2f}] points"


def _known(found: Numbers | None) -> bool:
    return found is not None and found["value"] is not None and not math.isnan(found["value"])


def _percent(found: Numbers | None) -> str:
    """A difference with its interval."""
    if found is None or not _known(found):
        return ""
    value, low, high = (f"{100 * found[key]:+.1f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _half(found: Numbers | None, *, scale: int = 100, digits: int = 1, sign: str = "") -> str:
    """A value and half of its interval."""
    if found is None or not _known(found):
        return ""
    return f"{scale * found['value']:{sign}.{digits}f} ± {scale / 2 * (found['high'] - found['low']):.{digits}f}"


def _round(found: Numbers, *, scale: int = 100, digits: int = 0) -> str:
    return f"{scale * found['value']:.{digits}f}" if _known(found) else "-"


def _energy(found: Numbers | None) -> str:
    if found is None or not _known(found):
        return ""
    value, low, high = (found[key] for key in ("value", "low", "high"))
    return f"{value:.2f} [{low:.2f}, {high:.2f}]" if value > 0 else "below the lowest"


def _efficiency(row: Numbers | None) -> str:
    return "" if row is None else f"{100 * row['efficiency']:.0f} ± {50 * (row['high'] - row['low']):.0f}"
