"""Flat cluster sizes in each split of a data set of any size."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from particle_zoo.clusters import Clusters
from particle_zoo.data.mix import Flat
from particle_zoo.data.splits import SHARES, SPLITS
from particle_zoo.pipelines.balance import Reservoir


class FlatSizes:
    """A `Reservoir` for each split; ranks are hashes of the ids, so they depend on nothing but cluster and seed.

    Args:
        flat: settings.
        seed: of the choice.
    """

    def __init__(self, flat: Flat, seed: int) -> None:
        self.seed = seed
        self.splits = {
            # Each split has its share of the counts, so that all of them keep the same intervals.
            split: Reservoir(
                per_octave=flat.per_octave,
                least=max(1, round(share * flat.least)),
                most=max(1, round(share * flat.most)),
            )
            for split, share in zip(SPLITS, SHARES, strict=True)
        }

    def add(self, part: Clusters) -> None:
        """First pass: take note of clusters with a column `in_split`."""
        ranks = self._ranks(part)
        for split, mine in self._members(part):
            self.splits[split].add(part.sizes[mine], ranks[mine])

    def merge(self, others: Iterable[FlatSizes]) -> None:
        """Take note of what others have seen."""
        for other in others:
            for split, reservoir in other.splits.items():
                self.splits[split].merge(reservoir)

    def keep(self, part: Clusters) -> Clusters:
        """Second pass: those clusters that stay."""
        ranks = self._ranks(part)
        stay = np.zeros(len(part), dtype=bool)
        for split, mine in self._members(part):
            stay[mine] = self.splits[split].keep(part.sizes[mine], ranks[mine])
        return part[stay]

    def _ranks(self, part: Clusters) -> np.ndarray:
        return pd.util.hash_array(part.ids.astype(object), hash_key=f"{self.seed % 10**16:016d}")

    @staticmethod
    def _members(part: Clusters) -> list[tuple[str, np.ndarray]]:
        splits = part.table["in_split"].to_numpy()
        return [(split, np.flatnonzero(splits == split)) for split in np.unique(splits)]
