"""The map of a latent space with example tracks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.cli import replacing
from particle_zoo.clusters import MASK_UNIT, Clusters
from particle_zoo.pipelines.rasterise import bounding_boxes
from particle_zoo.plots import figure

EXAMPLES = 5


def overview(rows: pd.DataFrame, clusters: Clusters, path: Path) -> None:
    """Draw the map coloured by label, direction, energy and k-means group, above example tracks of every group.

    The examples of a group are the clusters nearest to its centre in the latent space: masks, or where the energies are in keV
    their deposition in a square box around each, on one square-root scale.

    Args:
        rows: table of `particle_zoo.evaluation.embedding.embed`.
        clusters: the clusters of its rows.
        path: PNG to write.
    """
    from matplotlib.figure import Figure

    groups = sorted(rows["kmeans"].unique())
    canvas = Figure(figsize=(16, 4 + 1.3 * EXAMPLES), layout="constrained")
    (upper,), (lower,) = np.asarray(canvas.subfigures(2, 1, height_ratios=(4, 1.3 * EXAMPLES), squeeze=False))
    by_label, by_direction, by_energy, by_group = upper.subplots(1, 4, sharex=True, sharey=True)
    for label, part in rows.groupby("label"):
        by_label.scatter(part["umap_x"], part["umap_y"], s=6, label=label or "unlabelled")
    by_label.legend(markerscale=2, fontsize=7)
    by_label.set_title("label")
    turned = by_direction.scatter(
        rows["umap_x"], rows["umap_y"], s=6, c=rows["direction"], cmap="twilight", vmin=0, vmax=180
    )
    by_direction.set_title("direction (degrees)")
    upper.colorbar(turned, ax=by_direction)
    # A mask of unknown energy still has a size, which is what its energy scales with.
    known = rows["energy_sum"].notna().any()
    value = np.log10(rows["energy_sum" if known else "size"].astype(float).clip(lower=1e-3))
    coloured = by_energy.scatter(rows["umap_x"], rows["umap_y"], s=6, c=value, cmap="viridis")
    unit = "ADU" if clusters.unit == MASK_UNIT else clusters.unit
    by_energy.set_title(f"log10 energy ({unit})" if known else "log10 size (px)")
    upper.colorbar(coloured, ax=by_energy)
    for group in groups:
        part = rows[rows["kmeans"] == group]
        by_group.scatter(part["umap_x"], part["umap_y"], s=6, color=f"C{group % 10}")
        by_group.annotate(str(group), (part["umap_x"].median(), part["umap_y"].median()), weight="bold")
    by_group.set_title("k-means group")
    for axis in (by_label, by_direction, by_energy, by_group):
        axis.set_xlabel("UMAP 1")
    by_label.set_ylabel("UMAP 2")

    axes = lower.subplots(EXAMPLES, len(groups), squeeze=False)
    chosen = {group: _nearest(rows[rows["kmeans"] == group]) for group in groups}
    draw = (
        _deposition(lower, axes, clusters[np.concatenate(list(chosen.values()))]) if clusters.unit == "keV" else _mask
    )
    for column, group in zip(axes.T, groups, strict=True):
        for axis in column:
            axis.set_axis_off()
        for axis, i in zip(column, chosen[group], strict=False):
            draw(axis, clusters[int(i)])
            axis.set_title(rows["label"][i] or "unlabelled", fontsize=7)
        n = int((rows["kmeans"] == group).sum())
        column[0].set_title(f"group {group} ({n})\n{column[0].get_title()}", fontsize=8, color=f"C{group % 10}")
    with replacing(path) as temporary:
        canvas.savefig(temporary, dpi=110)


def before_and_after(maps: dict[str, pd.DataFrame], titles: dict[str, str], path: Path) -> None:
    """Draw two maps of the same clusters side by side, one colour a label.

    Args:
        maps: tables with `umap_x`, `umap_y` and `label`, one a panel.
        titles: of the panels.
        path: PNG to write.
    """
    labels = sorted({label for rows in maps.values() for label in rows["label"]})
    with figure(path, 1, len(maps), figsize=(6 * len(maps), 5.5)) as (_, axes):
        for axis, (name, rows) in zip(axes[0], maps.items(), strict=True):
            for i, label in enumerate(labels):
                part = rows[rows["label"] == label]
                axis.scatter(part["umap_x"], part["umap_y"], s=6, color=f"C{i % 10}", label=label or "unlabelled")
            axis.set(title=titles[name], xlabel="UMAP 1")
        axes[0, 0].set_ylabel("UMAP 2")
        axes[0, 0].legend(markerscale=2, fontsize=8)


def _nearest(part: pd.DataFrame) -> np.ndarray:
    """Row numbers of the clusters nearest to the centre of their group in the latent space, where k-means found it."""
    return part["kmeans_distance"].nsmallest(EXAMPLES).index.to_numpy()


def _mask(axis: Any, cluster: Clusters) -> None:
    axis.imshow(cluster.images(64, "mask")[0], origin="lower", cmap="magma")


def _deposition(canvas: Any, axes: np.ndarray, shown: Clusters) -> Callable[[Any, Clusters], None]:
    """What draws a cluster in its box on the scale of all that are shown, beside the bar of that scale."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import PowerNorm

    scale = PowerNorm(0.5, vmin=0, vmax=max(float(shown.column("energy").max()), 1e-6))
    canvas.colorbar(ScalarMappable(scale, "viridis"), ax=axes.ravel().tolist(), label="energy of a pixel (keV)")

    def draw(axis: Any, cluster: Clusters) -> None:
        _, _, (height,), (width,) = bounding_boxes(cluster)
        image = cluster.images(int(max(height, width)) + 2)[0]
        axis.imshow(
            np.where(image > 0, image, np.nan), origin="lower", interpolation="nearest", cmap="viridis", norm=scale
        )
        axis.set_axis_on()
        axis.set_xticks([])
        axis.set_yticks([])

    return draw
