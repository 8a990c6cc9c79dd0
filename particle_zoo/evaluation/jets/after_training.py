"""The metrics and figures that end a training of an autoencoder of jets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from particle_zoo.evaluation.jets import scores
from particle_zoo.evaluation.jets.rivals import KEYS, rivals
from particle_zoo.jets import Jets
from particle_zoo.plots import history
from particle_zoo.plots import jets as plots


def after_training(model: Any, train: Jets, validation: Jets, folder: Path) -> dict[str, Any]:
    """Score the best weights on both splits, draw `plots/history.png` and `plots/distributions.png`.

    Args:
        model: with its best weights.
        train: training jets; at least one.
        validation: jets of the validation split; without any, training jets are drawn and rivals are not scored.
        folder: of the run, with `history.csv`.

    Returns:
        Flat metrics: `epochs`, `parameters`, `train_n`, `validation_n`, `train_mse`, `validation_mse` and those of rivals:
        `validation_mse_pca` and, by the variables, `_massless` and `_one_mass`, or `_mean_mass`.
    """
    log = pd.read_csv(folder / "history.csv")
    history.curves(log, folder / "plots" / "history.png")
    metrics: dict[str, Any] = {
        "epochs": len(log),
        "parameters": model.count_params(),
        "train_n": len(train),
        "validation_n": len(validation),
        "train_mse": scores.mse(model, train),
    }
    shown, split = (validation, "validation") if len(validation) else (train, "train")
    true, drawn = scores.normalised(model, shown)
    if len(validation):
        metrics["validation_mse"] = scores.mean_square(true, drawn)
        for name, output in rivals(train, validation, model.preprocessor, model.zoo_config.latent).items():
            metrics[f"validation_mse_{KEYS.get(name, 'pca')}"] = scores.mean_square(true, output)
    found = scores.found_jets(model.preprocessor, drawn, shown)
    title = f"{model.zoo_name}, {len(shown):,} jets ({split})"
    plots.distributions(shown.select(found.columns), found, folder / "plots" / "distributions.png", title=title)
    return metrics
