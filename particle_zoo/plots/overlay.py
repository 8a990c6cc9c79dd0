"""Simulated and real distributions on top of each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from particle_zoo.plots import figure

BINS = 40
INSIDE = (0.002, 0.998)
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
            edges, log = _edges(
                np.concatenate([ours, theirs]), [*np.quantile(ours, INSIDE), *np.quantile(theirs, INSIDE)]
            )
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
            axis.set_xscale("log" if log else "linear")
            axis.set_xlabel(f"{name} ({unit})" if name.startswith("energy") else name)
            axis.set_title(f"KS {ks:.3f}", fontsize=9)
        axes[0, 0].legend(fontsize=8)
        for axis in axes[:, 0]:
            axis.set_ylabel("share of clusters")
        for axis in axes.flat[len(names) :]:
            axis.set_axis_off()


def _edges(values: np.ndarray, limits: list[float]) -> tuple[np.ndarray, bool]:
    """Bin edges between the limits and whether they are logarithmic; whole numbers get bins around them."""
    low, high = min(limits), max(limits)
    if (values == np.round(values)).all() and high - low < 2 * BINS:
        step = max(1, int(np.ceil((high - low) / BINS)))
        return np.arange(np.floor(low), high + step + 1, step) - 0.5, False
    if low > 0 and high > 20 * low:
        return np.geomspace(low, high, BINS + 1), True
    return np.linspace(low, high if high > low else low + 1, BINS + 1), False
