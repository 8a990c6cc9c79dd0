"""The metrics and figures that end a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from particle_zoo.clusters import Clusters
from particle_zoo.evaluation import classifier, latent
from particle_zoo.plots import classification, history, images


def after_training(
    model: Any, train: Clusters, validation: Clusters, classes: Sequence[str] | None, folder: Path
) -> dict[str, Any]:
    """Score the best weights on both splits and draw `plots/`; returns flat metrics, `train_*` and `validation_*`."""
    plots = folder / "plots"
    table = pd.read_csv(folder / "history.csv")
    history.curves(table, plots / "history.png")
    metrics: dict[str, Any] = {"epochs": len(table), "parameters": model.count_params()}
    for name, part in (("train", train), ("validation", validation)):
        metrics[f"{name}_n"] = len(part)
        if not len(part):
            continue
        if classes and hasattr(model.zoo_config, "test_time_average"):
            from particle_zoo.pipelines.examples import class_index

            predicted = classifier.probabilities(model, part)
            found = classifier.scores(class_index(part, classes), predicted.argmax(1), classes)
            metrics |= {f"{name}_accuracy": found["accuracy"], f"{name}_balanced_accuracy": found["balanced_accuracy"]}
            classification.confusion(found["confusion_matrix"], classes, plots / f"confusion_{name}.png", title=name)
        else:
            metrics |= {f"{name}_{key}": value for key, value in latent.losses(model, part).items()}
    if not hasattr(model.zoo_config, "test_time_average"):
        images.reconstructions(model, validation if len(validation) else train, plots / "reconstructions.png")
    return metrics
