"""Many clusters and a map of them without a network that made it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from particle_zoo import Clusters
from particle_zoo.evaluation.embedding import direction
from particle_zoo.simulation import ccd


def many(n: int) -> Clusters:
    """CCD clusters: few shapes, but every pixel has an energy of its own, so that nothing compresses for being alike."""
    few = ccd.generate(400, seed=8)
    repeated = few[np.resize(np.arange(len(few)), n)]
    rng = np.random.default_rng(1)
    hits = repeated.hits.copy()
    hits[:, 2] *= rng.uniform(0.5, 1.5, len(hits)).astype(np.float32)
    table = repeated.table.assign(id=[f"many-{i:06d}" for i in range(n)])
    return Clusters(hits, repeated.columns, repeated.offsets, table, repeated.unit)


def rows_of(clusters: Clusters, seed: int = 0) -> pd.DataFrame:
    """What `embed` gives, with a random map; cluster 0 lies alone in the upper right corner."""
    rng = np.random.default_rng(seed)
    n = len(clusters)
    plane = rng.normal(size=(n, 2)).clip(-4, 4).astype(np.float32)
    plane[0] = 8
    latent = rng.normal(size=(n, 4)).astype(np.float32)
    groups = {"kmeans": rng.integers(0, 3, n), "kmeans_distance": rng.random(n), "dbscan": rng.integers(-1, 3, n)}
    return pd.concat(
        [
            clusters.table[["id", "label"]],
            pd.DataFrame({"umap_x": plane[:, 0], "umap_y": plane[:, 1], **groups, "direction": direction(clusters)}),
            clusters.features(),
            pd.DataFrame(latent, columns=[f"z{i}" for i in range(4)]),
        ],
        axis=1,
    )
