"""Agreement of clusters with known kinds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from particle_zoo.errors import InputError

MEASURES = ("accuracy", "NMI", "ARI")


def scores(kinds: npt.ArrayLike, labels: npt.ArrayLike) -> dict[str, Any]:
    """Accuracy, NMI, ARI, and what becomes of every kind.

    Accuracy and recall are those of the best assignment of clusters to kinds, one to one (Hungarian method); a cluster too
    many has no kind, and a kind too many has no cluster.

    Args:
        kinds: (n,) true names.
        labels: (n,) clusters.

    Returns:
        `accuracy`, `NMI` (arithmetic mean of the entropies) and `ARI`; `recall` and `precision`, dicts by kind, 0 of a kind
        without cluster.

    Raises:
        InputError: no patches, or not one label a patch.
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    kinds, labels = np.asarray(kinds), np.asarray(labels)
    if kinds.ndim != 1 or kinds.shape != labels.shape or not len(kinds):
        raise InputError(f"scores compare one kind and one cluster a patch; received {kinds.shape} and {labels.shape}")
    names, truth = np.unique(kinds, return_inverse=True)
    clusters, found = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(names), len(clusters)), np.int64)
    np.add.at(counts, (truth, found), 1)
    rows, cols = linear_sum_assignment(-counts)
    matched = np.zeros(len(names), np.int64)
    size = np.ones(len(names), np.int64)
    matched[rows], size[rows] = counts[rows, cols], counts.sum(0)[cols]
    return {
        "accuracy": float(matched.sum() / len(kinds)),
        "NMI": float(normalized_mutual_info_score(truth, found)),
        "ARI": float(adjusted_rand_score(truth, found)),
        "recall": {str(name): float(m / n) for name, m, n in zip(names, matched, counts.sum(1), strict=True)},
        "precision": {str(name): float(m / n) for name, m, n in zip(names, matched, size, strict=True)},
    }
