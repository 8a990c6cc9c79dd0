"""What a classifier has to beat: a random forest on shape features, and the majority class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from particle_zoo.cli import replacing
from particle_zoo.clusters import Clusters
from particle_zoo.errors import InputError
from particle_zoo.pipelines.examples import class_index

TREES = 300


def store(path: Path, train: Clusters) -> None:
    """Write id, label and shape features of the training clusters, from which the forest can be refitted anywhere."""
    table = pd.concat([train.table[["id", "label"]], train.features()], axis=1)
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)


def restore(path: Path) -> pd.DataFrame:
    """Read the table of `store`.

    Raises:
        InputError: missing or unreadable.
    """
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); train the model again") from error


def predict(
    features: pd.DataFrame, labels: Sequence[str] | np.ndarray, test: Clusters, classes: Sequence[str], seed: int = 0
) -> dict[str, np.ndarray]:
    """(n,) predicted class index of the test clusters, by method name.

    Args:
        features: shape features of the training clusters.
        labels: their class names.
        test: clusters to classify.
        classes: class names in target order.
        seed: seed of the forest.
    """
    from sklearn.ensemble import RandomForestClassifier

    lookup = {name: i for i, name in enumerate(classes)}
    target = np.array([lookup[label] for label in labels])
    # Energy columns of masks are NaN throughout: the forest takes NaN, but a column needs one value to be binned.
    usable = [name for name in features if features[name].notna().any()]
    forest = RandomForestClassifier(TREES, class_weight="balanced", random_state=seed, n_jobs=-1)
    forest.fit(features[usable].to_numpy(), target)
    majority = np.bincount(target, minlength=len(classes)).argmax()
    return {
        "random forest": forest.predict(test.features()[usable].to_numpy()),
        "majority class": np.full(len(test), majority),
    }


def truth(test: Clusters, classes: Sequence[str]) -> np.ndarray:
    """(n,) class index of labelled clusters."""
    return class_index(test, classes)
