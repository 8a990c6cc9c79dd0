"""Run folders of small models with random weights, one a family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from particle_zoo import registry
from particle_zoo.cli import write_json
from particle_zoo.weights import WEIGHTS, write_card

SMALL_META = {"filters": [4, 4], "kernel_sizes": [3, 3], "strides": [1, 2], "paddings": [1, 1], "dense_units": [8]}
"""Settings of a small `cnn_meta`."""


def build(name: str, fitted_on: Any = None, **settings: Any) -> Any:
    """A model whose outputs depend on all of its layers: initial biases and scales of 0 would hide what goes wrong before them."""
    keras.utils.set_random_seed(3)
    model = registry.build(name, **settings)
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(weight + rng.normal(0, 0.1, weight.shape))
    if fitted_on is not None:
        model.preprocessor = model.preprocessor.fit(fitted_on)
    return model


def about(model: Any, classes: list[str] | None = None) -> dict[str, Any]:
    """The config.json of its run."""
    return {
        "model": model.zoo_name,
        "config": model.zoo_config.model_dump(mode="json"),
        "classes": classes,
        "dataset": registry.info(model.zoo_name).default_dataset,
        "preprocessing": model.preprocessor.to_dict(),
    }


def write_run(
    folder: Path, name: str, classes: list[str] | None = None, fitted_on: Any = None, **settings: Any
) -> Path:
    """Such a model as a run folder."""
    model = build(name, fitted_on, **settings)
    folder.mkdir(parents=True)
    write_json(folder / "config.json", about(model, classes))
    model.save_weights(folder / WEIGHTS)
    write_card(folder, model, {})
    return folder
