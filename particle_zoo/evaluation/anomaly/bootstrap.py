"""Intervals from resampling frames.

Pixels of a frame share its noise, its drift and its events and are no independent witnesses: a resample takes or leaves
a frame as a whole. A statistic is computed from how often each frame counts, for many resamples at a time, and statistics
that are compared are computed on the same resamples. Where all frames agree, as where none of 50 has a false region, so do all resamples: an
interval without width says that there is little to count, not that nothing is unknown (none in 50 frames: less than 0.06 a
frame at 95 %).

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993 (percentile intervals).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from particle_zoo.errors import InputError

LEVEL = 0.95

CHUNK = 50
"""Resamples at a time."""

Statistic = Callable[[np.ndarray], np.ndarray]
"""From (r, n) weights of n frames to (r,) or (r, m) values."""


@dataclass(frozen=True)
class Interval:
    """A value and its 95 % interval.

    Args:
        value: on the frames themselves.
        low: 2.5 % quantile of the resamples; NaN where the value is.
        high: 97.5 % quantile.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


def resampled(n: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield (up to `CHUNK`, n) float64, how often each of n frames counts; as many are drawn as there are."""
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, CHUNK):
        rows = min(CHUNK, resamples - start)
        drawn = rng.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)


def intervals(statistic: Statistic, n: int, *, resamples: int = 1000, seed: int = 0) -> list[Interval]:
    """Values of a statistic with their intervals.

    Args:
        statistic: see `Statistic`; NaN where there is nothing to count, infinite values have a rank.
        n: number of frames.
        resamples: how many.
        seed: of the resamples; equal seeds and n draw the same ones.

    Returns:
        One interval a value; resamples without a value are left out.

    Raises:
        InputError: no frame, or no resample.
    """
    if n < 1 or resamples < 1:
        raise InputError(f"intervals take frames and resamples; received {n} and {resamples}")
    values = _columns(statistic(np.ones((1, n))))[0]
    draws = np.concatenate([_columns(statistic(weights)) for weights in resampled(n, resamples, seed)])
    return [_interval(float(value), column) for value, column in zip(values, draws.T, strict=True)]


def interval(statistic: Statistic, n: int, *, resamples: int = 1000, seed: int = 0) -> Interval:
    """The same of a statistic with one value.

    Raises:
        InputError: no frame, no resample, or a statistic with several values.
    """
    found = intervals(statistic, n, resamples=resamples, seed=seed)
    if len(found) != 1:
        raise InputError(f"interval takes a statistic with one value; received {len(found)}, use intervals")
    return found[0]


def ratio(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> Statistic:
    """The statistic sum of one over sum of the other; NaN where the latter is 0.

    Args:
        numerator: (n,) or (n, m), one row a frame.
        denominator: the same shape.
    """
    above, below = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)

    def statistic(weights: np.ndarray) -> np.ndarray:
        total = weights @ below
        return np.asarray(np.where(total != 0, weights @ above / np.where(total != 0, total, 1), np.nan))

    return statistic


def difference(statistic: Statistic, other: Statistic) -> Statistic:
    """The statistic one minus the other, on the same resamples: what they share cancels."""
    return lambda weights: np.asarray(statistic(weights) - other(weights))


def _columns(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    return values[:, None] if values.ndim == 1 else values


def _interval(value: float, draws: np.ndarray) -> Interval:
    draws = draws[~np.isnan(draws)]
    if np.isnan(value) or not len(draws):
        return Interval(value, np.nan, np.nan)
    # Values that were drawn, so that infinite ones are not interpolated.
    low = np.quantile(draws, (1 - LEVEL) / 2, method="lower")
    high = np.quantile(draws, (1 + LEVEL) / 2, method="higher")
    return Interval(value, float(low), float(high))
