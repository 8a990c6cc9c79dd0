"""What deep embedded clustering pulls its assignments towards.

References:
    Xie, Girshick, Farhadi: Unsupervised deep embedding for clustering analysis, arXiv:1511.06335, equations 2 and 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

TINY = 1e-12
"""Below it a share counts as this in a logarithm."""


def target_distribution(soft: np.ndarray) -> np.ndarray:
    """Assignments sharpened, and divided by the size of the clusters so that large ones do not swallow the others.

        p_ij = (q_ij^2 / f_j) / sum_k (q_ik^2 / f_k), with f_j = sum_i q_ij

    The sizes f are sums over all rows: give those of the whole set, not of a batch.

    Args:
        soft: (n, clusters) q, rows that sum to 1.

    Returns:
        (n, clusters) float32 p, rows that sum to 1.
    """
    # Sums over many rows lose digits in float32.
    q = np.asarray(soft, np.float64)
    weight = q**2 / np.maximum(q.sum(0), TINY)
    return (weight / weight.sum(1, keepdims=True)).astype(np.float32)


def kl_divergence(target: Any, soft: Any) -> Any:
    """KL(P || Q), summed over clusters.

    Args:
        target: (batch, clusters) p.
        soft: (batch, clusters) q.

    Returns:
        (batch,) nats, at least 0; 0 where both are equal.
    """
    target = ops.cast(target, soft.dtype)
    return ops.sum(target * (ops.log(ops.maximum(target, TINY)) - ops.log(ops.maximum(soft, TINY))), axis=-1)
