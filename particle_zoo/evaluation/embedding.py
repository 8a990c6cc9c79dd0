"""Map a latent space to the plane and group it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.clusters import Clusters
from particle_zoo.errors import InputError

SMALLEST = 4
"""UMAP's spectral start needs more points than twice the two dimensions of the map; below, nothing is worth a map."""


def embed(vectors: np.ndarray, clusters: Clusters, *, groups: int, neighbors: int, seed: int) -> pd.DataFrame:
    """UMAP coordinates, k-means and DBSCAN groups beside latent values and features; one row a cluster.

    K-means works in the standardised latent space, DBSCAN on the map, as in the seed (003). The DBSCAN radius is the
    median distance to the 5th neighbour, times 2.

    Args:
        vectors: (n, latent) latent means.
        clusters: the n clusters.
        groups: number of k-means groups, at most n.
        neighbors: UMAP neighbourhood size, at most n - 1.
        seed: seed of UMAP and k-means.

    Raises:
        InputError: fewer clusters than a map needs.
    """
    from sklearn.cluster import DBSCAN, KMeans
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import StandardScaler

    n = len(vectors)
    if n <= SMALLEST:
        raise InputError(f"a map needs more than {SMALLEST} clusters; received {n}; choose a larger --split or --limit")
    scaled = StandardScaler().fit_transform(vectors)
    kmeans = KMeans(min(groups, n), n_init=10, random_state=seed).fit(scaled)
    plane = umap_of(scaled, neighbors=neighbors, seed=seed)
    distances, _ = NearestNeighbors(n_neighbors=min(6, n)).fit(plane).kneighbors(plane)
    radius = 2 * float(np.median(distances[:, -1]))
    return pd.concat(
        [
            clusters.table[["id", "label"]],
            pd.DataFrame(
                {
                    "umap_x": plane[:, 0],
                    "umap_y": plane[:, 1],
                    "kmeans": kmeans.labels_,
                    "kmeans_distance": np.linalg.norm(scaled - kmeans.cluster_centers_[kmeans.labels_], axis=1),
                    "dbscan": DBSCAN(eps=radius or 1.0, min_samples=5).fit_predict(plane),
                    "direction": direction(clusters),
                }
            ),
            clusters.features(),
            pd.DataFrame(vectors, columns=[f"z{i}" for i in range(vectors.shape[1])]),
        ],
        axis=1,
    )


def umap_of(vectors: np.ndarray, *, neighbors: int, seed: int) -> np.ndarray:
    """(n, 2) UMAP coordinates of (n, k) standardised vectors; at most n - 1 neighbours are used."""
    n = len(vectors)
    with warnings.catch_warnings():
        # A seed makes UMAP single-threaded, which it announces each time.
        warnings.filterwarnings("ignore", message="n_jobs value")
        import umap

        reducer = umap.UMAP(
            n_neighbors=min(neighbors, n - 1), random_state=seed, init="spectral" if n > 50 else "random"
        )
        return np.asarray(reducer.fit_transform(vectors))


def direction(clusters: Clusters) -> np.ndarray:
    """(n,) angle of the principal axis against the column axis, degrees in [0, 180); 0 for a single pixel."""
    cluster, n = clusters.hit_cluster, len(clusters)
    row, col = clusters.column("row").astype(float), clusters.column("col").astype(float)
    row -= (np.bincount(cluster, row, n) / clusters.sizes)[cluster]
    col -= (np.bincount(cluster, col, n) / clusters.sizes)[cluster]
    rr, cc, rc = (np.bincount(cluster, product, n) for product in (row * row, col * col, row * col))
    return np.degrees(0.5 * np.arctan2(2 * rc, cc - rr)) % 180


def summary(rows: pd.DataFrame) -> dict[str, Any]:
    """What each k-means group holds, and how many groups DBSCAN finds (its label -1 is noise)."""
    groups = []
    for group, part in rows.groupby("kmeans"):
        labels = part["label"].value_counts()
        groups.append(
            {
                "group": int(str(group)),
                "n": len(part),
                "median_size": float(part["size"].median()),
                "median_direction": float(part["direction"].median()),
                "label": f"{labels.index[0] or 'unlabelled'} ({labels.iloc[0] / len(part):.0%})",
            }
        )
    return {
        "n": len(rows),
        "groups": groups,
        "dbscan_groups": int(rows["dbscan"].max()) + 1,
        "dbscan_noise": int((rows["dbscan"] == -1).sum()),
    }
