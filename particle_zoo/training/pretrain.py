"""Pretraining of classifiers on simulated clusters: hand labels are few, and the simulation has any number of tracks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from particle_zoo import registry
from particle_zoo.data.ccd import SIMULATED
from particle_zoo.registry import ModelCard
from particle_zoo.simulation import ccd
from particle_zoo.simulation.ccd_events import KINDS
from particle_zoo.training.fit import fit
from particle_zoo.training.session import build

SEED = 100_000
"""Added to the seed of a training: its simulated clusters are none of the data set `ccd_clusters/simulated`."""


def settle(card: ModelCard, overrides: dict[str, Any], dataset: str, classes: Sequence[str] | None, init: str) -> Any:
    """The configuration of a training: what the user set, else the recipe that fits where it starts from.

    Args:
        card: the model.
        overrides: settings of the user.
        dataset: NAME[/CONFIG] to train on.
        classes: class names; None without targets.
        init: "none", or other weights to start from, which take the place of pretraining.

    Raises:
        InputError: unusable settings.
    """
    config = registry.config_class(card.name)
    settings = config.from_settings(overrides)
    if not classes or not hasattr(config, "fine_tuning") or getattr(settings, "recipe", "best") == "seed":
        return settings
    elsewhere = _starts_elsewhere(settings, init)
    pretrain = not elsewhere and wanted(settings.model_dump(), dataset, classes)
    if pretrain or elsewhere:
        settings = config.from_settings({**_fine_tuning(config), **overrides})
    if pretrain or "pretrain_epochs" not in config.model_fields:
        return settings
    return settings.model_copy(update={"pretrain_epochs": 0})


def fine_tuned(settings: Any, overrides: dict[str, Any], init: str) -> dict[str, Any]:
    """The values that fine-tuning, not the user, chose for a training from the weights `init`; empty without any.

    Args:
        settings: the configuration that `settle` gave.
        overrides: settings of the user.
        init: "none", or other weights to start from.
    """
    if not _starts_elsewhere(settings, init) or getattr(settings, "recipe", "best") == "seed":
        return {}
    return {key: value for key, value in _fine_tuning(settings).items() if key not in overrides}


def _fine_tuning(config: Any) -> dict[str, Any]:
    """The recipe of fine-tuning of a configuration, as far as the backend can follow it."""
    recipe = dict(getattr(config, "fine_tuning", {}))
    if keras.backend.backend() == "torch":
        # Its optimizers step through all variables at once, with one learning rate.
        recipe.pop("layer_decay", None)
    return recipe


def _starts_elsewhere(settings: Any, init: str) -> bool:
    """Whether the first weights come from another run or, as the configuration can say too, from ImageNet or a file."""
    return init != "none" or getattr(settings, "encoder_weights", "none") != "none"


def wanted(settings: dict[str, Any], dataset: str, classes: Sequence[str] | None) -> bool:
    """Whether these settings ask for pretraining: on real CCD clusters of classes that the simulation of a CCD has."""
    name, _, config = dataset.partition("/")
    real = name == "ccd_clusters" and bool(config) and config not in SIMULATED
    return bool(settings.get("pretrain_epochs")) and real and bool(set(classes or ()) & set(KINDS))


def pretrained_weights(
    card: ModelCard,
    settings: dict[str, Any],
    classes: Sequence[str],
    *,
    seed: int,
    precision: str = "float32",
    verbose: int | str = 0,
) -> list[np.ndarray]:
    """Weights after `pretrain_epochs` epochs on `pretrain_clusters` simulated clusters, the classes in equal shares.

    Preprocessing statistics are those of the simulation: no label and no pixel of a real cluster is used. The simulation
    itself was made to resemble the public labelled set (`particle_zoo.simulation.ccd_events`). Classes that it does not
    have are left to the training that follows.

    Args:
        card: the model.
        settings: its configuration.
        classes: class names in target order.
        seed: seed of the simulation, the first weights, order and augmentation.
        precision: dtype policy.
        verbose: as in `keras.Model.fit`.
    """
    mix = {name: 1.0 for name in classes if name in KINDS}
    simulated = ccd.generate(settings["pretrain_clusters"], SEED + seed, mix=mix)
    settings = settings | {
        "epochs": settings["pretrain_epochs"],
        "learning_rate": settings["pretrain_rate"],
        "balance": 0.0,
    }
    model = build(card, settings, simulated, classes, seed=seed, precision=precision)
    fit(model, simulated, None, classes=classes, seed=seed, verbose=verbose)
    return list(model.get_weights())
