"""Training examples by step number: the same numbers in every run, on every backend, after every resume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.errors import InputError
from particle_zoo.pipelines.augment import dihedral, transposes
from particle_zoo.pipelines.chosen import Chosen

Preprocess = Callable[[Clusters], Any]

CACHE_BYTES = 256 * 2**20
"""Model inputs up to this size are computed once and kept, unless a caller says otherwise."""


def class_index(clusters: Clusters, classes: Sequence[str]) -> np.ndarray:
    """(n,) int32 position of each cluster's label in `classes`.

    Raises:
        InputError: a label outside `classes`.
    """
    lookup = {name: i for i, name in enumerate(classes)}
    unknown = sorted(set(clusters.labels.tolist()) - set(lookup))
    if unknown:
        raise InputError(
            f"labels {', '.join(repr(u) for u in unknown)} are not among the classes {', '.join(classes)}; "
            "choose the clusters with --classes"
        )
    return np.array([lookup[label] for label in clusters.labels], np.int32)


def class_weights(count: np.ndarray, balance: float) -> np.ndarray:
    """(classes,) float32 weights of classes with so many clusters; see `balance` of `Examples`."""
    raw = np.maximum(count, 1) ** -float(balance)
    return (raw / ((raw * count).sum() / count.sum())).astype(np.float32)


class Examples:
    """Batches of model inputs (and targets) as a pure function of the global step.

    Shuffling and augmentation are drawn from (seed, epoch, step), so a resumed run sees what an uninterrupted one
    would have seen.

    Args:
        clusters: the examples.
        preprocess: `model.preprocess`; returns an array or a dict of arrays, first axis n.
        classes: class names in target order; None for models without targets.
        batch_size: clusters a batch; the last batch of an epoch may be smaller.
        seed: seed of order and augmentation.
        augment: apply one of the 8 symmetries of the square to each example, drawn anew every epoch.
        symmetry: (n,) apply this symmetry to each example instead, in every epoch.
        shuffle: draw a new order every epoch.
        draw: (n,) probabilities with which an epoch draws clusters, with repetition; None takes each once, or the first
            `samples` of a shuffled order.
        samples: clusters an epoch; 0 means as many as there are.
        balance: weight of class i in the loss goes as its frequency to the power of minus this; 0 weighs all alike,
            1 gives every class the same total. Mean weight 1.
        cache: bytes of model inputs that are computed once and kept; a set with more is rasterised batch by batch.

    Attributes:
        largest: shape of the largest image; None where inputs are dicts, whose images are all alike.
    """

    def __init__(
        self,
        clusters: Clusters,
        preprocess: Preprocess,
        *,
        classes: Sequence[str] | None = None,
        batch_size: int = 32,
        seed: int = 0,
        augment: bool = False,
        symmetry: np.ndarray | None = None,
        shuffle: bool = False,
        draw: np.ndarray | None = None,
        samples: int = 0,
        balance: float = 0.0,
        cache: int = CACHE_BYTES,
    ) -> None:
        if not len(clusters):
            raise InputError("no clusters to work on; choose another --split or --classes")
        self.clusters = clusters
        self.preprocess = preprocess
        self.targets = None if classes is None else class_index(clusters, classes)
        self.weights: np.ndarray | None = None
        if self.targets is not None and classes is not None and balance:
            self.weights = class_weights(np.bincount(self.targets, minlength=len(classes)), balance)
        self.batch_size = batch_size
        self.seed = seed
        self.augment = augment
        self.symmetry = symmetry
        self.shuffle = shuffle
        self.draw = draw
        self.samples = samples if draw is not None else min(samples, len(clusters))
        self._order: tuple[int, np.ndarray] = (-1, np.arange(len(clusters)))
        # Where images differ in size the largest decides over all of them.
        owner = preprocessor_of(preprocess)
        if hasattr(owner, "check"):
            owner.check(clusters)
        largest = preprocess(clusters[[owner.largest(clusters) if hasattr(owner, "largest") else 0]])
        self.largest = None if isinstance(largest, dict) else largest.shape[1:]
        bytes_each = sum(a.nbytes for a in (largest.values() if isinstance(largest, dict) else (largest,)))
        self._cache = preprocess(clusters) if bytes_each * len(clusters) <= cache else None

    def __len__(self) -> int:
        """Steps an epoch."""
        return -(-(self.samples or len(self.clusters)) // self.batch_size)

    def batch(self, step: int) -> tuple[Any, np.ndarray | None]:
        """(inputs, targets) of the global step, counted over epochs."""
        epoch, position = divmod(int(step), len(self))
        index = self._epoch_order(epoch)[: self.samples or None][
            position * self.batch_size : (position + 1) * self.batch_size
        ]
        inputs = self._inputs(index)
        if self.symmetry is not None:
            inputs = transformed(inputs, self.symmetry[index], self.preprocess)
        elif self.augment:
            symmetry = np.random.default_rng((self.seed, 1, epoch, position)).integers(8, size=len(index))
            inputs = transformed(inputs, symmetry, self.preprocess)
        return inputs, None if self.targets is None else self.targets[index]

    def _epoch_order(self, epoch: int) -> np.ndarray:
        # Read once: another thread may be at another epoch.
        order = self._order
        if self.shuffle and order[0] != epoch:
            rng, n = np.random.default_rng((self.seed, 0, epoch)), len(self.clusters)
            if self.draw is None:
                order = (epoch, rng.permutation(n))
            else:
                order = (epoch, rng.choice(n, size=self.samples or n, p=self.draw))
            self._order = order
        return order[1]

    def _inputs(self, index: np.ndarray) -> Any:
        if self._cache is None:
            return self.preprocess(Chosen(self.clusters, index))
        if isinstance(self._cache, dict):
            return {name: array[index] for name, array in self._cache.items()}
        return self._cache[index]


def preprocessor_of(preprocess: Preprocess) -> Any:
    """The preprocessor behind `model.preprocess`, or the preprocessor itself."""
    owner: Any = getattr(preprocess, "__self__", preprocess)
    return getattr(owner, "preprocessor", owner)


def transformed(inputs: Any, symmetry: np.ndarray, preprocess: Preprocess) -> Any:
    """Model inputs after one of the 8 symmetries each: the image turns, and height and width change places with it."""
    if not isinstance(inputs, dict):
        return dihedral(inputs, symmetry)
    preprocessor = preprocessor_of(preprocess)
    meta = inputs["meta"].copy()
    swap = transposes(symmetry)
    mean, std = (np.asarray(v, np.float32)[:2] for v in (preprocessor.meta_mean, preprocessor.meta_std))
    raw = meta[swap, :2] * std + mean
    meta[swap, :2] = (raw[:, ::-1] - mean) / std
    return {"image": dihedral(inputs["image"], symmetry), "meta": meta}
