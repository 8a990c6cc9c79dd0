"""A study on the terminal, in JSON and as figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from particle_zoo.cli import table, write_json
from particle_zoo.evaluation.proton_electron.scores import SIZE_BINS
from particle_zoo.plots import proton_electron as plots

BIGGEST = SIZE_BINS[-1]
EPOCHS_SHOWN = (1, 2, 3, 5, 10, 20, 50, 100)


def show(result: dict[str, Any], folder: Path) -> None:
    """Print the tables and sentences of `results.collect`, write results.json and draw `plots/`."""
    write_json(folder / "results.json", result)
    data, spectrum = result["data"], result["settings"]["spectrum"]
    title = (
        f"{' / '.join(data['classes'])}, spectrum {spectrum}: {data['train']:,} training and {data['test']:,} test clusters of "
        f"{data['test_primaries']:,} primaries; percent with 95 % intervals"
    )
    _scores(title, result, "method", "forest")
    _by_size(result)
    _by_energy(result)
    _epochs(result)
    _fractions(result)
    for sentence in (*result["sentences"].values(), *result["large"]):
        click.echo(sentence)
    _figures(result, folder / "plots")


def show_ablations(result: dict[str, Any], folder: Path) -> None:
    """Print `results.collect_ablations` and write ablations.json."""
    write_json(folder / "ablations.json", result)
    title = "the classifier after each pretraining of the same length; percent with 95 % intervals"
    _scores(title, result, "pretraining", next(iter(result["methods"])))
    _epochs(result)
    for sentence in result["sentences"].values():
        click.echo(sentence)


def _scores(title: str, result: dict[str, Any], first: str, other: str) -> None:
    rows = [
        (
            name,
            _interval(numbers["balanced accuracy"]),
            _interval(numbers["ROC AUC"]),
            _interval(numbers.get(f"balanced accuracy, {BIGGEST}")),
            _interval(result["differences"].get(name), sign="+"),
            _spread(numbers["balanced accuracy"]),
        )
        for name, numbers in result["methods"].items()
    ]
    table(title, (first, "balanced accuracy", "ROC AUC", f"{BIGGEST}, balanced", f"minus {other}", "over seeds"), rows)


def _by_size(result: dict[str, Any]) -> None:
    counts = result["data"]["of_size"]
    rows = [
        (name, *(_interval(numbers.get(f"accuracy, {size}")) for size in SIZE_BINS))
        for name, numbers in result["methods"].items()
    ]
    columns = ("method", *(f"{size} ({counts[size]:,})" for size in SIZE_BINS))
    table("accuracy by cluster size (test clusters)", columns, rows)


def _by_energy(result: dict[str, Any]) -> None:
    for particle, counts in result["data"]["of_energy"].items():
        rows = []
        for energy, n in counts.items():
            numbers = (found[f"recall, {particle}, {energy}"] for found in result["methods"].values())
            rows.append((energy, f"{n:,}", *map(_half_width, numbers)))
        # A word a line: seven methods beside each other.
        columns = ("primary", "clusters", *(name.replace(" ", "\n") for name in result["methods"]))
        table(f"{particle}s recognised, by their kinetic energy; percent, half the 95 % interval", columns, rows)


def _epochs(result: dict[str, Any]) -> None:
    if not result["epochs"]:
        return
    curves = {name: plots.mean_curve(seeds) for name, seeds in result["epochs"].items()}
    longest = max(map(len, curves.values()))
    shown = [n for n in EPOCHS_SHOWN if n <= longest]
    rows = [
        (name, *(_percent(curve[n - 1]) if n <= len(curve) else "" for n in shown), _percent(curve[-1]))
        for name, curve in curves.items()
    ]
    columns = ("network", *map(str, shown), "last")
    table("validation clusters: balanced accuracy after so many epochs, mean over seeds", columns, rows)


def _fractions(result: dict[str, Any]) -> None:
    if not result["fractions"]:
        return
    shares = sorted({share for parts in result["fractions"].values() for share in parts}, key=float)
    rows = [
        (name, *(_interval(parts[share]["balanced accuracy"]) for share in shares))
        for name, parts in result["fractions"].items()
    ]
    columns = ("method", *(f"{100 * float(share):g} %" for share in shares))
    table("balanced accuracy by share of the training labels", columns, rows)


def _figures(result: dict[str, Any], folder: Path) -> None:
    plots.accuracy_epochs(result, folder / "accuracy_epochs.png")
    plots.label_fraction(result, folder / "label_fraction.png")
    plots.accuracy_size(result, folder / "accuracy_size.png")
    plots.accuracy_energy(result, folder / "accuracy_energy.png")


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _interval(number: dict[str, Any] | None, sign: str = "") -> str:
    if number is None:
        return ""
    value, low, high = (f"{100 * number[key]:{sign}.2f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _half_width(number: dict[str, Any]) -> str:
    return f"{100 * number['value']:.1f} ± {50 * (number['high'] - number['low']):.1f}"


def _spread(number: dict[str, Any]) -> str:
    return f"± {100 * number['spread']:.2f}" if "spread" in number else ""
