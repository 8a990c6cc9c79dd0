"""Figures of the comparison of protons and electrons; all take the results as `results.collect` gives them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.plots import figure


def mean_curve(seeds: Sequence[Sequence[float]]) -> np.ndarray:
    """(epochs,) mean over the seeds, as far as the training that stopped first."""
    length = min(map(len, seeds))
    return np.mean([curve[:length] for curve in seeds], axis=0)


def accuracy_epochs(result: dict[str, Any], path: Path) -> None:
    """Draw balanced accuracy on the validation clusters after every epoch: each seed thin, their mean thick."""
    with figure(path, figsize=(6, 4.2)) as (_, axes):
        axis = axes[0, 0]
        for i, (name, seeds) in enumerate(result["epochs"].items()):
            for curve in seeds:
                axis.plot(np.arange(1, len(curve) + 1), curve, color=f"C{i}", linewidth=0.6, alpha=0.6)
            mean = mean_curve(seeds)
            axis.plot(np.arange(1, len(mean) + 1), mean, color=f"C{i}", marker="o", markersize=3, label=name)
        axis.set_xlabel("epoch")
        axis.set_ylabel("balanced accuracy, validation")
        if result["epochs"]:
            axis.legend()


def label_fraction(result: dict[str, Any], path: Path) -> None:
    """Draw balanced accuracy against the share of the labels, with intervals."""
    with figure(path, figsize=(6, 4.2)) as (_, axes):
        axis = axes[0, 0]
        for i, (name, parts) in enumerate(result["fractions"].items()):
            shares = sorted(parts, key=float)
            # Beside each other, so that no interval hides another.
            _errors(axis, [float(s) * 1.03**i for s in shares], [parts[s]["balanced accuracy"] for s in shares], name)
        axis.set_xscale("log")
        axis.set_xlabel(f"share of {result['data']['train']:,} training labels")
        axis.set_ylabel("balanced accuracy, test")
        if result["fractions"]:
            axis.legend()


def accuracy_size(result: dict[str, Any], path: Path) -> None:
    """Draw accuracy by cluster size, with intervals."""
    counts = result["data"]["of_size"]
    with figure(path, figsize=(7, 5.4)) as (canvas, axes):
        axis = axes[0, 0]
        step = 0.7 / len(result["methods"])
        for i, (name, numbers) in enumerate(result["methods"].items()):
            there = [(k, f"accuracy, {size}") for k, size in enumerate(counts) if f"accuracy, {size}" in numbers]
            places = [k + step * i - 0.35 for k, _ in there]
            _errors(axis, places, [numbers[key] for _, key in there], name, linestyle="none")
        axis.set_xticks(range(len(counts)), [f"{size}\n{n:,} clusters" for size, n in counts.items()])
        axis.set_xlabel("cluster size")
        axis.set_ylabel("accuracy, test")
        axis.grid(axis="y", alpha=0.3)
        canvas.legend(loc="outside lower center", ncols=2)


def accuracy_energy(result: dict[str, Any], path: Path) -> None:
    """Draw accuracy by kinetic energy of the primary, with intervals, a panel a particle."""
    particles = result["data"]["of_energy"]
    with figure(path, 1, len(particles), figsize=(5.5 * len(particles), 5.4)) as (canvas, axes):
        for axis, (particle, counts) in zip(axes[0], particles.items(), strict=True):
            edges = [name.removesuffix(" MeV").split("-") for name in counts]
            low, high = np.array(edges, float).T
            for i, (name, numbers) in enumerate(result["methods"].items()):
                found = [numbers[f"recall, {particle}, {energy}"] for energy in counts]
                _errors(axis, np.sqrt(low * high) * 1.015**i, found, name)
            axis.set_xscale("log")
            labels = {float(edge): edge for pair in edges for edge in pair}
            axis.set_xticks(list(labels), list(labels.values()))
            axis.minorticks_off()
            axis.set_xlabel(f"kinetic energy of the {particle} (MeV)")
            axis.set_ylabel("share recognised, test")
            axis.grid(axis="y", alpha=0.3)
        canvas.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)


def _errors(axis: Any, x: Any, numbers: Sequence[dict[str, Any]], label: str, linestyle: str = "-") -> None:
    value, low, high = (np.array([number[key] for number in numbers]) for key in ("value", "low", "high"))
    # A percentile interval need not hold the value it belongs to.
    error = np.maximum([value - low, high - value], 0)
    style: dict[str, Any] = {"marker": "o", "markersize": 3, "linewidth": 1, "capsize": 2, "linestyle": linestyle}
    axis.errorbar(x, value, error, label=label, elinewidth=1, **style)
