"""Networks of a study: pretrained and trained into run folders, each as `train` would, and continued where they stopped."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
import pandas as pd

from particle_zoo import data, registry
from particle_zoo.cli import write_json
from particle_zoo.errors import InputError
from particle_zoo.evaluation import baseline, classifier
from particle_zoo.evaluation.proton_electron.sample import Sample, share
from particle_zoo.evaluation.proton_electron.settings import Settings
from particle_zoo.training import run_folder, session
from particle_zoo.training.fit import fit
from particle_zoo.training.pretrain import settle
from particle_zoo.weights import WEIGHTS, load_run, sha256, write_card

FINISHED = "metrics.json"
"""What the run folder of a pretraining has once it is over."""


@dataclass(frozen=True)
class Prediction:
    """What a method says of the test clusters.

    Args:
        probability: (n,) of the first class.
        seconds: for learning and predicting.
        curve: (epochs,) balanced accuracy on the validation clusters after every epoch; empty without epochs.
        resumed: whether the seconds miss an earlier, interrupted start.
    """

    probability: np.ndarray
    seconds: float
    curve: np.ndarray
    resumed: bool = False


def overrides(settings: Settings, model: str, further: dict[str, Any] | None = None) -> dict[str, Any]:
    """Settings of a network out of those of the study: what its configuration has a field for.

    Args:
        settings: of the study.
        model: name of the network.
        further: settings that it must have.

    Raises:
        InputError: a value that the network cannot take.
    """
    config = registry.config_class(model)
    wanted = {"size": settings.size, "backbone": settings.backbone, **settings.network_settings}
    chosen = {name: value for name, value in wanted.items() if name in config.model_fields and value is not None}
    chosen |= further or {}
    config.from_settings(chosen)
    return chosen


def pretrain(
    settings: Settings,
    model: str,
    folder: Path,
    further: dict[str, Any] | None = None,
    *,
    seed: int = 0,
    data_dir: Path | None = None,
    quiet: bool = False,
) -> Path:
    """Train a network without labels, or continue to.

    Returns:
        The run folder, finished.
    """
    if (folder / FINISHED).exists():
        return folder
    keras.utils.clear_session(free_memory=True)
    chosen = overrides(settings, model, {**(further or {}), "epochs": settings.pretrain_epochs})
    known = registry.config_class(model).model_fields
    if settings.pretrain_clusters and "epoch_clusters" in known:
        chosen["epoch_clusters"] = settings.pretrain_clusters
    if settings.pretrain_rate:
        chosen["learning_rate"] = settings.pretrain_rate
    if settings.pretrain_size and "size" in chosen:
        chosen["size"] = min(settings.pretrain_size, chosen["size"])
    job = session.prepare(
        registry.info(model),
        chosen,
        seed=seed,
        dataset=settings.pretraining,
        data_dir=data_dir,
        precision=settings.precision,
    )
    if not quiet:
        click.echo(f"pretraining {model} on {len(job.train):,} clusters of {job.dataset}, into {folder}")
    run_folder.start(folder, job.config(), resume=(folder / "config.json").exists())
    write_json(folder / FINISHED, session.train(job, folder, quiet=quiet))
    return folder


def train(
    settings: Settings,
    model: str,
    clusters: Sample,
    folder: Path,
    *,
    seed: int,
    fraction: float,
    init: Path | None = None,
    further: dict[str, Any] | None = None,
    quiet: bool = False,
) -> Prediction:
    """Train a classifier, or continue to, and let its best epoch predict the test clusters.

    Args:
        settings: of the study.
        model: name of the classifier.
        clusters: of the three splits.
        folder: run folder.
        seed: of first weights, order and augmentation.
        fraction: share of the labels of the training clusters, and of the validation clusters with them: whoever has few
            labels has few to choose the epoch by. It decides over the number of epochs, see `Form.most_passes`.
        init: pretrained run to start from.
        further: settings of the classifier.
        quiet: no progress.
    """
    keras.utils.clear_session(free_memory=True)
    # In full: a study that goes on may be started from another place.
    card, start = registry.info(model), str(init.resolve()) if init else "none"
    defaults = registry.config_class(model)()
    patience = round(settings.network_settings.get("patience", defaults.patience) * settings.passes(fraction))
    recipe = {"epochs": settings.epochs_of(model, fraction), "patience": patience}
    chosen = overrides(settings, model, {**(further or {}), **recipe})
    if hasattr(defaults, "watch_clusters"):
        # A part of the validation clusters would not be balanced.
        chosen["watch_clusters"] = 0
    config = settle(card, chosen, settings.dataset, clusters.classes, start)
    known, watched = (part[share(part.labels, fraction, seed)] for part in (clusters.train, clusters.validation))
    resumed = (folder / "config.json").exists()
    started = time.perf_counter()
    network = session.build(card, config.model_dump(), known, clusters.classes, seed=seed, precision=settings.precision)
    job = session.Job(
        card, network, settings.dataset, known, watched, clusters.classes, seed, settings.precision, None, "train", start,
        clusters.fingerprint,
    )  # fmt: skip
    session.initialise(job, start)
    run_folder.start(folder, job.config(), resume=resumed)
    baseline.store(folder / "baseline.parquet", known)
    # Not `session.train`, which scores the training clusters too: that takes longer than to learn from them.
    verbose = 0 if quiet else 2
    fit(network, known, watched, classes=clusters.classes, seed=seed, folder=folder, verbose=verbose)
    write_card(folder, network, {"dataset": settings.dataset, "classes": clusters.classes})
    probability = classifier.probabilities(network, clusters.test)[:, 0]
    seconds = time.perf_counter() - started
    # The validation clusters are balanced, and so is their accuracy.
    curve = pd.read_csv(folder / "history.csv")["val_accuracy"].to_numpy()
    return Prediction(probability.astype(np.float64), seconds, curve, resumed)


def check_start(settings: Settings, run: Path) -> str:
    """See that the classifier can start from a run; returns a short digest of its weights.

    Raises:
        InputError: no run, one that has seen labels, or one that does not fit.
    """
    if not (run / WEIGHTS).is_file():
        raise InputError(f"--pretrained {run} holds no {WEIGHTS}; give the folder of a finished run of an autoencoder")
    start, config = load_run(run)
    task, wanted = (registry.info(name).task for name in (config["model"], settings.autoencoder))
    if task != wanted:
        raise InputError(
            f"--pretrained {run} holds weights of {config['model']}, a {task}; give a run of a model such as {settings.autoencoder}"
        )
    classes = len(data.dataset_classes(settings.dataset))
    model = registry.create(settings.classifier, **overrides(settings, settings.classifier), classes=classes)
    if hasattr(model.preprocessor, "times"):
        # A Timepix1 has none to show to an encoder that never saw any.
        model.preprocessor = replace(model.preprocessor, times=False)
    model.start_from(start)
    keras.utils.clear_session(free_memory=True)
    return sha256(run / WEIGHTS)[:16]
