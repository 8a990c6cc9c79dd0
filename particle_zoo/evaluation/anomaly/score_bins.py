"""Bins for scores of any scale: the leading bits of their float32 representation.

Neighbouring floats have neighbouring bit patterns, so the leading bits, with those of negative numbers inverted, are bins in
the order of the scores. They are as wide as a share of the score: with 18 bits (sign, exponent and 9 of the mantissa) 0.1 to
0.2 %, with 20 bits 0.02 to 0.05 %. No range has to be known before the first frame, and no frame moves them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from particle_zoo.errors import InputError

SIGN = np.uint32(2**31)


def bin_of(score: npt.ArrayLike, bits: int) -> np.ndarray:
    """The bin of each score.

    Args:
        score: numbers; infinite ones are bins at the ends.
        bits: 10..31.

    Returns:
        int64 of the same shape, 0..2^bits - 1; ascending with the score, equal for equal scores.

    Raises:
        InputError: NaN.
    """
    # Adding 0 turns -0 into 0.
    values = np.asarray(score, np.float32) + np.float32(0)
    if np.isnan(values).any():
        raise InputError("the scores hold NaN; give numbers")
    pattern = values.view(np.uint32)
    ordered = np.where(pattern & SIGN, ~pattern, pattern | SIGN)
    return (ordered >> np.uint32(32 - bits)).astype(np.int64)


def lower_edge(number: npt.ArrayLike, bits: int) -> np.ndarray:
    """The lowest score of a bin, float32; NaN for bins beyond infinity."""
    ordered = (np.asarray(number).astype(np.uint64) << np.uint64(32 - bits)).astype(np.uint32)
    pattern = np.where(ordered & SIGN, ordered ^ SIGN, ~ordered)
    return np.asarray(pattern).view(np.float32)
