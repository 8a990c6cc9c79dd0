"""Metrics by name: which way is better, and what of a network itself can be measured."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

MORE_IS_BETTER = ("accuracy", "auc", "precision", "recall", "f1")
"""Parts of the names of metrics of which more is better."""

COSTS = ("parameters", "latency")
"""Metrics of a network, whatever it has learned."""

WARM_UP, TIMED = 5, 50
"""Forward passes before and during a measurement of latency."""


def direction(metric: str) -> str:
    """`maximize` or `minimize`."""
    return "maximize" if any(part in metric for part in MORE_IS_BETTER) else "minimize"


def cost(metric: str, model: Any, example: Any) -> float:
    """One of `COSTS`.

    Args:
        metric: its name.
        model: a zoo model.
        example: what `model.preprocess` takes, one of it.
    """
    return float(model.count_params()) if metric == "parameters" else latency(model, example)


def latency(model: Any, example: Any) -> float:
    """Median time of a forward pass of one example, ms, after a warm-up; without preprocessing."""
    inputs = model.preprocess(example)
    times = []
    for _ in range(WARM_UP + TIMED):
        started = time.perf_counter()
        model.predict_on_batch(inputs)
        times.append(time.perf_counter() - started)
    return float(np.median(times[WARM_UP:])) * 1e3
