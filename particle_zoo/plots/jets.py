"""Figures of jets and of what is left of them after compression."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.jets import ANGLES, ENERGIES, Jets
from particle_zoo.plots import figure

UNITS = {
    **dict.fromkeys(("pt", "m", "E", "NegativeE", "LeadingClusterPt"), "GeV"),
    **dict.fromkeys(ANGLES, "rad"),
    "Timing": "ns",
    "CentroidR": "mm",
    "LeadingClusterCenterLambda": "mm",
}
"""Of the variables that have one."""

BINS = 50

ENDS = (0.05, 99.95)
"""Percentiles of the input where the axes of distributions end."""

WIDE = 20.0
"""Positive variables whose values reach over such a factor have a logarithmic axis."""

MOST = 8
"""Variables of a triangle; more panels could not be read."""

ONE_SIGMA = 0.68
"""Share of the jets in the region of a pair that is drawn as a histogram."""

DRAWN = 3_000
"""Jets outside of it that are drawn as points, a panel."""

COLUMNS = 4
"""Panels beside each other."""


def distributions(true: Jets, found: Jets, path: Path, *, title: str) -> None:
    """Draw input and output over each other, one panel a variable, and their ratio below.

    Values beyond an axis are counted in its first or last bin; so are ratios beyond theirs, as triangles at its end.

    Args:
        true: jets.
        found: the same jets, reconstructed, with the same variables.
        path: PNG to write.
        title: of the figure.
    """
    columns, lines = _grid(len(true.columns))
    size = (0.4 + 3.9 * columns, 0.7 + 3.6 * lines)
    with figure(path, 2 * lines, columns, heights=[3, 1] * lines, figsize=size) as (canvas, axes):
        canvas.suptitle(f"{title}; values beyond an axis are in its last bins", fontsize=9)
        for number in range(lines * columns):
            line, column = divmod(number, columns)
            pair = axes[2 * line, column], axes[2 * line + 1, column]
            if number < len(true.columns):
                name = true.columns[number]
                _distribution(*pair, name, true.column(name), found.column(name))
            else:
                _hide(pair)
        axes[0, 0].legend(fontsize=8)


def _grid(panels: int) -> tuple[int, int]:
    columns = min(COLUMNS, panels)
    return columns, -(-panels // columns)


def _hide(axes: Sequence[Any]) -> None:
    for axis in axes:
        axis.set_visible(False)


def _named(variable: str) -> str:
    return f"{variable} ({UNITS[variable]})" if variable in UNITS else variable


def _distribution(axis: Any, below: Any, name: str, true: np.ndarray, found: np.ndarray) -> None:
    low, high = np.percentile(true, ENDS)
    spectrum = low > 0 and (high > WIDE * low or (name in ENERGIES and high > 2 * low))
    low, high = _apart(low, high)
    edges = np.geomspace(low, high, BINS + 1) if spectrum else np.linspace(low, high, BINS + 1)
    if not spectrum and (true == np.rint(true)).all():
        # Bins of other widths than whole numbers hold now one of them and now none.
        step = -(-(high - low) // BINS)
        edges = np.arange(np.rint(low) - 0.5, high + 0.5 + step, step)
        low, high = edges[0], edges[-1]
    before, after = (np.histogram(np.clip(values, low, high), edges)[0] for values in (true, found))
    axis.stairs(before, edges, fill=True, color="0.75", label="input")
    axis.stairs(after, edges, color="tab:red", linewidth=1.2, label="output")
    axis.set(ylabel="jets a bin", xlim=(low, high))
    if not (name in ANGLES or "eta" in name.lower()):
        axis.set_yscale("log")
    centres = np.sqrt(edges[1:] * edges[:-1]) if spectrum else (edges[1:] + edges[:-1]) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio, spread = after / before, 1 / np.sqrt(before)
    _ratio(below, edges, centres, ratio, spread)
    below.set(xlabel=_named(name), xlim=(low, high))
    for each in (axis, below):
        if spectrum:
            _logarithmic(each)
        each.tick_params(which="both", labelsize=7)
        each.xaxis.label.set_size(8)
        each.yaxis.label.set_size(8)
    axis.tick_params(which="both", labelbottom=False)


def _logarithmic(axis: Any) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_xscale("log")
    # Without powers of ten: a spectrum may have one of them only.
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter(NullFormatter())


RATIOS = (0.5, 1.5)


def _ratio(axis: Any, edges: np.ndarray, centres: np.ndarray, ratio: np.ndarray, spread: np.ndarray) -> None:
    """Points of the ratio, and the statistical uncertainty of the input as a band."""
    known = np.isfinite(ratio)
    ends = np.where(np.isfinite(spread), spread, 0.0)
    axis.stairs(1 + ends, edges, baseline=1 - ends, fill=True, color="0.85")
    axis.axhline(1, color="0.5", linewidth=0.8)
    for chosen, marker in (
        (known & (ratio >= RATIOS[0]) & (ratio <= RATIOS[1]), "."),
        (known & (ratio > RATIOS[1]), "^"),
        (known & (ratio < RATIOS[0]), "v"),
    ):
        place = np.clip(ratio[chosen], RATIOS[0] + 0.04, RATIOS[1] - 0.04)
        axis.plot(centres[chosen], place, marker, color="tab:red", markersize=4, linestyle="none")
    axis.set(ylim=RATIOS, ylabel="output / input")


def _apart(low: float, high: float) -> tuple[float, float]:
    """Ends of an axis; around a single value, some."""
    if high > low:
        return float(low), float(high)
    half = 0.1 * abs(low) or 1e-6
    return float(low - half), float(high + half)


def residual_label(name: str) -> str:
    """Axis label of a residual of `particle_zoo.evaluation.jets.scores.residuals`."""
    variable, _, kind = name.partition(" (")
    if not kind:
        return f"{name}: (output - input) / input"
    unit = f" ({UNITS[variable]})" if variable in UNITS else ""
    return f"{variable}: {kind.rstrip(')')}{unit}"


def residual_histograms(residuals: pd.DataFrame, summary: pd.DataFrame, path: Path, *, title: str) -> None:
    """Draw a histogram a residual, with its median and its central 68 %; tails are in the first and last bin.

    Args:
        residuals: of `particle_zoo.evaluation.jets.scores.residuals`.
        summary: of the same residuals.
        path: PNG to write.
        title: of the figure.
    """
    columns, lines = _grid(len(residuals.columns))
    with figure(path, lines, columns, figsize=(0.4 + 3.9 * columns, 0.7 + 3.0 * lines)) as (canvas, axes):
        canvas.suptitle(f"{title}; residuals beyond the axis are in its last bins", fontsize=9)
        for axis, name in zip(axes.flat, residuals.columns, strict=False):
            row = summary.loc[name]
            values = residuals[name].dropna().to_numpy()
            axis.set_xlabel(residual_label(name), fontsize=8)
            axis.tick_params(labelsize=7)
            if not len(values):
                axis.set_title("not defined: every input is 0", fontsize=8)
                continue
            low, high = _apart(*row[["low", "high"]])
            axis.hist(np.clip(values, low, high), np.linspace(low, high, BINS + 1), color="0.6")
            axis.axvline(row["median"], color="tab:red", linewidth=1)
            ends = row["median"] - row["half_width"], row["median"] + row["half_width"]
            axis.axvspan(*ends, color="tab:red", alpha=0.15)
            axis.set(yscale="log", xlim=(low, high))
            axis.set_ylabel("jets a bin", fontsize=8)
            axis.ticklabel_format(axis="x", style="sci", scilimits=(-2, 3))
            axis.xaxis.get_offset_text().set_fontsize(7)
            axis.locator_params(axis="x", nbins=5)
            axis.set_title(
                f"median {row['median']:.2g}, 68 % within ± {row['half_width']:.2g}, {100 * row['clipped']:.2g} % beyond",
                fontsize=8,
            )
        _hide(axes.flat[len(residuals.columns) :])


def triangle(
    residuals: pd.DataFrame, summary: pd.DataFrame, correlation: pd.DataFrame, path: Path, *, title: str
) -> None:
    """Draw residuals in pairs: histograms on the diagonal, below it where the jets of a pair are.

    The region with `ONE_SIGMA` of the jets is a histogram; jets outside of it are points. The colour behind both is the
    correlation. Residuals are clipped as the summary says, so that tails lie on the borders.

    Args:
        residuals: of at most `MOST` variables.
        summary: of the same residuals.
        correlation: of every pair of the same residuals; NaN is drawn as 0.
        path: PNG to write.
        title: of the figure.
    """
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    names = list(residuals.columns)
    k = len(names)
    ends = {name: _apart(*summary.loc[name, ["low", "high"]].fillna(0.0)) for name in names}
    inside = {name: np.clip(residuals[name].to_numpy(), *ends[name]) for name in names}
    values = np.nan_to_num(correlation.loc[names, names].to_numpy())
    colours = ScalarMappable(Normalize(-1, 1), colormaps["coolwarm"])
    with figure(path, k, k, figsize=(1.2 + 1.9 * k, 0.9 + 1.8 * k)) as (canvas, axes):
        canvas.suptitle(
            f"{title}\nbelow the diagonal: histogram of {100 * ONE_SIGMA:g} % of the jets, points outside of it; "
            "tails are clipped to the borders",
            fontsize=9,
        )
        for row, column in np.ndindex(k, k):
            axis, x, y = axes[row, column], names[column], names[row]
            if column > row:
                axis.set_visible(False)
                continue
            if column == row:
                known = inside[x][np.isfinite(inside[x])]
                axis.hist(known, np.linspace(*ends[x], BINS + 1), color="0.4")
                axis.set(xlim=ends[x], yscale="log" if len(known) else "linear")
            else:
                axis.set_facecolor(colormaps["coolwarm"]((values[row, column] + 1) / 2))
                _pair(axis, inside[x], inside[y], ends[x], ends[y])
            _sparse_ticks(axis, row == k - 1, column == 0, diagonal=row == column)
            if row == k - 1:
                axis.set_xlabel(residual_label(x).replace(": ", "\n", 1), fontsize=7)
            if column == 0:
                axis.set_ylabel("jets a bin" if row == 0 else residual_label(y).replace(": ", "\n", 1), fontsize=7)
        bar = canvas.colorbar(colours, ax=axes.ravel().tolist(), shrink=0.6, aspect=30)
        bar.set_label("Pearson correlation of the clipped residuals", fontsize=8)
        bar.ax.tick_params(labelsize=7)


def _sparse_ticks(axis: Any, below: bool, left: bool, *, diagonal: bool) -> None:
    axis.locator_params(axis="x", nbins=3)
    axis.ticklabel_format(axis="x", style="sci", scilimits=(-2, 3))
    if not diagonal:
        axis.locator_params(axis="y", nbins=3)
        axis.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    axis.tick_params(labelsize=6, labelbottom=below, labelleft=left or diagonal)
    for one, shown in ((axis.xaxis, below), (axis.yaxis, left and not diagonal)):
        one.get_offset_text().set(fontsize=6, visible=shown)


def _pair(axis: Any, x: np.ndarray, y: np.ndarray, x_ends: tuple[float, float], y_ends: tuple[float, float]) -> None:
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    size = int(np.clip(np.sqrt(len(x)) / 2, 10, BINS))
    counts, *edges = np.histogram2d(x, y, size, (x_ends, y_ends))
    region = counts >= max(region_level(counts), 1)
    axis.pcolormesh(*edges, np.where(region, counts, np.nan).T, cmap="Greys", vmin=0, rasterized=True)
    bins = [np.clip(np.digitize(v, e) - 1, 0, size - 1) for v, e in zip((x, y), edges, strict=True)]
    outside = np.flatnonzero(~region[bins[0], bins[1]])
    shown = outside[:: -(-len(outside) // DRAWN) or 1]
    axis.plot(x[shown], y[shown], ",", color="black", alpha=0.6)
    axis.set(xlim=x_ends, ylim=y_ends)


def region_level(counts: np.ndarray) -> float:
    """Least number of jets of a bin in the smallest region of bins with `ONE_SIGMA` of all jets."""
    falling = np.sort(counts, axis=None)[::-1]
    return float(falling[np.searchsorted(np.cumsum(falling), ONE_SIGMA * falling.sum())])


def correlations(before: pd.DataFrame, after: pd.DataFrame, path: Path, *, title: str) -> None:
    """Draw the correlations of variables before and after, and by how much they changed.

    Args:
        before: of the input, a square table; NaN is left white.
        after: of the output.
        path: PNG to write.
        title: of the figure.
    """
    difference = after - before
    largest = float(np.nanmax(np.abs(difference.to_numpy()), initial=1e-3))
    k = len(before)
    side = 3.2 + 0.16 * k
    with figure(path, 1, 3, figsize=(3 * side, side)) as (canvas, axes):
        canvas.suptitle(title, fontsize=9)
        panels = (("input", before, 1.0), ("output", after, 1.0), ("output - input", difference, largest))
        for axis, (name, values, limit) in zip(axes[0], panels, strict=True):
            shown = axis.imshow(values.to_numpy(), cmap="coolwarm", vmin=-limit, vmax=limit)
            axis.set_title(name, fontsize=9)
            axis.set_xticks(range(k), values.columns, rotation=90, fontsize=8 if k <= MOST else 6)
            axis.set_yticks(range(k), values.index, fontsize=8 if k <= MOST else 6)
            if k <= MOST:
                for (row, column), value in np.ndenumerate(values.to_numpy()):
                    text = (
                        f"{value:.{3 if limit == 1 else 1}{'f' if limit == 1 else 'e'}}" if np.isfinite(value) else "-"
                    )
                    colour = "white" if abs(value) > 0.7 * limit else "black"
                    axis.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
            bar = canvas.colorbar(shown, ax=axis, shrink=0.8)
            bar.set_label("Pearson correlation" if limit == 1 else "change of the correlation", fontsize=8)
            bar.ax.tick_params(labelsize=7)
