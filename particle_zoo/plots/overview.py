"""Figures of a detector file: what was seen where, how much and how large, and what it looks like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.evaluation.overview import EXAMPLES, Overview
from particle_zoo.plots import figure

BINS = 60


def summary(overview: Overview, path: Path, *, title: str) -> None:
    """Draw the image integrated over all clusters, the energy and size spectra, and the shares of the classes.

    Args:
        overview: at least one cluster.
        path: PNG to write.
        title: of the figure.
    """
    from matplotlib.colors import LogNorm

    unit = overview.unit
    size, energy = np.concatenate(overview.sizes), np.concatenate(overview.energies)
    with figure(path, 2, 2, figsize=(11, 9)) as (canvas, axes):
        canvas.suptitle(title)
        image = overview.image
        seen = image[image > 0]
        low, high = np.quantile(seen, [0.001, 0.999]) if len(seen) else (1.0, 2.0)
        shown = axes[0, 0].imshow(
            np.where(image > 0, image, np.nan), origin="lower", interpolation="nearest",
            norm=LogNorm(max(low, 1e-9), max(high, 1.001 * low)),
        )  # fmt: skip
        axes[0, 0].set(title="all clusters", xlabel="column (px)", ylabel="row (px)")
        canvas.colorbar(shown, ax=axes[0, 0], label=f"sum ({unit})" if overview.has_energy else "clusters")
        if overview.has_energy and (energy > 0).any():
            positive = energy[energy > 0]
            edges = np.geomspace(positive.min(), max(positive.max(), 1.01 * positive.min()), BINS + 1)
            axes[0, 1].stairs(np.histogram(positive, edges)[0], edges, fill=True, alpha=0.7)
            axes[0, 1].set(xscale="log", yscale="log", xlabel=f"energy of a cluster ({unit})", ylabel="clusters a bin")
        else:
            axes[0, 1].set_axis_off()
        # Whole sizes one by one, then bins that grow.
        edges = np.unique(np.round(np.geomspace(1, max(size.max() + 1, 2), 40))) - 0.5
        axes[1, 0].stairs(np.histogram(size, edges)[0] / np.diff(edges), edges, fill=True, alpha=0.7)
        axes[1, 0].set(xscale="log", yscale="log", xlabel="size (px)", ylabel="clusters a px")
        table = overview.table()
        bars = axes[1, 1].barh(table["class"][::-1], table["clusters"][::-1])
        labels = [f"{n:,} ({s:.1%})" for n, s in zip(table["clusters"], table["share"], strict=True)]
        axes[1, 1].bar_label(bars, labels[::-1], padding=2)
        axes[1, 1].set(xlabel="clusters", title="morphological classes")
        axes[1, 1].margins(x=0.3)


def gallery(overview: Overview, path: Path, *, title: str) -> None:
    """Draw the largest and the most typical clusters, one row of each a class.

    Args:
        overview: at least one cluster.
        path: PNG to write.
        title: of the figure.
    """
    names = overview.table()["class"].tolist()
    rows, columns = len(names), 2 * EXAMPLES
    with figure(path, rows, columns, figsize=(1.35 * columns, 1.6 * rows + 0.8)) as (canvas, axes):
        canvas.suptitle(f"{title}: typical (left) and largest (right) of each class")
        for line, name in zip(axes, names, strict=True):
            for axis in line:
                axis.set_axis_off()
            for start, chosen in ((0, overview.typical(name)), (EXAMPLES, overview.largest(name))):
                for axis, hits in zip(line[start:], chosen, strict=False):
                    _draw(axis, hits, chosen, overview)
            line[0].text(
                -0.12, 0.5, name, rotation=90, va="center", ha="right", transform=line[0].transAxes, fontsize=8
            )


def _draw(axis: Any, hits: np.ndarray, clusters: Clusters, overview: Overview) -> None:
    row, col, energy = hits[:, 0], hits[:, 1], hits[:, 2]
    side = int(max(np.ptp(row), np.ptp(col))) + 3
    top = int(row.min()) - (side - int(np.ptp(row)) - 1) // 2
    left = int(col.min()) - (side - int(np.ptp(col)) - 1) // 2
    image = np.zeros((side, side))
    np.add.at(image, (row.astype(int) - top, col.astype(int) - left), energy)
    axis.imshow(np.where(image > 0, image, np.nan), origin="lower", interpolation="nearest")
    axis.set_axis_on()
    axis.set_xticks([])
    axis.set_yticks([])
    label = f"{len(hits)} px"
    if overview.has_energy:
        label += f", {energy.sum():.3g} {clusters.unit}"
    axis.set_title(label, fontsize=6)
