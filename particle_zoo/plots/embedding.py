"""The map of a latent space with example tracks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from particle_zoo.cli import replacing
from particle_zoo.clusters import MASK_UNIT, Clusters

EXAMPLES = 5


def overview(rows: pd.DataFrame, clusters: Clusters, path: Path) -> None:
    """Draw the map coloured by label, direction, energy and k-means group, above example tracks of every group.

    The examples of a group are the clusters nearest to its centre on the map.

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
    images = clusters.images(64, "mask")
    for column, group in zip(axes.T, groups, strict=True):
        part = rows[rows["kmeans"] == group]
        centre = part[["umap_x", "umap_y"]].median()
        near = ((part[["umap_x", "umap_y"]] - centre) ** 2).sum(axis=1).nsmallest(EXAMPLES).index
        for axis in column:
            axis.set_axis_off()
        for axis, i in zip(column, near, strict=False):
            axis.imshow(images[i], origin="lower", cmap="magma")
            axis.set_title(rows["label"][i] or "unlabelled", fontsize=7)
        column[0].set_title(f"group {group} ({len(part)})\n{column[0].get_title()}", fontsize=8, color=f"C{group % 10}")
    with replacing(path) as temporary:
        canvas.savefig(temporary, dpi=110)
