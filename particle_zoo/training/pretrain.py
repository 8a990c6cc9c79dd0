"""Pretraining of classifiers on simulated clusters: hand labels are few, and the simulation has any number of tracks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo import data
from particle_zoo.clusters import Clusters
from particle_zoo.registry import ModelCard
from particle_zoo.training.fit import fit
from particle_zoo.training.session import build


def wanted(settings: dict[str, Any], card: ModelCard, dataset: str, classes: Sequence[str] | None) -> bool:
    """Whether these settings ask for pretraining, on clusters other than the training clusters themselves."""
    return bool(classes and settings.get("pretrain_epochs")) and _name(dataset) != _name(card.default_dataset)


def pretrained_weights(
    card: ModelCard,
    settings: dict[str, Any],
    classes: Sequence[str],
    *,
    seed: int,
    precision: str = "float32",
    data_dir: Path | None = None,
    verbose: int | str = 0,
) -> list[np.ndarray]:
    """Weights of a model trained on all simulated clusters of the classes, for `pretrain_epochs` of the settings.

    Preprocessing statistics are those of the simulation, so the weights depend on no real cluster. Classes that the
    simulation does not have are left to the training that follows.

    Args:
        card: the model.
        settings: its configuration.
        classes: class names in target order.
        seed: seed of weights, order and augmentation.
        precision: dtype policy.
        data_dir: where the prepared simulation is kept.
        verbose: as in `keras.Model.fit`.

    Raises:
        InputError: the simulation has none of the classes.
    """
    simulated: Clusters = data.load(card.default_dataset, "all", classes=classes, data_dir=data_dir)
    settings = {**settings, "epochs": settings["pretrain_epochs"]}
    model = build(card, settings, simulated, classes, seed=seed, precision=precision)
    fit(model, simulated, None, classes=classes, seed=seed, verbose=verbose)
    return list(model.get_weights())


def _name(dataset: str) -> str:
    name, _, config = dataset.partition("/")
    return f"{name}/{config or 'simulated'}"
