"""The table of the pipeline benchmark, and what it says of its targets."""

from __future__ import annotations

from typing import Any

import click

from particle_zoo.cli import table
from particle_zoo.evaluation.pipeline.epochs import FLAT_MB, SETTLED
from particle_zoo.evaluation.pipeline.rivals import WAYS

FIRST_PASS = 15_000.0
"""Clusters a second from records of one cluster that are asked for on two cores."""

IN_MEMORY = {"ccd": 100_000.0, "effnet": 20_000.0}
"""Clusters a second that are asked for of clusters in memory, or of inputs that were kept."""

RATIO = 5.0
"""How many times as fast as a generator of single examples clusters in memory are to be."""

TITLES = ("first pass", "packed", "in memory", "cached", "generator", "DataLoader", "2 workers")
"""Of the columns, in the order of `WAYS`."""


def show(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Print the table and one line a target; returns `verdicts`."""
    rows = result["rows"]
    lines = [
        (
            f"{row['input']}, {'frames' if row['key'] == 'frames' else 'clusters'}/s",
            *("-" if row["speeds"][way] is None else _number(row["speeds"][way]) for way in WAYS),
        )
        for row in rows
    ]
    batch = f"batches of {result['batch_size']} clusters, " if any(row["key"] != "frames" for row in rows) else ""
    table(f"from what is stored to model inputs; {batch}{result['cores']} cores", ("input", *TITLES), lines)
    for row in rows:
        click.echo(_about(row))
    if not result["torch"]:
        click.echo("torch is not installed, so there is no DataLoader to compare with")
    found = verdicts(rows)
    for verdict in found:
        said = {True: "reached", False: "NOT reached", None: "not known"}[verdict["reached"]]
        click.echo(f"{verdict['target']}: {said}, {verdict['found']}")
    if result["load"] > result["cores"] / 2:
        click.echo(
            f"the machine was busy when this began (load {result['load']:.1f} on {result['cores']} cores), so numbers are too low"
        )
    return found


def verdicts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the rows say of the targets: `target`, `reached` (None where nothing could be measured) and what was `found`."""
    found = []
    for row in rows:
        name, speeds = row["input"], row["speeds"]
        if row["key"] == "frames":
            # Nothing was asked for.
            continue
        found.append(_at_least(f"{name}: first pass from records of one cluster", speeds["first_pass"], FIRST_PASS))
        best = max(speeds[way] for way in ("in_memory", "cached"))
        found.append(_at_least(f"{name}: in memory or cached", best, IN_MEMORY[row["key"]]))
        found.append(
            {
                "target": f"{name}: in memory at least {RATIO:g} times as fast as the generator",
                "reached": row["ratio"] >= RATIO,
                "found": f"{row['ratio']:.1f} times",
            }
        )
        found.append(
            {
                "target": f"{name}: an epoch repeats under its seed, and the next is another",
                "reached": row["same_order"],
                "found": "from records of one cluster",
            }
        )
        found.append(_flat(name, row["memory"]))
    return found


def _flat(name: str, memory: dict[str, Any]) -> dict[str, Any]:
    resident, first = memory["resident_mb"], min(SETTLED, len(memory["resident_mb"]))
    said = "the system does not say"
    if memory["flat"] is not None:
        numbers = ", ".join(f"{mb:.0f}" for mb in resident[first - 1 :])
        said = f"{numbers} MB after epochs {first} to {len(resident)}"
    target = f"{name}: memory grows by at most {FLAT_MB:g} MB from epoch {first} to {len(resident)}"
    return {"target": target, "reached": memory["flat"], "found": said}


def _at_least(what: str, value: float, wanted: float) -> dict[str, Any]:
    return {
        "target": f"{what} at least {wanted:,.0f} a second",
        "reached": value >= wanted,
        "found": f"{_number(value)}, {value / wanted:.2f} times that",
    }


def _about(row: dict[str, Any]) -> str:
    if row["key"] == "frames":
        rows, cols = row["shape"]
        return (
            f"{row['input']}: {row['frames']} of {rows} x {cols} px, read, pedestal and common mode subtracted, cut to {row['crops']} "
            f"crops of {row['crop'][0]} x {row['crop'][1]} px in sigmas; in memory {row['ratio']:.1f} times as fast as the generator"
        )
    mb = row["mb"]
    return (
        f"{row['input']}: {row['clusters']:,} clusters of {row['mean_pixels']:.0f} px; {mb['first_pass']:.1f} MB in records of one "
        f"cluster, {mb['packed']:.1f} MB packed, which are read {row['speeds']['packed'] / row['speeds']['first_pass']:.1f} times as fast"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
