"""Class probabilities and the numbers made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.pipelines.examples import Examples, transformed
from particle_zoo.training.feed import EpochBatches

BATCH = 64


def logits(model: Any, clusters: Clusters, symmetry: int | None = None) -> np.ndarray:
    """(n, classes) float32 model outputs, for inputs turned by one of the 8 symmetries of the square if given."""
    preprocess = model.preprocess
    if symmetry:

        def preprocess(part: Clusters) -> Any:
            return transformed(model.preprocess(part), np.full(len(part), symmetry), model.preprocess)

    return np.asarray(model.predict(EpochBatches(Examples(clusters, preprocess, batch_size=BATCH)), verbose=0))


def softmax(values: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    from scipy.special import softmax as scipy_softmax

    return scipy_softmax(values, axis=-1)


def probabilities(model: Any, clusters: Clusters) -> np.ndarray:
    """(n, classes) class probabilities; the mean over the 8 symmetries where the model's config asks for it."""
    if not model.zoo_config.test_time_average:
        return softmax(logits(model, clusters))
    return np.mean([softmax(logits(model, clusters, symmetry)) for symmetry in range(8)], axis=0)


def scores(truth: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Accuracy, balanced accuracy, per-class precision and recall, and the confusion matrix (rows: truth).

    Classes without an example count in no mean; a precision without predictions is 0.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    matrix = confusion_matrix(truth, predicted, labels=range(len(classes)))
    precision, recall, _, support = precision_recall_fscore_support(
        truth, predicted, labels=range(len(classes)), zero_division=0.0
    )
    return {
        "n": len(truth),
        "accuracy": float(np.mean(truth == predicted)),
        "balanced_accuracy": float(recall[support > 0].mean()),
        "classes": list(classes),
        "precision": dict(zip(classes, precision.tolist(), strict=True)),
        "recall": dict(zip(classes, recall.tolist(), strict=True)),
        "confusion_matrix": matrix.tolist(),
    }
