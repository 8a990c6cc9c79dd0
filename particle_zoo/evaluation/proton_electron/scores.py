"""Accuracies and ROC AUC with intervals from resampling the primaries of the test set.

A primary may leave several clusters, which are no independent witnesses: a resample takes or leaves them together. All
methods are scored on the same resamples, so that the difference of two has an interval of its own. A resample also draws
as many trainings (seeds) of a method as there are, with repetition, and its number is their mean: the interval says how
far the mean depends on which primaries were tested and on which trainings were made. Few seeds say little of the latter;
their spread stands beside it. Where all clusters of a bin are right, or all wrong, all
resamples are too: an interval without width then says that there are few errors, not that there are none.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993 (percentile intervals).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from particle_zoo.clusters import Clusters

SIZE_BINS = ("1-2 px", "3-4 px", "5-8 px", "> 8 px")
SIZE_EDGES = (3, 5, 9)
"""First size of every bin but the first, px."""

BINS_PER_DECADE = 4
"""Of the kinetic energy of the primary."""

CHUNK = 50
"""Resamples in memory at a time."""

LEVEL = 0.95


@dataclass(frozen=True)
class TestSet:
    """What the scores need to know of n test clusters.

    Args:
        first: (n,) whether a cluster belongs to the first class.
        primary: (n,) what is resampled.
        size: (n,) pixels.
        energy_mev: (n,) kinetic energy of the primary.
        classes: names of the first and the second class.
    """

    # Not a test, whatever its name.
    __test__ = False

    first: np.ndarray
    primary: np.ndarray
    size: np.ndarray
    energy_mev: np.ndarray
    classes: tuple[str, str]

    @classmethod
    def of(cls, clusters: Clusters, classes: tuple[str, ...]) -> TestSet:
        """From simulated clusters with their truth."""
        first, second = classes
        table = clusters.table
        return cls(
            clusters.labels == first,
            table["primary"].to_numpy(),
            clusters.sizes,
            table["energy_mev"].to_numpy(float),
            (first, second),
        )

    @cached_property
    def group(self) -> np.ndarray:
        """(n,) number of the primary, counted from 0."""
        return np.unique(self.primary, return_inverse=True)[1]

    @cached_property
    def _decade(self) -> np.ndarray:
        return np.floor(BINS_PER_DECADE * np.log10(self.energy_mev)).astype(int)

    @cached_property
    def energy_edges(self) -> np.ndarray:
        """(bins + 1,) MeV, equal steps in the logarithm."""
        return np.asarray(10 ** (np.arange(self._decade.min(), self._decade.max() + 2) / BINS_PER_DECADE))

    @cached_property
    def energy_names(self) -> tuple[str, ...]:
        """Of the bins."""
        edges = [f"{edge:.3g}" for edge in self.energy_edges]
        return tuple(f"{low}-{high} MeV" for low, high in pairwise(edges))

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Classes, size bins, energy bins."""
        return 2, len(SIZE_BINS), len(self.energy_edges) - 1

    @cached_property
    def cell(self) -> np.ndarray:
        """(n,) position of a cluster in an array of `shape`."""
        energy = self._decade - self._decade.min()
        return np.ravel_multi_index((np.where(self.first, 0, 1), size_bin(self.size), energy), self.shape)

    @cached_property
    def counts(self) -> np.ndarray:
        """`shape` test clusters."""
        return np.bincount(self.cell, minlength=int(np.prod(self.shape))).reshape(self.shape)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the numbers, in the order of the columns of `numbers`."""
        return (
            "balanced accuracy",
            "ROC AUC",
            *(f"recall, {name}" for name in self.classes),
            *(f"accuracy, {name}" for name in SIZE_BINS),
            *(f"balanced accuracy, {name}" for name in SIZE_BINS),
            *(f"recall, {name}, {energy}" for name in self.classes for energy in self.energy_names),
        )


def size_bin(size: np.ndarray) -> np.ndarray:
    """(n,) which of `SIZE_BINS` a size belongs to."""
    return np.searchsorted(SIZE_EDGES, size, side="right")


def resampled(test: TestSet, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield (up to `CHUNK`, n) how often each cluster counts; as many primaries are drawn as there are."""
    rng = np.random.default_rng(seed)
    n = int(test.group.max()) + 1
    for start in range(0, resamples, CHUNK):
        rows = min(CHUNK, resamples - start)
        drawn = rng.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)[:, test.group]


