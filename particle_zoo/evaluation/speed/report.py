"""Tables and sentences of the speed measurements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from particle_zoo.cli import table

Numbers = dict[str, Any]

COMPARED = ("cnn", "vae", "ae_3d_200")
"""Models that are to be at least as fast as eager PyTorch on a processor."""

MOST_WAITING = 0.05
"""Share of a step that may be spent waiting for data."""

OURS = {"training": ("as trained",), "inference": ("compiled call", "encode and decode")}
"""What the zoo does, of which the fastest counts."""


def print_model(task: str, model: Numbers) -> None:
    """Print the table of one model and its sentences."""
    rows, failures = [], []
    for row in model["rows"]:
        name = f"{'Keras' if row['side'] == 'keras' else 'PyTorch'} {row['variant']}"
        if "failed" in row:
            rows.append((name, row["precision"], *["failed"] * (len(columns(task)) - 2)))
            failures.append(f"{name}, {row['precision']}: failed: {row['failed']}")
        else:
            rows.append((name, row["precision"], *_cells(task, row)))
    measured = [row for row in model["rows"] if "failed" not in row]
    where = ", ".join(dict.fromkeys(f"{row['framework']} on {row['device']}" for row in measured))
    table(f"{task} of {model['model']}; {where or 'nothing could be measured'}", columns(task), rows)
    for line in (*failures, *sentences(task, model)):
        click.echo(line)


def columns(task: str) -> tuple[str, ...]:
    """Names of the columns of a table."""
    own = ("XLA", "together") if task == "training" else ()
    waits = ("waits",) if task == "training" else ()
    return ("what", "precision", *own, "first, s", "ms", "CPU ms", "steps/s", "examples/s", *waits, "peak GB")


def _cells(task: str, row: Numbers) -> tuple[str, ...]:
    ms = row["step_ms"]
    cells = [f"{row['first_step_s']:.1f}", f"{ms:.3g}", f"{row['cpu_ms']:.3g}", f"{1e3 / ms:.4g}"]
    cells.append(f"{row['examples_per_s']:,.0f}")
    if task == "training":
        jit = row.get("jit_compile")
        cells = ["" if jit is None else "on" if jit else "off", str(row.get("steps_per_execution", "")), *cells]
        cells.append("" if row["wait_share"] is None else f"{row['wait_share']:.1%}")
    return (*cells, f"{row['peak_gb']:.2f}")


def verdict(task: str, model: Numbers) -> Numbers:
    """How the zoo compares with eager PyTorch in the first precision, and how long its steps wait.

    Returns:
        `ratio`, the time of eager PyTorch over that of the zoo, above 1 where the zoo is faster, None where either is missing;
        `keras_ms`, `torch_ms`, `fastest` (the fastest row of Keras in this precision), and `wait_share`, None where unknown.
    """
    first = model["rows"][0]["precision"]
    rows = [row for row in model["rows"] if row["precision"] == first and "failed" not in row]
    ours = [row for row in rows if row["side"] == "keras" and row["variant"] in OURS[task]]
    theirs = [row for row in rows if row["side"] == "torch" and row["variant"] == "eager"]
    best = min(ours, key=_ms, default=None)
    found: Numbers = {"precision": first, "keras_ms": best and best["step_ms"], "wait_share": None}
    found["torch_ms"] = theirs[0]["step_ms"] if theirs else None
    found["ratio"] = found["torch_ms"] / best["step_ms"] if best and theirs else None
    found["fastest"] = min((row for row in rows if row["side"] == "keras"), key=_ms, default=None)
    if best and task == "training":
        found["wait_share"] = best["wait_share"]
    return found


def _ms(row: Numbers) -> float:
    return float(row["step_ms"])


def sentences(task: str, model: Numbers) -> Sequence[str]:
    """The verdict of a model in words; none about what is missing."""
    found, name, lines = verdict(task, model), model["model"], []
    if found["ratio"] is not None:
        both = f"{found['keras_ms']:.3g} ms a step in Keras, {found['torch_ms']:.3g} ms in eager PyTorch"
        enough = "at least as fast" if found["ratio"] >= 1 else "slower"
        line = f"{name}, {found['precision']}: {both}: Keras is {enough}, {found['ratio']:.2f} times the speed"
        fastest = found["fastest"]
        if found["ratio"] < 1:
            line += f"; the fastest of what was tried is {fastest['variant']!r} with {fastest['step_ms']:.3g} ms"
        lines.append(line)
    if found["wait_share"] is not None:
        verb = "below" if found["wait_share"] < MOST_WAITING else "NOT below"
        lines.append(f"{name}: steps wait for data {found['wait_share']:.1%} of the time, {verb} {MOST_WAITING:.0%}")
    return lines


def print_missing(result: Numbers) -> None:
    """Say what no table says: why PyTorch is missing."""
    if result["torch"]:
        click.echo(result["torch"])


def with_verdicts(result: Numbers) -> Numbers:
    """The result with the `verdict` of every model, and `passed` of those that are compared: on a processor no slower, and fed."""
    models = []
    for model in result["models"]:
        found = verdict(result["task"], model)
        judged: Numbers = {**model, "verdict": {k: v for k, v in found.items() if k != "fastest"}}
        if model["model"] in COMPARED and found["ratio"] is not None:
            judged["passed"] = bool(found["ratio"] >= 1 and (found["wait_share"] or 0) < MOST_WAITING)
        models.append(judged)
    return {**result, "models": models}
