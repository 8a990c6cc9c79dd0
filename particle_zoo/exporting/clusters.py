"""What graphs of cluster models have in common: drawing their inputs, probabilities, and examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from particle_zoo import data, registry
from particle_zoo.clusters import Clusters
from particle_zoo.evaluation.batches import fitting
from particle_zoo.exporting.graph import Arrays, Examples, Graph, Tensor

MOST = 20
"""Clusters at a time: one of 1,000 px makes the rasters of all others as large."""


def draw(clusters: Clusters, values: np.ndarray, *, earliest: bool = False) -> np.ndarray:
    """(n, rows, cols) float32 rasters, bounding boxes in the top left corner, of one value a hit; 0 elsewhere.

    Of a pixel hit twice the sum, or the smaller value with `earliest`.
    """
    from particle_zoo.pipelines.rasterise import bounding_boxes

    top, left, height, width = bounding_boxes(clusters)
    which = clusters.hit_cluster
    row, col = (clusters.column(name).astype(np.int64) for name in ("row", "col"))
    images = np.full((len(clusters), height.max(), width.max()), np.inf if earliest else 0, np.float32)
    place = which, row - top[which], col - left[which]
    (np.minimum if earliest else np.add).at(images, place, values.astype(np.float32))
    return np.where(np.isfinite(images), images, 0) if earliest else images


def flips(image: Any) -> list[Any]:
    """The 8 symmetries of (batch, side, side, channels) images; the last four exchange rows and columns."""
    turned = [image, ops.transpose(image, (0, 2, 1, 3))]
    return [ops.flip(one, axis) if axis else one for one in turned for axis in ((), 1, 2, (1, 2))]


def probability(logits: Any, symmetries: int) -> Any:
    """(batch, classes) probabilities of logits of so many turned copies, one behind the other."""
    each = ops.softmax(logits, axis=-1)
    if symmetries == 1:
        return each
    return ops.mean(ops.reshape(each, (symmetries, -1, each.shape[-1])), axis=0)


def probability_output(config: dict[str, Any]) -> tuple[Tensor, ...]:
    """The output of a classifier; none of other models."""
    names = config["classes"]
    return (Tensor("probability", (len(names),), f"of the classes {', '.join(names)}"),) if names else ()


def averages(model: Any) -> bool:
    """Whether a model is a classifier that `predict` shows all symmetries of a cluster."""
    return bool(getattr(model.zoo_config, "test_time_average", False))


def turned(model: Any, images: Any) -> tuple[Any, int]:
    """Images as the network takes them, all symmetries behind each other where the model averages over them, and how many those are."""
    if not averages(model):
        return images, 1
    copies = flips(images)
    return ops.concatenate(copies, axis=0), len(copies)


def averaging(model: Any) -> str:
    """What the description of a graph says of symmetries."""
    return ", averages probabilities over the 8 symmetries of the square" if averages(model) else ""


def load(model: Any, config: dict[str, Any], n: int, seed: int, options: dict[str, Any]) -> tuple[str, Clusters]:
    """Clusters to try a graph on, with the name of their data.

    Raises:
        InputError: unknown or unusable data.
    """
    classes = config["classes"] or None
    if options["dataset"]:
        where: dict[str, Any] = {key: options[key] for key in ("data_dir", "manual_dir")}
        known = classes if classes and data.labelled(options["dataset"]) else None
        found = data.load(options["dataset"], options["split"], classes=known, limit=n, **where)
        return f"{options['dataset']}, split {options['split']}", found
    from particle_zoo.evaluation.network_speed import simulated_clusters

    card = registry.info(model.zoo_name)
    # Half of the simulated CCD clusters are of the classes of the seed.
    found = simulated_clusters(card, 3 * n if classes else n, seed)
    if classes and np.isin(found.labels, classes).any():
        found = found[np.isin(found.labels, classes)]
    return f"simulated like {card.default_dataset}, seed {seed}", found[:n]


def examples(
    graph: Graph, config: dict[str, Any], clusters: Clusters, name: str, some: Callable[[Any, Clusters], Arrays]
) -> Examples:
    """Examples of a cluster model.

    Args:
        graph: of it.
        config: of its run.
        clusters: n of them.
        name: of their data.
        some: makes inputs of the graph of the model and clusters.

    Raises:
        InputError: clusters that the model does not take.
    """
    model, classes = graph.model, list(config["classes"] or ())
    model.preprocess(clusters[:1])
    truth = np.empty(0, np.int64)
    if classes and np.isin(clusters.labels, classes).all():
        truth = np.array([classes.index(label) for label in clusters.labels])

    def expected(start: int, end: int) -> Arrays:
        if classes and registry.info(model.zoo_name).task == "classifier":
            from particle_zoo.evaluation.classifier import probabilities

            return {"probability": probabilities(model, clusters[start:end])}
        found = graph.network.predict_on_batch(model.preprocess(clusters[start:end]))
        return {key: np.asarray(value) for key, value in found.items()}

    def inputs(start: int, end: int) -> Arrays:
        return some(model, clusters[start:end])

    return Examples(name, len(clusters), inputs, expected, fitting(model, MOST), truth)
