"""The two terms of the evidence lower bound, in nats a cluster.

References:
    Kingma, Welling: Auto-Encoding Variational Bayes, arXiv:1312.6114, appendix B.
"""

from __future__ import annotations

from typing import Any

from keras import ops


def summed_binary_crossentropy(target: Any, probability: Any) -> Any:
    """Binary cross-entropy summed over pixels.

    Args:
        target: (batch, rows, cols, channels) in [0, 1].
        probability: the same shape, in (0, 1).

    Returns:
        (batch,) nats.
    """
    return ops.sum(ops.binary_crossentropy(ops.cast(target, probability.dtype), probability), axis=(1, 2, 3))


def gaussian_kl(mean: Any, log_var: Any) -> Any:
    """Divergence of N(mean, exp(log_var)) from N(0, 1), summed over the latent axis.

    Args:
        mean: (batch, latent).
        log_var: (batch, latent) logarithm of the variance.

    Returns:
        (batch,) nats, at least 0.
    """
    return -0.5 * ops.sum(1 + log_var - ops.square(mean) - ops.exp(log_var), axis=-1)
