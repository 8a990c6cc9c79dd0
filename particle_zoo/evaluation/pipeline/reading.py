"""One pass over stored clusters, group by group, while the next groups are read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.pipelines.chosen import Chosen
from particle_zoo.pipelines.examples import class_index

AHEAD = 2
"""Threads, and groups or batches that are made before they are asked for; with the one in use, all that is in memory."""

Made = TypeVar("Made")


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
    for number, clusters in zip(order, ahead(stored.read, order), strict=True):
        mixed = np.random.default_rng((seed, 1, epoch, number)).permutation(len(clusters))
        targets = class_index(clusters, classes)
        for start in range(0, len(mixed), batch_size):
            index = mixed[start : start + batch_size]
            yield preprocess(Chosen(clusters, index)), targets[index]


def ahead(make: Callable[[int], Made], numbers: Iterable[int]) -> Iterator[Made]:
    """Yield what is made of each number, in order; two threads make the next ones while one is used.

    Inflating, parsing and drawing leave Python's lock to others.
    """
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(AHEAD) as pool:
        for number in numbers:
            waiting.append(pool.submit(make, number))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
