"""Run folders of models that were never trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from particle_zoo import registry
from particle_zoo.cli import write_json
from particle_zoo.clusters import Clusters
from particle_zoo.evaluation import baseline


def untrained_run(
    folder: Path,
    name: str,
    dataset: str,
    train: Clusters,
    *,
    classes: list[str] | None = None,
    seed: int = 0,
    **settings: Any,
) -> Path:
    """Write what `evaluate` and `embed` need of a run: random weights, config.json and the training clusters."""
    keras.utils.set_random_seed(seed)
    model = registry.create(name, **settings)
    model.preprocessor = model.preprocessor.fit(train)
    folder.mkdir(parents=True)
    model.save_weights(folder / "model.weights.h5")
    config = {"model": name, "config": model.zoo_config.model_dump(mode="json"), "classes": classes, "dataset": dataset}
    write_json(folder / "config.json", config | {"preprocessing": model.preprocessor.to_dict()})
    baseline.store(folder / "baseline.parquet", train)
    return folder
