"""One pass over stored clusters, group by group, while the next groups are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.pipelines.ahead import ahead
from particle_zoo.pipelines.chosen import Chosen
from particle_zoo.pipelines.examples import class_index

AHEAD = 2
"""Threads, and groups or batches that are made before they are asked for; with the one in use, all that is in memory."""


class Groups(Protocol):
    """Stored clusters that can be read a group at a time, in any order and in threads."""

    groups: list[Any]

    def read(self, group: int) -> Clusters:
        """The clusters of a group."""
        ...


def batches(
    stored: Groups,
    preprocess: Callable[[Clusters], Any],
    classes: tuple[str, ...],
    *,
    batch_size: int,
    seed: int,
    epoch: int,
) -> Iterator[tuple[Any, np.ndarray]]:
    """Yield (inputs, targets) of one epoch: groups in an order of (seed, epoch), and the clusters of each group in another.

    Args:
        stored: the clusters.
        preprocess: draws a batch.
        classes: names in target order.
        batch_size: clusters a batch; the last batch of a group may be smaller.
        seed: of the order.
        epoch: of the order.

    Raises:
        InputError: a damaged file, or clusters that cannot be drawn.
    """
    order = np.random.default_rng((seed, 0, epoch)).permutation(len(stored.groups)).tolist()
    for number, clusters in zip(order, ahead(stored.read, order, most=AHEAD, threads=AHEAD), strict=True):
        mixed = np.random.default_rng((seed, 1, epoch, number)).permutation(len(clusters))
        targets = class_index(clusters, classes)
        for start in range(0, len(mixed), batch_size):
            index = mixed[start : start + batch_size]
            yield preprocess(Chosen(clusters, index)), targets[index]
