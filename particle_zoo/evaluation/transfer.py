"""How far training on simulation alone carries on real, hand-labelled clusters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.clusters import Clusters
from particle_zoo.evaluation import baseline, classifier, overlay
from particle_zoo.pipelines.examples import class_index

FOLDS = 5


def scores(simulated: Clusters, real: Clusters, classes: Sequence[str], seed: int = 0) -> dict[str, dict[str, Any]]:
    """Scores on the real clusters, by method, each as `particle_zoo.evaluation.classifier.scores` gives them.

    `forest, simulation`: a random forest on shape features, trained on the simulated masks. `size cut, simulation`:
    the best single cut on the size, two classes and all cuts tried, chosen on the simulation. `size cut, real`: chosen
    on the real labels themselves, so the most a cut can do. `forest, real`: the forest in 5-fold cross-validation on
    the real labels: about what the labels allow.

    Args:
        simulated: labelled clusters; their pixel energies are not used.
        real: labelled clusters or masks.
        classes: class names in target order; clusters of other classes are left out.
        seed: seed of the forests and folds.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    ours, theirs = (part[np.isin(part.labels, list(classes))] for part in (simulated, real))
    inputs, tests = (overlay.quantities(part, overlay.SHAPES).to_numpy() for part in (ours, theirs))
    targets, truth = class_index(ours, classes), class_index(theirs, classes)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    guesses = {
        "forest, simulation": baseline.forest(seed).fit(inputs, targets).predict(tests),
        "size cut, simulation": cut(ours.sizes, targets, theirs.sizes),
        "size cut, real": cut(theirs.sizes, truth, theirs.sizes),
        "forest, real": cross_val_predict(baseline.forest(seed), tests, truth, cv=folds),
    }
    return {name: classifier.scores(truth, guess, classes) for name, guess in guesses.items()}


def cut(sizes: np.ndarray, targets: np.ndarray, applied_to: np.ndarray) -> np.ndarray:
    """Predict with the single size cut of the best accuracy: one class up to it, another above it.

    Args:
        sizes: (n,) sizes the cut is chosen on.
        targets: (n,) their class index.
        applied_to: (m,) sizes to classify.

    Returns:
        (m,) class index.
    """
    order = np.argsort(sizes, kind="stable")
    one_hot = np.eye(int(targets.max()) + 1, dtype=int)[targets[order]]
    below = np.cumsum(one_hot, axis=0)
    above = below[-1] - below
    # Only between different sizes: equal ones cannot be separated.
    possible = np.append(np.diff(sizes[order]) > 0, True)
    right = np.where(possible, below.max(1) + above.max(1), -1)
    best = int(right.argmax())
    limit = sizes[order][best]
    return np.where(applied_to <= limit, below[best].argmax(), above[best].argmax())


def shape_distances(simulated: Clusters, real: Clusters, classes: Sequence[str]) -> pd.DataFrame:
    """`overlay.distances` of the shape features, class by class, with the column `label`; largest first in a class."""
    parts = []
    for name in classes:
        ours, theirs = (overlay.quantities(part[part.labels == name], overlay.SHAPES) for part in (simulated, real))
        if len(ours) and len(theirs):
            found = overlay.distances(ours, theirs).sort_values("ks", ascending=False)
            parts.append(found.assign(label=name))
    return pd.concat(parts, ignore_index=True)
