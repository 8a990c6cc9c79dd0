"""Training examples from a stream by step number, in memory that does not grow with the stream."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.data.cluster_stream import TABLE_BYTES, ClusterStream
from particle_zoo.pipelines.balance import interval_probabilities, size_bins
from particle_zoo.pipelines.examples import Preprocess, class_index, class_weights, preprocessor_of, transformed
from particle_zoo.pipelines.stream_order import StreamOrder

POOL_BYTES = 64 * 2**20
"""Clusters of rare sizes are kept in memory up to this size."""


class StreamedExamples:
    """What `Examples` is for clusters in memory: batches as a pure function of the global step.

    Memory holds the clusters of a few groups of the stream and, with `flat`, a pool of those of rare sizes. Without `flat`
    every cluster comes once before any comes again. With `flat` every octave of sizes comes equally often, as with
    `flat_probabilities`: clusters of common sizes take turns, and those of rare sizes are drawn from the pool, each time
    independently, so that an epoch sees as many different ones as it would with all clusters in memory.

    Args:
        stream: the examples.
        preprocess: as in `Examples`.
        classes: as in `Examples`.
        batch_size: as in `Examples`.
        seed: as in `Examples`.
        augment: as in `Examples`.
        flat: draw every octave of sizes equally often.
        samples: clusters an epoch; 0 means as many as there are.
        balance: as in `Examples`.

    Attributes:
        largest: as in `Examples`.
        weights: (classes,) float32 weight of each class in the loss; None where all weigh alike.

    Raises:
        InputError: a damaged file, no clusters, a cluster that cannot be drawn, or a label outside `classes`.
    """

    def __init__(
        self,
        stream: ClusterStream,
        preprocess: Preprocess,
        *,
        classes: Sequence[str] | None = None,
        batch_size: int = 32,
        seed: int = 0,
        augment: bool = False,
        flat: bool = False,
        samples: int = 0,
        balance: float = 0.0,
    ) -> None:
        self.stream, self.preprocess = stream, preprocess
        self.classes = None if classes is None else tuple(classes)
        self.batch_size, self.seed, self.augment = batch_size, seed, augment
        largest = preprocess(stream.largest(preprocessor_of(preprocess)))
        self.largest = None if isinstance(largest, dict) else largest.shape[1:]
        survey = stream.survey
        n = len(survey.sizes)
        self.samples = (samples if flat else min(samples, n)) or n
        self.weights = None
        if self.classes is not None:
            # Before the first epoch: labels that are not among the classes.
            class_index(_named(survey.labels), self.classes)
            if balance:
                found = np.bincount(survey.codes, minlength=len(survey.labels))
                count = dict(zip(survey.labels, found.tolist(), strict=True))
                self.weights = class_weights(np.array([count.get(name, 0) for name in self.classes]), balance)
        kinds, shares = np.zeros(len(survey.sizes), np.int8), np.ones(1)
        self._pooled, self._pool_draw = 0.0, np.empty(0)
        self._pool: Clusters | None = None
        if flat:
            kinds, shares = self._flatten(survey.sizes)
        pixels = np.add.reduceat(survey.sizes, (np.cumsum(survey.counts) - survey.counts)[survey.counts > 0])
        held = np.zeros(len(survey.counts))
        held[survey.counts > 0] = pixels * float(stream.hit_bytes)
        self._order = StreamOrder(survey.counts, held + survey.counts * TABLE_BYTES, kinds, shares, seed)
        self._window: tuple[tuple[int, int] | None, Clusters | None] = (None, None)

    def __len__(self) -> int:
        """Steps an epoch."""
        return -(-self.samples // self.batch_size)

    def batch(self, step: int) -> tuple[Any, np.ndarray | None]:
        """(inputs, targets) of the global step, counted over epochs.

        Raises:
            InputError: a file was damaged meanwhile.
        """
        epoch, position = divmod(int(step), len(self))
        first = epoch * self.samples + position * self.batch_size
        last = min(first + self.batch_size, (epoch + 1) * self.samples)
        clusters = self.clusters(first, last)
        inputs = self.preprocess(clusters)
        if self.augment:
            symmetry = np.random.default_rng((self.seed, 1, epoch, position)).integers(8, size=len(clusters))
            inputs = transformed(inputs, symmetry, self.preprocess)
        return inputs, None if self.classes is None else class_index(clusters, self.classes)

    def clusters(self, first: int, last: int) -> Clusters:
        """The clusters from one place of the whole training to before another; the pool is drawn for both together."""
        # So many of the draws up to a place come from the pool: they are spread evenly.
        start, stop = (math.floor(place * self._pooled) for place in (first, last))
        parts = list(self._streamed(first - start, last - stop))
        if self._pool is not None and stop > start:
            rng = np.random.default_rng((self.seed, 3, first))
            parts.append(self._pool[rng.choice(len(self._pool), stop - start, p=self._pool_draw)])
        return parts[0] if len(parts) == 1 else Clusters.concat(parts)

    def _streamed(self, first: int, last: int) -> Any:
        while first < last:
            number, window, place = self._order.locate(first)
            clusters = self._of_window(number, window)
            part = clusters[place : place + last - first]
            first += len(part)
            yield part

    def _of_window(self, number: int, window: int) -> Clusters:
        name, clusters = self._window
        if clusters is None or name != (number, window):
            # Not both at one time.
            clusters, self._window = None, (None, None)
            chosen, order = self._order.window(number, window)
            parts = [self.stream.read(group)[places] for group, places in chosen if len(places)]
            clusters = Clusters.concat(parts)[order]
            self._window = ((number, window), clusters)
        return clusters

    def _flatten(self, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fill the pool; returns the (n,) octave of each cluster and the share of each that a pass over the stream takes."""
        octaves = size_bins(np.arange(1, int(sizes.max()) + 1)).astype(np.int8)[sizes - 1]
        count = np.bincount(octaves)
        draw = np.where(count > 0, interval_probabilities(count), 0)
        hits = np.bincount(octaves, weights=sizes)
        row = self.stream.hit_bytes
        rare, room = [], POOL_BYTES
        for octave in np.argsort(-draw, kind="stable").tolist():
            # Drawn more often than once in as many draws as there are clusters, by more than rounding.
            needed = hits[octave] * row + count[octave] * TABLE_BYTES
            if draw[octave] * len(sizes) > 1.001 and needed <= room:
                rare.append(octave)
                room -= needed
        self._pooled = float((count * draw)[rare].sum())
        if rare:
            self._pool = Clusters.concat(self._members(octaves, rare))
            weight = draw[octaves[np.isin(octaves, rare)]]
            self._pool_draw = weight / weight.sum()
        draw[rare] = 0
        return octaves, draw / draw.max()

    def _members(self, octaves: np.ndarray, rare: list[int]) -> Any:
        ends = np.cumsum(self.stream.survey.counts)
        for group, end in enumerate(ends.tolist()):
            mine = np.isin(octaves[end - int(self.stream.survey.counts[group]) : end], rare)
            if mine.any():
                yield self.stream.read(group)[mine]


def _named(labels: Sequence[str]) -> Clusters:
    """One cluster a label."""
    return Clusters.from_list([[(0, 0, 1)] for _ in labels], label=list(labels))
