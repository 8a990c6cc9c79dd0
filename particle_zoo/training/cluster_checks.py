"""Whether clusters have collapsed, and how many there are, without labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from particle_zoo.errors import InputError
from particle_zoo.training.cluster_stages import kmeans

SMALLEST = 0.01
"""Share of the images below which a cluster counts as empty."""

CLOSEST = 0.1
"""Two centroids closer than this part of the median distance count as one."""

STABLE = 0.9
"""Adjusted Rand index of two halves above which a number of clusters is stable."""

PAIRS = 5
"""Pairs of halves a number of clusters is tried on."""

RESTARTS = 5
"""Of every k-means of a scan."""

SEEN = 2_000
"""Images the silhouette is computed of; its time grows with their square."""


def alarms(labels: np.ndarray, centroids: np.ndarray) -> list[str]:
    """What says that a clustering has collapsed.

    Args:
        labels: (n,) cluster of each image.
        centroids: (clusters, latent).

    Returns:
        One sentence for every cluster with less than 1 % of the images, and for every two centroids closer than a tenth of
        the median distance; none for two clusters, which have but one distance.
    """
    from scipy.spatial.distance import pdist

    k = len(centroids)
    shares = np.bincount(labels, minlength=k) / len(labels)
    found = [
        f"cluster {i} has {share:.2%} of the images, less than {SMALLEST:.0%}"
        for i, share in enumerate(shares)
        if share < SMALLEST
    ]
    distances = pdist(centroids)
    middle = float(np.median(distances))
    pairs = np.transpose(np.triu_indices(k, 1))
    for (i, j), distance in zip(pairs.tolist(), distances, strict=True):
        # Centroids that all lie in one place have no median distance to compare with.
        if distance < CLOSEST * middle or distance == 0:
            found.append(
                f"the centroids of clusters {i} and {j} are {distance:.3g} apart, less than {CLOSEST:.0%} of the median "
                f"distance {middle:.3g}"
            )
    return found


def scan(embedding: np.ndarray, numbers: Sequence[int], *, seed: int) -> tuple[int, pd.DataFrame]:
    """Choose the number of clusters: of those that are stable, the one with the most separate clusters.

    A number is stable where k-means on two random halves of the images sorts all images alike: the mean adjusted Rand index
    of five pairs of halves is 0.9 or more. Of these numbers, or of all where none is, the one with the largest silhouette is
    taken.

    Args:
        embedding: (n, latent).
        numbers: to try, each 2 or more.
        seed: of the halves.

    Returns:
        The number, and a table of `k`, `stability`, `silhouette` and `smallest`, the share of the smallest cluster.

    Raises:
        InputError: too few images for the numbers.
    """
    from sklearn.metrics import adjusted_rand_score, silhouette_score
    from threadpoolctl import threadpool_limits

    n = len(embedding)
    possible = [k for k in numbers if 2 * k <= n]
    if not possible:
        raise InputError(f"a scan of k from {min(numbers)} needs {2 * min(numbers)} patches or more; received {n}")
    rng = np.random.default_rng((seed, 3))
    halves = [np.array_split(rng.permutation(n), 2) for _ in range(PAIRS)]
    seen = np.sort(rng.permutation(n)[:SEEN])
    rows = []
    with threadpool_limits(1):
        for k in possible:
            sorted_by = [
                [kmeans(embedding[half], k, RESTARTS, seed).predict(embedding) for half in pair] for pair in halves
            ]
            labels = kmeans(embedding, k, RESTARTS, seed).labels_
            several = len(np.unique(labels[seen])) > 1
            rows.append(
                {
                    "k": k,
                    "stability": float(np.mean([adjusted_rand_score(*pair) for pair in sorted_by])),
                    "silhouette": float(silhouette_score(embedding[seen], labels[seen])) if several else -1.0,
                    "smallest": float(np.bincount(labels, minlength=k).min() / n),
                }
            )
    stable = [row for row in rows if row["stability"] >= STABLE]
    best = max(stable or rows, key=lambda row: row["silhouette"])
    return int(best["k"]), pd.DataFrame(rows)
