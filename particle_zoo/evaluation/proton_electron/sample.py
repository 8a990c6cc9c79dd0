"""The clusters of a study: balanced for learning, the whole test split for scoring, and nested shares of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from particle_zoo import data
from particle_zoo.clusters import Clusters
from particle_zoo.errors import InputError
from particle_zoo.evaluation.proton_electron.settings import Settings

SEED = 77_000
"""Added to the seed of a training: which labels a share of them keeps has nothing to do with the first weights."""


@dataclass(frozen=True)
class Sample:
    """Clusters of the three splits, no primary in two of them.

    Args:
        train: to learn from, the same number of each class.
        validation: to choose the epoch on, the same number of each class.
        test: to score on.
        classes: names in target order.
        fingerprint: of the simulation, see `particle_zoo.data.fingerprint`.
    """

    train: Clusters
    validation: Clusters
    test: Clusters
    classes: tuple[str, ...]
    fingerprint: str


def load(settings: Settings, data_dir: Path | None = None) -> Sample:
    """Load what the settings ask for; the data set is simulated and prepared the first time.

    Raises:
        InputError: more clusters than there are, or so few to score on that a class is missing.
    """
    classes = data.dataset_classes(settings.dataset)
    train, validation, test = (
        data.load(settings.dataset, split, data_dir=data_dir) for split in ("train", "validation", "test")
    )
    test = test if settings.test is None else test[: settings.test]
    if missing := set(classes) - set(test.labels):
        raise InputError(f"the first {len(test)} test clusters hold no {', '.join(missing)}; give a larger --test")
    return Sample(
        balanced(train, settings.train, classes, "--train"),
        balanced(validation, settings.validation, classes, "validation"),
        test,
        tuple(classes),
        data.fingerprint(settings.dataset, data_dir=data_dir),
    )


def balanced(clusters: Clusters, n: int | None, classes: Sequence[str], what: str) -> Clusters:
    """The first n clusters, as many of each class, in their order; without n as many as the rarest class allows.

    Args:
        clusters: with labels.
        n: clusters in all, rounded down to a multiple of the classes.
        classes: their names.
        what: how the user calls n.

    Raises:
        InputError: a class with too few clusters.
    """
    members = [np.flatnonzero(clusters.labels == name) for name in classes]
    there = min(map(len, members))
    each = there if n is None else n // len(classes)
    if each > there or not each:
        raise InputError(
            f"{what} {n} takes {each} clusters of each class and there are {there}; give {len(classes)} to "
            f"{len(classes) * there}"
        )
    return clusters[np.sort(np.concatenate([found[:each] for found in members]))]


def share(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Choose a random share of each class, at least one cluster; with equal seeds a smaller share is part of a larger one.

    Args:
        labels: (n,) class names.
        fraction: above 0, at most 1.
        seed: of the choice: which labels are known counts for the spread over seeds.

    Returns:
        (m,) ascending indices.
    """
    rng = np.random.default_rng((SEED, seed))
    kept = []
    for name in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == name))
        kept.append(members[: max(1, round(fraction * len(members)))])
    return np.sort(np.concatenate(kept))
