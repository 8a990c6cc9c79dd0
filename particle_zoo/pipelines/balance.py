"""Flatten cluster sizes: down-sample to equally many clusters in each of exponentially growing size intervals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from particle_zoo.errors import InputError


def size_bins(sizes: npt.ArrayLike, per_octave: int = 1) -> np.ndarray:
    """Interval each size falls into: with one an octave 1, 2-3, 4-7, 8-15, ... pixels.

    Args:
        sizes: (n,) pixels, at least 1.
        per_octave: intervals a factor of two, at least 1. Small sizes leave some of several an octave without any integer.

    Returns:
        (n,) int64; bin b holds the sizes from 2**(b / per_octave) to below 2**((b + 1) / per_octave).

    Raises:
        InputError: sizes below 1, or a `per_octave` that is no whole number of at least 1.
    """
    values = np.asarray(sizes)
    if not isinstance(per_octave, (int, np.integer)) or per_octave < 1:
        raise InputError(f"per_octave must be a whole number of 1 or more; received {per_octave!r}")
    if values.size and values.min() < 1:
        raise InputError(f"clusters have 1 pixel or more; received a size of {values.min()}")
    return np.floor(per_octave * np.log2(values)).astype(np.int64)


def flatten(
    sizes: npt.ArrayLike, *, seed: int, per_octave: int = 1, least: int = 1, most: int | None = None
) -> np.ndarray:
    """Choose clusters so that every interval of sizes has equally many.

    All intervals come down to the smallest of them. One with very few clusters would so decide over all: what has less
    than `least` is left out. Inside an interval every cluster is equally likely to stay.

    Args:
        sizes: (n,) pixels.
        seed: equal seeds give equal choices.
        per_octave: intervals a factor of two.
        least: an interval with fewer clusters is left out altogether.
        most: no interval keeps more than this.

    Returns:
        (m,) ascending indices.

    Raises:
        InputError: as `size_bins`, or a count below 1.
    """
    values = np.asarray(sizes)
    ranks = np.random.default_rng(seed).permutation(len(values)).astype(np.uint64)
    reservoir = Reservoir(per_octave=per_octave, least=least, most=most)
    reservoir.add(values, ranks)
    return np.flatnonzero(reservoir.keep(values, ranks))


def flat_probabilities(sizes: npt.ArrayLike, *, per_octave: int = 1, least: int = 50) -> np.ndarray:
    """Probabilities of drawing each cluster so that every interval of sizes comes equally often.

    Unlike `flatten` this leaves no cluster out: those of common sizes are drawn seldom, those of rare sizes often. An
    interval with fewer than `least` clusters comes proportionally less often, or a handful would be seen over and over.

    Args:
        sizes: (n,) pixels.
        per_octave: intervals a factor of two.
        least: see above, at least 1.

    Returns:
        (n,) float64 with sum 1.

    Raises:
        InputError: as `size_bins`, or a `least` below 1.
    """
    _, interval, count = np.unique(size_bins(sizes, per_octave), return_inverse=True, return_counts=True)
    return interval_probabilities(count, least)[interval]


def interval_probabilities(count: np.ndarray, least: int = 50) -> np.ndarray:
    """Probabilities of drawing one cluster of each interval of sizes; see `flat_probabilities`.

    Args:
        count: (intervals,) clusters of each.
        least: as in `flat_probabilities`.

    Returns:
        (intervals,) float64; summed over all clusters they give 1.

    Raises:
        InputError: a `least` below 1.
    """
    if not isinstance(least, (int, np.integer)) or least < 1:
        raise InputError(f"least must be a number of clusters, 1 or more; received {least!r}")
    weight = 1 / np.maximum(count, least)
    total: np.ndarray = weight / (weight * count).sum()
    return total


class Reservoir:
    """`flatten` for streams: clusters of lowest rank in each interval of sizes, found in two passes.

    The first pass adds sizes and ranks, the second asks what to keep. Parts may be added in any order or to reservoirs
    of their own that are merged: the result is the same. Memory holds `most` ranks an interval.

    Args:
        per_octave: as in `flatten`.
        least: as in `flatten`.
        most: as in `flatten`; None keeps the rank of every cluster in memory.

    Raises:
        InputError: counts below 1.
    """

    def __init__(self, *, per_octave: int = 1, least: int = 1, most: int | None = None) -> None:
        for name, value in (("least", least), ("most", 1 if most is None else most)):
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise InputError(f"{name} must be a number of clusters, 1 or more; received {value!r}")
        size_bins([1], per_octave)
        self.per_octave, self.least, self.most = per_octave, least, most
        self._ranks: dict[int, np.ndarray] = {}
        self._counts: dict[int, int] = {}

    def add(self, sizes: npt.ArrayLike, ranks: np.ndarray) -> None:
        """Take note of (n,) sizes with (n,) uint64 ranks: random and different from each other."""
        bins = size_bins(sizes, self.per_octave)
        for number in np.unique(bins).tolist():
            self._insert(number, ranks[bins == number], int((bins == number).sum()))

    def merge(self, other: Reservoir) -> None:
        """Take note of everything another one of the same settings has seen."""
        for number, ranks in other._ranks.items():
            self._insert(number, ranks, other._counts[number])

    def _insert(self, number: int, ranks: np.ndarray, count: int) -> None:
        joined = np.concatenate([self._ranks.get(number, ranks[:0]), ranks])
        if self.most is not None and len(joined) > self.most:
            joined = np.partition(joined, self.most - 1)[: self.most]
        self._ranks[number] = joined
        self._counts[number] = self._counts.get(number, 0) + count

    @property
    def limits(self) -> dict[int, int]:
        """Highest rank that stays, for each interval that does."""
        counts = [count for count in self._counts.values() if count >= self.least]
        if not counts:
            return {}
        quota = min(min(counts), self.most or min(counts))
        return {
            number: int(np.partition(ranks, quota - 1)[quota - 1])
            for number, ranks in self._ranks.items()
            if self._counts[number] >= self.least
        }

    def keep(self, sizes: npt.ArrayLike, ranks: np.ndarray) -> np.ndarray:
        """(n,) whether clusters stay, after everything was added."""
        bins = size_bins(sizes, self.per_octave)
        stay = np.zeros(len(bins), dtype=bool)
        for number, limit in self.limits.items():
            stay |= (bins == number) & (ranks <= np.uint64(limit))
        return stay
