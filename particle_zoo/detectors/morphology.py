"""Shape features of clusters, all at once.

The first four are the metadata of the seed (003). The principal axes come from the unweighted second moments of the
pixel positions; 1/12 px^2 is added to each variance for the extent of a pixel, so that no cluster has width 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from particle_zoo.clusters import MASK_UNIT, Clusters
from particle_zoo.detectors.skeleton import check_extent
from particle_zoo.detectors.track_features import NAMES, track_features
from particle_zoo.pipelines.rasterise import bounding_boxes

METADATA = ("height", "width", "size", "energy_sum")

FEATURES = (
    *METADATA,
    "energy_mean",
    "energy_max",
    "energy_std",
    "fill",
    "long_side",
    "short_side",
    "std_along",
    "std_across",
    "elongation",
    "length",
    "inner",
    "border",
    "roundness",
)

ALL_FEATURES = (*FEATURES, *NAMES)
"""With those of tracks, see `particle_zoo.detectors.track_features`."""

SUMMED = "summed_pixels"
"""Table column of clusters whose one hit stands for so many pixels: their shape is not known."""


def features(
    clusters: Clusters, names: Sequence[str] = FEATURES, *, thickness_um: float = 300.0, pitch_um: float = 55.0
) -> pd.DataFrame:
    """Features of n clusters.

    `height`, `width`, `long_side`, `short_side`: bounding box (px). `size`: pixels. `energy_sum`, `_mean`, `_max`,
    `_std`: in the unit of the clusters; for masks the sum is the table's `energy_sum` where there is one (ADU), and
    the others are NaN. `fill`: size over the area of the bounding box, 0..1. `std_along`, `std_across`: spread along
    the principal axes (px). `elongation`: their ratio, at least 1. `length`: extent along the long axis (px), one pixel
    included; the longer side of the box where no axis is longer.
    `inner`: pixels whose 4 orthogonal neighbours are hit; `border`: the others. `roundness`: size over the area of
    the circle whose diameter is the length. Those of `ALL_FEATURES` beyond `FEATURES` are described at
    `particle_zoo.detectors.track_features.track_features`.

    Where the table has `summed_pixels`, size and energy are those of all pixels and everything about the shape is NaN.

    Args:
        clusters: n clusters.
        names: which features, in which order.
        thickness_um: of the sensor, for elevation, length and LET.
        pitch_um: of its pixels, for the same.

    Returns:
        float64 DataFrame (n, len(names)).
    """
    n = len(clusters)
    if not n:
        return pd.DataFrame({name: np.empty(0) for name in names})
    _, _, height, width = bounding_boxes(clusters)
    size = clusters.sizes.astype(float)
    found: dict[str, np.ndarray] = {"height": height, "width": width, "size": size, **_energies(clusters, size)}
    if not set(names) <= set(found):
        found |= {
            "fill": size / (height * width),
            "long_side": np.maximum(height, width),
            "short_side": np.minimum(height, width),
            **_axes(clusters, size, np.maximum(height, width)),
        }
        if set(names) & set(NAMES):
            found |= track_features(clusters, thickness_um=thickness_um, pitch_um=pitch_um)
        check_extent(height, width)
        found["inner"] = _inner(clusters)
        found["border"] = size - found["inner"]
        found["roundness"] = size / (np.pi / 4 * found["length"] ** 2)
    table = pd.DataFrame({name: np.asarray(found[name], np.float64) for name in names})
    if SUMMED in clusters.table:
        # Read beside others, those have no number there.
        stands = clusters.table[SUMMED].to_numpy(float)
        summed = np.isfinite(stands)
        shape = [name for name in names if name not in ("size", "energy_sum")]
        table.loc[summed, shape] = np.nan
        if "size" in table:
            table.loc[summed, "size"] = stands[summed]
    return table


def _energies(clusters: Clusters, size: np.ndarray) -> dict[str, np.ndarray]:
    n = len(size)
    unknown = np.full(n, np.nan)
    if clusters.unit == MASK_UNIT:
        known = clusters.table["energy_sum"].to_numpy(float) if "energy_sum" in clusters.table else unknown
        return {"energy_sum": known, "energy_mean": unknown, "energy_max": unknown, "energy_std": unknown}
    energy, cluster = clusters.column("energy").astype(np.float64), clusters.hit_cluster
    total = np.bincount(cluster, energy, n)
    spread = np.bincount(cluster, (energy - (total / size)[cluster]) ** 2, n)
    return {
        "energy_sum": clusters.table["energy_sum"].to_numpy(float) if "energy_sum" in clusters.table else total,
        "energy_mean": total / size,
        "energy_max": np.maximum.reduceat(energy, clusters.offsets[:-1]),
        "energy_std": np.sqrt(spread / size),
    }


def _axes(clusters: Clusters, size: np.ndarray, long_side: np.ndarray) -> dict[str, np.ndarray]:
    cluster, n = clusters.hit_cluster, len(size)
    row, col = clusters.column("row").astype(np.float64), clusters.column("col").astype(np.float64)
    row -= (np.bincount(cluster, row, n) / size)[cluster]
    col -= (np.bincount(cluster, col, n) / size)[cluster]
    rr, cc, rc = (np.bincount(cluster, product, n) / size for product in (row * row, col * col, row * col))
    mean, spread = (rr + cc) / 2, np.hypot((rr - cc) / 2, rc)
    pixel = 1 / 12
    along, across = np.sqrt(mean + spread + pixel), np.sqrt(np.maximum(mean - spread, 0) + pixel)
    angle = 0.5 * np.arctan2(2 * rc, cc - rr)
    position = col * np.cos(angle)[cluster] + row * np.sin(angle)[cluster]
    starts = clusters.offsets[:-1]
    length = np.maximum.reduceat(position, starts) - np.minimum.reduceat(position, starts) + 1
    # Equal spread in all directions has no axis: rounding would choose one. The longer side turns with the cluster.
    length = np.where(spread < 1e-9 * (mean + 1), long_side, length)
    return {"std_along": along, "std_across": across, "elongation": along / across, "length": length}


def _inner(clusters: Clusters) -> np.ndarray:
    """(n,) pixels with all four orthogonal neighbours in the same cluster."""
    top, left, height, width = bounding_boxes(clusters)
    cluster = clusters.hit_cluster
    # A frame of empty pixels around each box keeps neighbours of one cluster from being pixels of the next.
    stride = width + 2
    area = (height + 2) * stride
    base = np.concatenate([[0], np.cumsum(area)[:-1]])
    row = clusters.column("row").astype(np.int64) - top[cluster] + 1
    col = clusters.column("col").astype(np.int64) - left[cluster] + 1
    position = base[cluster] + row * stride[cluster] + col
    hit = np.zeros(int(area.sum()), bool)
    hit[position] = True
    step = stride[cluster]
    inner = hit[position - 1] & hit[position + 1] & hit[position - step] & hit[position + step]
    return np.bincount(cluster, inner, len(height))
