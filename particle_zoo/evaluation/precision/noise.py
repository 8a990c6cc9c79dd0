"""What of a difference between trainings is the noise of their seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

CONFIDENCE = 0.95
"""Share of pairs of sets of trainings that differ by less than `noise`, where nothing but their seeds differs."""


def noise(reference: Sequence[float], n: int) -> float:
    """Largest difference of means that further trainings of the same kind would have from the reference.

    Half the prediction interval of the mean of n further values, by Student's t with the spread of the reference.

    Args:
        reference: two or more values, one a seed.
        n: number of the further values.
    """
    from scipy.stats import t

    m = len(reference)
    spread = float(np.std(reference, ddof=1))
    return float(t.ppf((1 + CONFIDENCE) / 2, m - 1)) * spread * math.sqrt(1 / m + 1 / n)


def judge(values: Sequence[float], reference: Sequence[float]) -> dict[str, Any]:
    """A loss in one precision beside that in float32.

    Args:
        values: final losses, one a seed; NaN where a training failed.
        reference: two or more in float32.

    Returns:
        `mean`, `spread` (standard deviation over seeds), `difference` of the means, its `noise`, and `verdict`: within the
        noise of float32, better than float32, worse than float32, or fails.
    """
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    difference, limit = mean - float(np.mean(reference)), noise(reference, len(values))
    if not math.isfinite(mean):
        verdict = "fails"
    elif abs(difference) <= limit:
        verdict = "within the noise of float32"
    else:
        verdict = f"{'worse' if difference > 0 else 'better'} than float32"
    return {"mean": mean, "spread": spread, "difference": difference, "noise": limit, "verdict": verdict}
