"""The order in which a training takes clusters from a stream: a function of the seed and of nothing that came before."""

from __future__ import annotations

import math

import numpy as np

WINDOW = 32
"""At most so many groups are shuffled together and in memory at one time."""

WINDOW_BYTES = 16 * 2**20
"""A window ends with the group that makes it this large in memory."""


class StreamOrder:
    """An endless sequence of clusters, made of passes over the groups of a stream.

    A pass takes a share of the clusters of each kind, every time others until all have had their turn, in groups that are
    permuted anew. The clusters of some groups after one another, a window, are shuffled together.

    Args:
        counts: (groups,) clusters of each group.
        kinds: (n,) small whole numbers from 0, the kind of each cluster in the order of the groups.
        sizes: (groups,) bytes of each group in memory.
        shares: (kinds,) which part of the clusters of a kind one pass takes, 0 to 1; not all 0.
        seed: equal seeds give equal sequences.
    """

    def __init__(self, counts: np.ndarray, sizes: np.ndarray, kinds: np.ndarray, shares: np.ndarray, seed: int) -> None:
        self.each = sizes / np.maximum(counts, 1)
        self.seed, self.kinds, self.shares = seed, kinds, [float(share) for share in shares]
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        # How many of each kind come before a group.
        before = np.zeros((len(counts) + 1, len(shares)), np.int64)
        for group in range(len(counts)):
            before[group + 1] = np.bincount(self._kinds_of(group), minlength=len(shares))
        self._before = np.cumsum(before, axis=0)
        self._totals: list[int] = self._before[-1].tolist()
        self._factors = [_spreading(total) for total in self._totals]
        self._layout: tuple[int, list[np.ndarray], np.ndarray] | None = None

    def locate(self, index: int) -> tuple[int, int, int]:
        """Pass, window and place in that window of a cluster of the sequence, counted from 0."""
        mean = sum(total * share for total, share in zip(self._totals, self.shares, strict=True))
        number = int(index / mean)
        while self._taken(number) > index:
            number -= 1
        while self._taken(number + 1) <= index:
            number += 1
        rest = index - self._taken(number)
        _, ends = self._windows(number)
        window = int(np.searchsorted(ends, rest, side="right"))
        return number, window, rest - int(ends[window - 1] if window else 0)

    def window(self, number: int, window: int) -> tuple[list[tuple[int, np.ndarray]], np.ndarray]:
        """The groups of a window of a pass, which of their clusters are taken, and the order in which they come.

        Returns:
            Pairs of a group and (m,) places in it, and a permutation of all these clusters.
        """
        windows, _ = self._windows(number)
        chosen = [(group, np.flatnonzero(self._members(number, group))) for group in windows[window].tolist()]
        total = sum(len(places) for _, places in chosen)
        return chosen, np.random.default_rng((self.seed, 4, number, window)).permutation(total)

    def _windows(self, number: int) -> tuple[list[np.ndarray], np.ndarray]:
        """The groups of each window of a pass, and the clusters that have come at its end."""
        if self._layout is None or self._layout[0] != number:
            groups = np.random.default_rng((self.seed, 0, number)).permutation(len(self._starts) - 1)
            taken = np.array([self._members(number, group).sum() for group in groups.tolist()])
            starts, held = [0], 0.0
            for place, size in enumerate((taken * self.each[groups]).tolist()):
                if place - starts[-1] == WINDOW or held >= WINDOW_BYTES:
                    starts.append(place)
                    held = 0.0
                held += size
            ends = np.cumsum(np.add.reduceat(taken, starts))
            self._layout = (number, np.split(groups, starts[1:]), ends)
        return self._layout[1:]

    def _taken(self, number: int) -> int:
        return sum(self._turns(kind, number) for kind in range(len(self.shares)))

    def _turns(self, kind: int, number: int) -> int:
        """How often clusters of a kind have been taken before a pass."""
        return math.floor(number * self._totals[kind] * self.shares[kind])

    def _members(self, number: int, group: int) -> np.ndarray:
        """(n,) whether a pass takes the clusters of a group."""
        kinds = self._kinds_of(group)
        chosen = np.zeros(len(kinds), dtype=bool)
        for kind in np.unique(kinds).tolist():
            first, total = self._turns(kind, number), self._totals[kind]
            turns = self._turns(kind, number + 1) - first
            mine = np.flatnonzero(kinds == kind)
            rank = self._before[group, kind] + np.arange(len(mine))
            # Those whose turn it is lie spread over all groups.
            chosen[mine] = (rank * self._factors[kind] - first) % total < turns
        return chosen

    def _kinds_of(self, group: int) -> np.ndarray:
        return self.kinds[self._starts[group] : self._starts[group + 1]]


def _spreading(total: int) -> int:
    """A factor that permutes the numbers below a total and sends neighbours far apart."""
    factor = max(1, round(0.618 * total))
    while math.gcd(factor, max(1, total)) > 1:
        factor += 1
    return factor
