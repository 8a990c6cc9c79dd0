"""What of a difference between trainings is the noise of their seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

CONFIDENCE = 0.95
"""Share of pairs of sets of trainings that differ by less than `noise`, where nothing but their seeds differs."""

DISCERNING = 0.25
"""Share of what is learned that a difference has to be smaller than to say that it is none."""

TOO_NOISY = "too noisy to say"


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


def judge(values: Sequence[float], reference: Sequence[float], untrained: float) -> dict[str, Any]:
    """A loss in one precision beside that in float32.

    Within a noise as large as what is learned lies a training that learns nothing, too. The verdict is that there is no
    difference only where one of `DISCERNING` of what float32 learned would have shown: in the means, or because no seed
    differs by as much from itself in float32.

    Args:
        values: final losses, one a seed; NaN where a training failed.
        reference: those of the same seeds in float32, two or more.
        untrained: loss before any training.

    Returns:
        `mean`, `spread` (standard deviation over seeds), `learned` (drop of the loss from that of the untrained network),
        `difference` of the means, `in_spreads` (the difference in standard deviations of float32), `one_seed` (largest
        difference of a seed from itself), the `noise` of the difference, and `verdict`: within the noise of float32, better
        than float32, worse than float32, too noisy to say, or fails.
    """
    mean, known, unit = float(np.mean(values)), float(np.mean(reference)), float(np.std(reference, ddof=1))
    difference, limit = mean - known, noise(reference, len(values))
    one_seed = float(np.max(np.abs(np.subtract(values, reference))))
    if not math.isfinite(mean):
        verdict = "fails"
    elif abs(difference) > limit:
        verdict = f"{'worse' if difference > 0 else 'better'} than float32"
    elif min(limit, one_seed) <= DISCERNING * (untrained - known):
        verdict = "within the noise of float32"
    else:
        verdict = TOO_NOISY
    return {
        "mean": mean,
        "spread": float(np.std(values, ddof=1)),
        "learned": untrained - mean,
        "difference": difference,
        "in_spreads": difference / unit if unit else math.copysign(math.inf, difference) if difference else 0.0,
        "one_seed": one_seed,
        "noise": limit,
        "verdict": verdict,
    }
