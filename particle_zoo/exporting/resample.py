"""Moving, shrinking and averaging clusters inside an exported graph.

All three are linear along rows and along columns, so each is a product of three matrices, `rows @ raster @ columns^T`, whose
entries follow from the bounding box of the cluster. Every runtime multiplies matrices; loops and ragged crops few of them do.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from keras import ops

LARGEST = 4096
"""Longest side of a cluster that can be shrunk, px; a raster may be larger."""


class Box(NamedTuple):
    """First line and number of lines of each cluster, (batch,) int32; 0 lines where nothing is hit."""

    top: Any
    left: Any
    height: Any
    width: Any


def boxes(hit: Any) -> Box:
    """Bounding boxes of (batch, rows, cols) booleans."""
    (top, height), (left, width) = (_span(ops.any(hit, axis=axis)) for axis in (2, 1))
    return Box(top, left, height, width)


def _span(line: Any) -> tuple[Any, Any]:
    lines = ops.shape(line)[1]
    place = ops.arange(lines, dtype="int32")[None]
    # Not argmax: of lines without a hit it would make the whole line. Their number is beyond every place, however many there are.
    first = ops.min(ops.where(line, place, lines), axis=1)
    last = ops.max(ops.where(line, place, -1), axis=1)
    length = ops.maximum(last - first + 1, 0)
    return ops.where(length > 0, first, 0), length


def apply(rows: Any, images: Any, columns: Any) -> Any:
    """(batch, size, size) images of (batch, rows, cols) ones and two (batch, size, lines) matrices."""
    return ops.matmul(ops.matmul(rows, images), ops.transpose(columns, (0, 2, 1)))


def shrinking(first: Any, length: Any, other: Any, lines: Any, size: int) -> Any:
    """(batch, size, lines) float32 matrix of `particle_zoo.pipelines.rasterise`: centred, and shrunk where it does not fit.

    Pixel i of the image is the sum over j of C(k, j) / 2^k times pixel i + j of the square, which has k pixels too many along
    each axis.

    Args:
        first: (batch,) first line of the cluster.
        length: (batch,) its lines.
        other: (batch,) its lines along the other axis.
        lines: of the raster.
        size: side of the image, px.
    """
    side = ops.maximum(ops.maximum(length, other), size)
    shift = (side - length) // 2 - first
    j = ops.arange(lines, dtype="int32")[None, None] + shift[:, None, None]
    j = j - ops.arange(size, dtype="int32")[None, :, None]
    return _binomial(side[:, None, None] - size, j)


def _binomial(k: Any, j: Any) -> Any:
    """C(k, j) / 2^k, 0 outside of 0..k; to 1e-6, where float32 logarithms of factorials would leave 1e-3."""
    inside = ops.logical_and(j >= 0, j <= k)
    j = ops.clip(j, 0, k)
    rest = k - j
    whole = ops.maximum(ops.cast(k, "float32"), 1.0)
    logarithm = -_spread(j, whole) - _spread(rest, whole)
    table = ops.convert_to_tensor(_table())
    logarithm += ops.take(table, k) - ops.take(table, j) - ops.take(table, rest)
    return ops.where(inside, ops.exp(logarithm), 0.0)


def _spread(j: Any, whole: Any) -> Any:
    """The number j ln(2 j / k), small in the middle, where the weights are large and a rounded quotient would cost digits."""
    number = ops.cast(j, "float32")
    z = (2 * number - whole) / (2 * number + whole)
    z2 = z * z
    near = z * (2 + z2 * (2 / 3 + z2 * (2 / 5 + z2 * (2 / 7))))
    far = ops.log(2 * ops.maximum(number, 0.5) / whole)
    return number * ops.where(ops.abs(z) < 0.15, near, far)


def _table() -> np.ndarray:
    """The numbers ln m! - m ln m + m, which grow like the logarithm of m only."""
    from scipy.special import gammaln, xlogy

    m = np.arange(LARGEST + 1, dtype=np.float64)
    return np.asarray(gammaln(m + 1) - xlogy(m, m) + m, np.float32)


def averaging(first: Any, length: Any, block: Any, lines: Any, size: int) -> Any:
    """(batch, size, lines) float32 matrix that adds up blocks of lines, beginning with the first of the cluster.

    Args:
        first: (batch,) first line of the cluster.
        length: (batch,) its lines.
        block: (batch,) lines that become one.
        lines: of the raster.
        size: lines of the result.
    """
    place = ops.arange(lines, dtype="int32")[None] - first[:, None]
    inside = ops.logical_and(place >= 0, place < length[:, None])
    target = ops.where(inside, place // block[:, None], -1)
    return ops.cast(ops.equal(ops.arange(size, dtype="int32")[None, :, None], target[:, None]), "float32")
