"""Run the checks, print the table, draw the figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from particle_zoo.cli import table
from particle_zoo.evaluation.physics import CHECKS
from particle_zoo.evaluation.physics.rows import Row
from particle_zoo.plots import physics as plots


def report(output: Path | None, *, seed: int, quiet: bool) -> dict[str, Any]:
    """Measure every group; a row outside its tolerance stays in the table, marked.

    Args:
        output: folder of the figures; none are drawn without it.
        seed: of everything random.
        quiet: no lines about progress.

    Returns:
        The rows of the table and how many lie outside.
    """
    rows: list[Row] = []
    for name, check in CHECKS.items():
        if not quiet:
            click.echo(f"measuring: {name}", err=True)
        found = check(seed)
        rows += found.rows
        if output is not None:
            plots.draw(name, found.curves, output / f"{name.lower()}.png")
    table(
        "silicon simulation against published physics (a fast simulation, not Geant4)",
        ("what", "measured", "published", "tolerance", "verdict"),
        [(f"{r.group}: {r.name}", f"{r.measured:.4g}", r.published, r.tolerance, r.verdict) for r in rows],
    )
    outside = [row for row in rows if row.verdict == "OUTSIDE"]
    judged = [row for row in rows if row.verdict != "-"]
    click.echo(f"{len(judged) - len(outside)} of {len(judged)} rows inside their tolerance")
    for row in outside:
        click.echo(f"outside: {row.group}: {row.name}, {row.measured:.4g} against {row.published}")
    return {
        "seed": seed,
        "outside": len(outside),
        "rows": [
            {
                "group": row.group,
                "name": row.name,
                "measured": row.measured,
                "published": row.published,
                "tolerance": row.tolerance,
                "verdict": row.verdict,
            }
            for row in rows
        ],
    }
