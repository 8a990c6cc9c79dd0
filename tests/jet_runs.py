"""Run folders of jet autoencoders without a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from particle_zoo import registry
from particle_zoo.cli import write_json
from particle_zoo.simulation.jets import generate
from particle_zoo.weights import WEIGHTS, write_card


def write_run(folder: Path, *, seed: int = 3, fitted_on: int = 1, **settings: Any) -> Path:
    """A `tiny_jet_ae` with random weights, whose normalisation was learned from 2,000 jets of a seed."""
    keras.utils.set_random_seed(seed)
    model = registry.create("tiny_jet_ae", **settings)
    model.preprocessor = model.preprocessor.fit(generate(2_000, fitted_on))
    folder.mkdir(parents=True)
    about = {"model": "tiny_jet_ae", "config": model.zoo_config.model_dump(mode="json"), "classes": None}
    about |= {"dataset": "jets/simulated", "preprocessing": model.preprocessor.to_dict()}
    write_json(folder / "config.json", about)
    model.save_weights(folder / WEIGHTS)
    write_card(folder, model, {})
    return folder
