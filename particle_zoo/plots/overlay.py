"""Simulated and real distributions on top of each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.plots import figure

BINS = 40
"""At most; small samples get about 2 n^(2/5)."""

INSIDE = (0.005, 0.99)
"""Quantiles of both samples between which the bins lie; what is outside goes to the first and last bin."""


def histograms(
    simulated: pd.DataFrame, real: pd.DataFrame, distances: pd.DataFrame, path: Path, *, title: str, unit: str = "keV"
) -> None:
    """Draw one panel a quantity, both normalised to 1, with statistical errors of the real ones.

    Args:
        simulated: values, one column a quantity.
        real: the same.
        distances: rows of `particle_zoo.evaluation.overlay.distances`, one panel each.
        path: PNG to write.
        title: of the figure.
        unit: energy unit.
    """
    names = distances["quantity"].tolist()
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    with figure(path, rows, columns, figsize=(4.2 * columns, 3.2 * rows)) as (canvas, axes):
        canvas.suptitle(title)
        for axis, name, ks in zip(axes.flat, names, distances["ks"], strict=False):
            ours, theirs = (table[name].dropna().to_numpy(float) for table in (simulated, real))
            edges, log = _edges(ours, theirs)
            counts = [np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] for values in (ours, theirs)]
            axis.stairs(counts[0] / len(ours), edges, fill=True, alpha=0.4, label=f"simulated ({len(ours):,})")
            share, error = counts[1] / len(theirs), np.sqrt(counts[1]) / len(theirs)
            axis.errorbar(
                (edges[1:] + edges[:-1]) / 2,
                share,
                error,
                fmt="k.",
                markersize=4,
                linewidth=0.8,
                label=f"real ({len(theirs):,})",
            )
            if log:
                axis.set_xscale("log")
                _few_labels(axis, edges)
            axis.set_xlabel(_label(name, unit))
            axis.set_title(f"KS {ks:.3f}", fontsize=9)
        axes[0, 0].legend(fontsize=8)
        for axis in axes[:, 0]:
            axis.set_ylabel("share of clusters")
        for axis in axes.flat[len(names) :]:
            axis.set_axis_off()


def _label(name: str, unit: str) -> str:
    units = {"energy": unit, "energy per pixel": unit, "roundness": "", "elongation": "", "fill": ""}
    found = units.get(name, "px")
    return f"{name} ({found})" if found else name


def _few_labels(axis: Any, edges: np.ndarray) -> None:
    """Labels at 1, 2 and 5 on short logarithmic axes, at powers of ten on long ones: the default's overlap."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.xaxis.set_minor_formatter(NullFormatter())
    if edges[-1] < 200 * edges[0]:
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:g}")


def _edges(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, bool]:
    """Bin edges around most of both samples and whether they are logarithmic; whole numbers get bins around them."""
    limits = [*np.quantile(ours, INSIDE), *np.quantile(theirs, INSIDE)]
    low, high = min(limits), max(limits)
    bins = int(np.clip(2 * min(len(ours), len(theirs)) ** 0.4, 8, BINS))
    if low > 0 and high > 20 * low and high > bins:
        return np.geomspace(low, high, bins + 1), True
    if all((values == np.round(values)).all() for values in (ours, theirs)):
        step = max(1, int(np.ceil((high - low) / bins)))
        return np.arange(np.floor(low), high + step + 1, step) - 0.5, False
    return np.linspace(low, high if high > low else low + 1, bins + 1), False
