"""What a classifier has to beat: a random forest on shape features, and the majority class."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.cli import replacing
from particle_zoo.clusters import Clusters
from particle_zoo.errors import InputError
from particle_zoo.pipelines.rasterise import bounding_boxes

TREES = 300


def store(path: Path, train: Clusters) -> None:
    """Write id, label, pixel digest and shape features of the training clusters.

    From it the forest can be refitted anywhere, and clusters that were trained on are recognised.
    """
    table = pd.concat([train.table[["id", "label"]], train.features()], axis=1).assign(digest=digests(train))
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)


def digests(clusters: Clusters) -> np.ndarray:
    """(n,) short hashes of the pixels of each cluster, wherever it lies."""
    top, left, _, _ = bounding_boxes(clusters)
    found = []
    for hits, row, col in zip(clusters, top, left, strict=True):
        pixels = hits[:, :2].astype(np.int64) - (row, col)
        found.append(hashlib.sha256(pixels[np.lexsort(pixels.T)].tobytes()).hexdigest()[:16])
    return np.array(found, dtype=str)


def trained_on(reference: pd.DataFrame, clusters: Clusters) -> int:
    """How many clusters are among those of `store`: the same id and the same pixels, as folders may reuse numbers."""
    known = set(zip(reference["id"].astype(str), reference["digest"], strict=True))
    return sum(pair in known for pair in zip(clusters.ids.tolist(), digests(clusters).tolist(), strict=True))


def restore(path: Path) -> pd.DataFrame:
    """Read the table of `store`.

    Raises:
        InputError: missing or unreadable.
    """
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); train the model again") from error
    missing = {"id", "label", "digest"} - set(table)
    if missing:
        raise InputError(f"{path} lacks {', '.join(sorted(missing))}; train the model again")
    return table


def forest(seed: int) -> Any:
    """The untrained random forest of every comparison."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(TREES, class_weight="balanced", random_state=seed, n_jobs=-1)


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
    lookup = {name: i for i, name in enumerate(classes)}
    target = np.array([lookup[label] for label in labels])
    # Energy columns of masks are NaN throughout: the forest takes NaN, but a column needs one value to be binned.
    usable = [name for name in features if features[name].notna().any()]
    trained = forest(seed).fit(features[usable].to_numpy(), target)
    majority = np.bincount(target, minlength=len(classes)).argmax()
    return {
        "random forest": trained.predict(test.features()[usable].to_numpy()),
        "majority class": np.full(len(test), majority),
    }