def auc(positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted area under the ROC curve, once for each row of weights; ties count half.

    Args:
        positive: (n,) bool.
        score: (n,) higher for positives.
        weights: (rows, n) at least 0.

    Returns:
        (rows,) in 0..1; NaN where one class has no weight.
    """
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(score[order]) != 0))
    above = weights[:, order] * positive[order]
    below = weights[:, order] - above
    if len(starts) < len(order):
        above, below = (np.add.reduceat(part, starts, axis=1) for part in (above, below))
    won = np.einsum("ij,ij->i", above, np.cumsum(below, axis=1) - below / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(won / (above.sum(1) * below.sum(1)))


def numbers(test: TestSet, probability: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(rows, len(test.names)) numbers of one method, once for each row of weights; NaN where there is nothing to count.

    Args:
        test: n clusters.
        probability: (n,) of the first class; above one half the first class is predicted, at one half too.
        weights: (rows, n) how often each cluster counts.
    """
    order = np.argsort(test.cell, kind="stable")
    present, starts = np.unique(test.cell[order], return_index=True)
    right = ((probability >= 0.5) == test.first)[order]
    sums = np.zeros((2, len(weights), int(np.prod(test.shape))))
    sums[0][:, present] = np.add.reduceat(weights[:, order] * right, starts, axis=1)
    sums[1][:, present] = np.add.reduceat(weights[:, order], starts, axis=1)
    right_cells, all_cells = sums.reshape(2, len(weights), *test.shape)

    def rate(*axes: int) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(right_cells.sum(axes) / all_cells.sum(axes))

    recall, of_size, of_energy = rate(2, 3), rate(1, 3), rate(2)
    balanced_of_size = rate(3).mean(axis=1)
    area = auc(test.first, probability, weights)
    return np.column_stack(
        [recall.mean(1), area, recall, of_size, balanced_of_size, of_energy.reshape(len(weights), -1)]
    )


@dataclass(frozen=True)
class Bootstrap:
    """Numbers of several methods on one test set.

    Args:
        names: of m numbers.
        values: (seeds, m) on the test set itself, by method.
        draws: (resamples, m) means over the seeds drawn, by method.
    """

    names: tuple[str, ...]
    values: dict[str, np.ndarray]
    draws: dict[str, np.ndarray]

    def summary(self, method: str) -> dict[str, dict[str, float | list[float]]]:
        """By name of the number: mean over seeds, interval of the mean, values and their standard deviation over seeds.

        Numbers without clusters are left out; one seed has no spread.
        """
        values, found = self.values[method], {}
        for i, name in enumerate(self.names):
            if not np.isfinite(values[:, i]).all():
                continue
            low, high = self._interval(self.draws[method][:, i])
            of_seeds = {"seeds": values[:, i].tolist()}
            if len(values) > 1:
                of_seeds["spread"] = float(values[:, i].std(ddof=1))
            found[name] = {"value": float(values[:, i].mean()), "low": low, "high": high, **of_seeds}
        return found

    def difference(self, method: str, other: str, name: str = "balanced accuracy") -> dict[str, float]:
        """Mean over seeds of one method minus that of another, on the same resamples."""
        i = self.names.index(name)
        low, high = self._interval(self.draws[method][:, i] - self.draws[other][:, i])
        return {
            "value": float(self.values[method][:, i].mean() - self.values[other][:, i].mean()),
            "low": low,
            "high": high,
        }

    @staticmethod
    def _interval(draws: np.ndarray) -> tuple[float, float]:
        low, high = np.nanquantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)


def bootstrap(test: TestSet, probabilities: Mapping[str, np.ndarray], resamples: int, seed: int = 0) -> Bootstrap:
    """Score methods on the same resamples of the test primaries, and on resamples of their seeds.

    Args:
        test: n clusters.
        probabilities: (seeds, n) of the first class, by method.
        resamples: how many.
        seed: of the resamples.
    """
    once = np.ones((1, len(test.first)))
    values = {name: np.concatenate([numbers(test, run, once) for run in runs]) for name, runs in probabilities.items()}
    draws: dict[str, list[np.ndarray]] = {name: [] for name in probabilities}
    rng = np.random.default_rng((seed, 1))
    for weights in resampled(test, resamples, seed):
        for name, runs in probabilities.items():
            of_seeds = np.stack([numbers(test, run, weights) for run in runs], axis=1)
            drawn = rng.integers(len(runs), size=(len(weights), len(runs)))
            draws[name].append(np.take_along_axis(of_seeds, drawn[..., None], axis=1).mean(axis=1))
    return Bootstrap(test.names, values, {name: np.concatenate(parts) for name, parts in draws.items()})
