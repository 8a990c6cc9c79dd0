"""The metrics and figures that end a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo import registry
from particle_zoo.clusters import Clusters
from particle_zoo.evaluation import classifier, latent
from particle_zoo.evaluation.batches import fitting
from particle_zoo.plots import classification, history, images

MOST = 5_000
"""Clusters of a split that are scored after a training, fewer where images are large: 20,000 took as long as training the VAE.

`evaluate` takes all, or as many as it is told.
"""


def after_training(
    model: Any, train: Clusters, validation: Clusters, classes: Sequence[str] | None, folder: Path
) -> dict[str, Any]:
    """Score the best weights on both splits and draw `plots/`; returns flat metrics, `train_*` and `validation_*`.

    Of a split with more than `MOST` clusters about that many are scored, chosen evenly over it.
    """
    plots = folder / "plots"
    table = pd.read_csv(folder / "history.csv")
    history.curves(table, plots / "history.png")
    metrics: dict[str, Any] = {"epochs": len(table), "parameters": model.count_params()}
    task = registry.info(model.zoo_name).task
    for name, whole in (("train", train), ("validation", validation)):
        metrics[f"{name}_n"] = len(whole)
        if not len(whole):
            continue
        part = evenly(whole, fitting(model, MOST))
        if hasattr(model.preprocessor, "averaged"):
            metrics[f"{name}_averaged_over_blocks"] = model.preprocessor.averaged(whole)
        if task == "classifier" and classes:
            from particle_zoo.pipelines.examples import class_index

            predicted = classifier.probabilities(model, part)
            found = classifier.scores(class_index(part, classes), predicted.argmax(1), classes)
            metrics |= {f"{name}_accuracy": found["accuracy"], f"{name}_balanced_accuracy": found["balanced_accuracy"]}
            classification.confusion(found["confusion_matrix"], classes, plots / f"confusion_{name}.png", title=name)
        elif task == "vae":
            metrics |= {f"{name}_{key}": value for key, value in latent.losses(model, part).items()}
    if task == "vae":
        images.reconstructions(model, validation if len(validation) else train, plots / "reconstructions.png")
    if task == "autoencoder":
        from particle_zoo.detectors.holy import classify
        from particle_zoo.evaluation import reconstruction
        from particle_zoo.plots.animation import reconstruction_over_training
        from particle_zoo.plots.reconstruction import by_track_type
        from particle_zoo.training import snapshots

        name, whole = ("validation", validation) if len(validation) else ("train", train)
        part = evenly(whole, model.zoo_config.watch_clusters or fitting(model, MOST))
        kinds = classify(part)
        (scores,) = reconstruction.rows(model, part).values()
        found = reconstruction.summary(scores, kinds)
        metrics |= {f"{name}_{key}": value for key, value in found.items() if isinstance(value, float)}
        metrics[f"{name}_iou_by_type"] = {kind: row["iou"] for kind, row in found["by_type"].items()}
        by_track_type(model, part, kinds, plots / "reconstructions.png")
        frames = snapshots.read(folder)
        if frames:
            reconstruction_over_training(frames, plots / "training.gif")
    return metrics


def evenly(clusters: Clusters, most: int) -> Clusters:
    """At most so many clusters, spread evenly over all of them."""
    if len(clusters) <= most:
        return clusters
    return clusters[np.linspace(0, len(clusters) - 1, most).astype(int)]
