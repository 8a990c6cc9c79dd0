"""Class probabilities and the numbers made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.evaluation.batches import fitting
from particle_zoo.pipelines.examples import transformed

BATCH = 128
"""Most clusters at a time."""

RESAMPLES = 2000
"""Of the evaluated clusters, for an interval."""


def logits(model: Any, clusters: Clusters, symmetry: np.ndarray | None = None) -> np.ndarray:
    """(n, classes) float32 model outputs; image i turned by symmetry `symmetry[i]` of the square if given."""
    parts = []
    for start, inputs in _batches(model, clusters):
        if symmetry is not None:
            inputs = transformed(inputs, symmetry[start : start + fitting(model, BATCH)], model.preprocess)
        parts.append(np.asarray(model.predict_on_batch(inputs)))
    return np.concatenate(parts)


def softmax(values: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    from scipy.special import softmax as scipy_softmax

    return scipy_softmax(values, axis=-1)


def probabilities(model: Any, clusters: Clusters) -> np.ndarray:
    """(n, classes) class probabilities; the mean over the 8 symmetries where the model's config asks for it."""
    if not model.zoo_config.test_time_average:
        return softmax(logits(model, clusters))
    parts = []
    for start, inputs in _batches(model, clusters):
        # Drawn once, turned eight times: drawing is the slow part of small models.
        n = min(fitting(model, BATCH), len(clusters) - start)
        turned = (transformed(inputs, np.full(n, symmetry), model.preprocess) for symmetry in range(8))
        parts.append(np.mean([softmax(np.asarray(model.predict_on_batch(x))) for x in turned], axis=0))
    return np.concatenate(parts)


def _batches(model: Any, clusters: Clusters) -> Iterator[tuple[int, Any]]:
    """Yield position of the first cluster and model inputs of each batch."""
    size = fitting(model, BATCH)
    for start in range(0, len(clusters), size):
        yield start, model.preprocess(clusters[start : start + size])


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


def share_interval(share: float, n: int) -> list[float]:
    """95 % interval of a share of n examples, lower end first (Wilson, J. Am. Stat. Assoc. 22, 209, 1927)."""
    from scipy.stats import binomtest

    around = binomtest(round(share * n), n).proportion_ci(method="wilson")
    return [float(around.low), float(around.high)]


def intervals(matrix: Sequence[Sequence[int]] | np.ndarray) -> dict[str, list[float]]:
    """95 % intervals of `accuracy` and `balanced_accuracy` of a confusion matrix, lower end first.

    That of the balanced accuracy is from resampling the clusters (percentiles; Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993); where every cluster is right it has no width, which says that there were few, not that none can be wrong. As in
    `scores`, a class without an example counts in no mean, nor does one in a resample without it.
    """
    counts = np.asarray(matrix)
    n = counts.sum()
    drawn = np.random.default_rng(0).multinomial(n, counts.ravel() / n, RESAMPLES).reshape(RESAMPLES, *counts.shape)
    right, support = drawn.diagonal(axis1=1, axis2=2), drawn.sum(axis=2)
    recall = np.divide(right, support, out=np.zeros(right.shape), where=support > 0)
    balanced = recall.sum(1) / (support > 0).sum(1)
    return {
        "accuracy": share_interval(counts.trace() / n, int(n)),
        "balanced_accuracy": np.quantile(balanced, [0.025, 0.975]).tolist(),
    }
