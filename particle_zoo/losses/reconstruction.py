"""Losses of reconstructed clusters, one value a cluster, each of the order of 1 for a reconstruction of nothing."""

from __future__ import annotations

from typing import Any

from keras import ops

PIXELS = (1, 2, 3)


def per_hit(error: Any, hit: Any) -> Any:
    """Sum of an error over the image, divided by the number of hit pixels.

    A mean over all pixels would tell small clusters from large ones before anything is reconstructed.

    Args:
        error: (batch, rows, cols, channels), at least 0.
        hit: (batch, rows, cols, 1) 1 on hit pixels, 0 elsewhere.

    Returns:
        (batch,).
    """
    return ops.sum(error, axis=PIXELS) / ops.maximum(ops.sum(hit, axis=PIXELS), 1.0)


def huber(difference: Any, delta: float = 1.0) -> Any:
    """Half the square where the difference is below `delta`, linear beyond: ions must not outweigh everything else."""
    size = ops.abs(difference)
    inner = ops.minimum(size, delta)
    return inner * (size - 0.5 * inner)


def mean_binary_crossentropy(target: Any, probability: Any) -> Any:
    """Binary cross-entropy, mean over pixels, in nats; (batch,).

    Args:
        target: (batch, rows, cols, 1) in [0, 1].
        probability: the same shape, in (0, 1).
    """
    return ops.mean(ops.binary_crossentropy(target, probability), axis=PIXELS)


def soft_dice(target: Any, probability: Any) -> Any:
    """1 - 2 |A B| / (|A| + |B|) with probabilities as memberships, (batch,) in [0, 1]; 0 for two empty masks.

    References:
        Milletari, Navab, Ahmadi: V-Net, arXiv:1606.04797.
    """
    both = ops.sum(target * probability, axis=PIXELS)
    either = ops.sum(target, axis=PIXELS) + ops.sum(probability, axis=PIXELS)
    return 1 - (2 * both + 1) / (either + 1)
