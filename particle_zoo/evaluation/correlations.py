"""Which axes of a latent space or a map follow length, angle, energy and size of the tracks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.clusters import Clusters

QUANTITIES = ("length", "angle", "energy", "size")

ELONGATED = 3.0
"""Spread along over spread across the principal axis from which a track has a direction."""

LONGER_PX = 8
"""Clusters of more pixels are tracks here; most errors of classifiers lie at fewer (seed 001)."""

STRONGEST = 2
"""Latent axes shown for each quantity."""


def track_truth(clusters: Clusters, direction: np.ndarray) -> pd.DataFrame:
    """`QUANTITIES` of n clusters.

    `length` (px) is the extent along the principal axis, one pixel included; `angle` (degrees in [0, 180)) its
    direction, NaN below an elongation of `ELONGATED` and up to `LONGER_PX` pixels; `energy` and `size` (px) the sums.

    Args:
        clusters: n clusters.
        direction: (n,) degrees of the principal axis.
    """
    features = clusters.features()
    directed = (features["elongation"] >= ELONGATED) & (features["size"] > LONGER_PX)
    return pd.DataFrame(
        {
            "length": features["length"],
            "angle": np.where(directed, direction, np.nan),
            "energy": features["energy_sum"],
            "size": features["size"],
        }
    )


def circular_linear(values: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """(k,) correlation of (n, k) values with a direction modulo 180 degrees, 0..1; NaN where one of both is constant.

    The multiple correlation with cosine and sine of twice the angle, so that 0 and 180 degrees are the same. It has no
    sign: values may follow the angle with any phase.

    References:
        Mardia, Jupp, Directional Statistics (2000), section 11.2.1.
    """
    values = np.asarray(values, float).reshape(len(degrees), -1)
    if len(degrees) < 4:
        return np.full(values.shape[1], np.nan)
    turned = np.radians(2 * np.asarray(degrees, float))
    cos, sin = np.cos(turned)[:, None], np.sin(turned)[:, None]
    xc, xs, cs = _pearson(values, cos), _pearson(values, sin), _pearson(cos, sin)
    with np.errstate(invalid="ignore", divide="ignore"):
        squared = (xc**2 + xs**2 - 2 * xc * xs * cs) / (1 - cs**2)
    return np.sqrt(np.clip(squared, 0, 1))


def spearman(values: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(k,) rank correlation of (n, k) values with (n,) others, -1..1; NaN where one of both is constant."""
    from scipy.stats import rankdata

    values = np.asarray(values, float).reshape(len(other), -1)
    if len(other) < 3:
        return np.full(values.shape[1], np.nan)
    ranks = rankdata(other)[:, None]
    # An axis at a time: ranks of all of them would take many times the memory of the latent vectors.
    return np.array([_pearson(rankdata(column)[:, None], ranks)[0] for column in values.T])


def _pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    spread = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    return np.divide((x * y).sum(axis=0), spread, out=np.full(x.shape[1], np.nan), where=spread > 1e-12)


def correlations(axes: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """(k, 4) correlation of each axis with each of `QUANTITIES`: `circular_linear` with the angle, `spearman` elsewhere.

    Args:
        axes: (n, k) one column an axis.
        truth: of `track_truth`, n rows; rows without a value of a quantity do not count for it.
    """
    values = axes.to_numpy(float)
    found = {}
    for name in QUANTITIES:
        known = truth[name].notna().to_numpy()
        measure = circular_linear if name == "angle" else spearman
        found[name] = measure(values[known], truth[name].to_numpy(float)[known])
    return pd.DataFrame(found, index=axes.columns)


def strongest(rows: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Correlations of the two axes of the map and of the latent axes that follow any quantity best.

    Args:
        rows: of `particle_zoo.evaluation.embedding.embed`: `z0`..., `umap_x` and `umap_y`.
        truth: of `track_truth`.
    """
    latent = correlations(rows.filter(regex=r"^z\d+$"), truth)
    best = {axis for name in QUANTITIES for axis in latent[name].abs().dropna().nlargest(STRONGEST).index}
    chosen = [axis for axis in latent.index if axis in best]
    return pd.concat([correlations(rows[["umap_x", "umap_y"]], truth), latent.loc[chosen]])


def as_dict(table: pd.DataFrame) -> dict[str, Any]:
    """A JSON-ready dict, one entry an axis."""
    return {str(axis): {str(k): float(v) for k, v in row.items()} for axis, row in table.iterrows()}
