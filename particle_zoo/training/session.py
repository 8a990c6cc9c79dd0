"""One training from settings to a finished run folder; what `train` and `evaluate --protocol` have in common."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np

from particle_zoo import data, registry
from particle_zoo.clusters import Clusters
from particle_zoo.data.cluster_stream import ClusterStream
from particle_zoo.errors import InputError
from particle_zoo.registry import ModelCard
from particle_zoo.training import devices, progressive, run_folder, snapshots
from particle_zoo.training.checkpoint import CHECKPOINT
from particle_zoo.training.fit import fit

TRAINERS = {
    "anomaly": "particle_zoo.training.anomaly",
    "deep_clustering": "particle_zoo.training.deep_clustering",
    "compression": "particle_zoo.training.jets",
}
"""Modules that train the models of a task; all other tasks learn from clusters, in this one."""

SEED_CLASSES = ("xray", "electron", "muon")
"""The three classes of the seed (003), in the order of its confusion matrix."""

SAMPLE = 20_000
"""Clusters of a streamed split that are in memory: for statistics, validation, metrics and figures."""


@dataclass(frozen=True)
class Job:
    """A model with fitted preprocessing and the clusters to train it on."""

    card: ModelCard
    model: Any
    dataset: str
    train: Clusters
    validation: Clusters
    classes: tuple[str, ...] | None
    seed: int
    precision: str
    limit: int | None
    split: str
    init: str
    fingerprint: str
    """Of the source files: see `particle_zoo.data.fingerprint`."""

    gentle: dict[str, Any] = field(default_factory=dict)
    """Settings that fine-tuning, not the user, chose."""

    stream: ClusterStream | None = None
    """Where the training clusters come from if not all are in memory; `train` and `validation` are samples then."""

    @property
    def examples(self) -> Clusters | ClusterStream:
        """What to train on."""
        return self.train if self.stream is None else self.stream

    def describe(self) -> str:
        """What is trained on what; a line before it says what fine-tuning chose."""
        recipe = ", ".join(f"{k} {v:g}" for k, v in self.gentle.items())
        first = f"fine-tuning recipe, since --init is given: {recipe}\n" if recipe else ""
        streamed = "" if self.stream is None else "streamed "
        return (
            f"{first}{self.card.name}: {self.model.count_params():,} parameters, "
            f"{len(self.examples):,} {streamed}training and {len(self.validation):,} validation clusters of {self.dataset}"
        )

    def config(self) -> dict[str, Any]:
        """What config.json says: everything needed to rebuild the model and to repeat the run."""
        return {
            "model": self.card.name,
            "config": self.model.zoo_config.model_dump(mode="json"),
            "preprocessing": self.model.preprocessor.to_dict(),
            "classes": list(self.classes) if self.classes else None,
            "dataset": self.dataset,
            "fingerprint": self.fingerprint,
            "split": self.split,
            "init": self.init,
            "seed": self.seed,
            "precision": self.precision,
            "limit": self.limit,
            "stream": self.stream is not None,
            "train_ids": digest(self.train.ids) if self.stream is None else self.stream.survey.digest,
            "backend": keras.backend.backend(),
            "versions": run_folder.versions(),
        }


def digest(ids: np.ndarray) -> str:
    """Short hash of the training ids: a resumed run must see the same clusters."""
    import hashlib

    return hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]


def parse_classes(text: str | None, dataset: str, manual_dir: Path | None = None) -> tuple[str, ...]:
    """Class names of `--classes`.

    Args:
        text: names, or "all"; None means the seed's three where the data set has them, else every class.
        dataset: NAME[/CONFIG].
        manual_dir: the user's files, which may bring classes of their own.

    Raises:
        InputError: an unknown or repeated name, or a data set without labels.
    """
    known = data.dataset_classes(dataset, manual_dir=manual_dir)
    if not known:
        raise InputError(f"{dataset} has no labels; put its files in one sub-folder a class, or take another --dataset")
    if text is None and set(SEED_CLASSES) <= set(known):
        return SEED_CLASSES
    if text is None or text == "all":
        return tuple(known)
    chosen = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [c for c in chosen if c not in known]
    if unknown or len(set(chosen)) != len(chosen) or not chosen:
        raise InputError(f"--classes takes different names out of {', '.join(known)}, or all; received {text!r}")
    return chosen


def pick_data(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a command that choose clusters."""
    return {key: options.get(key) for key in ("dataset", "data_dir", "manual_dir", "classes", "split", "limit")}


def is_classifier(card: ModelCard) -> bool:
    """Whether the family has targets."""
    return card.task == "classifier"


def prepare(
    card: ModelCard,
    overrides: dict[str, Any],
    *,
    seed: int,
    dataset: str | None = None,
    data_dir: Path | None = None,
    manual_dir: Path | None = None,
    classes: str | None = None,
    split: str | None = None,
    limit: int | None = None,
    precision: str = "float32",
    init: str = "none",
    stream: bool = False,
) -> Job:
    """Load the clusters, build the model and fit its preprocessing on the training clusters.

    With `stream` the training clusters stay on disk. The preprocessing is then fitted on a sample of them, and a sample of
    the validation clusters is watched.

    `init` is where the weights will come from; it decides between the recipes, see `pretrain.settle`.

    A model without targets trains on every cluster unless classes are chosen; a classifier on the seed's three.
    With `split="all"` nothing is left to validate on and the training loss is watched.

    Raises:
        InputError: unusable settings or data.
    """
    dataset = dataset or card.default_dataset
    from particle_zoo.training.pretrain import fine_tuned, settle

    if init == "imagenet":
        if "encoder_weights" not in registry.config_class(card.name).model_fields:
            raise InputError(f"{card.name} has no ImageNet weights; give --init none or the folder of a run")
        overrides = {**overrides, "encoder_weights": "imagenet"}

    chosen = parse_classes(classes, dataset, manual_dir) if is_classifier(card) or classes else None
    settings = settle(card, overrides, dataset, chosen, init)
    source: dict[str, Any] = {"data_dir": data_dir, "manual_dir": manual_dir, "classes": chosen}
    split = split or "train"
    whole = ClusterStream.open(dataset, split, limit=limit, columns=(), **source) if stream else None
    if whole is not None:
        train, validation = _samples(whole, dataset, split, seed, source)
    else:
        train = data.load(dataset, split, limit=limit, **source)
        if split == "all":
            validation = train[[]]
        else:
            validation = data.load(dataset, "validation", allow_empty=True, **source)
            # Another split than train may hold the validation clusters themselves.
            validation = validation[~np.isin(validation.ids, train.ids)]
    model = build(card, settings.model_dump(), train, chosen, seed=seed, precision=precision)
    if len(validation) and hasattr(model.preprocessor, "check"):
        # Before the first epoch ends, and before there is a run folder.
        model.preprocessor.check(validation)
    if whole is not None:
        whole.largest(model.preprocessor)
    found = data.fingerprint(dataset, data_dir=data_dir, manual_dir=manual_dir)
    gentle = fine_tuned(model.zoo_config, overrides, init)
    return Job(
        card, model, dataset, train, validation, chosen, seed, precision, limit, split, init, found, gentle, whole
    )


def _samples(
    stream: ClusterStream, dataset: str, split: str, seed: int, source: dict[str, Any]
) -> tuple[Clusters, Clusters]:
    """Samples of the training and of the validation clusters that fit into memory; no validation where it is trained on."""
    train = stream.sample(SAMPLE, seed)
    if split in ("all", "validation"):
        return train, train[[]]
    validation = ClusterStream.open(dataset, "validation", columns=(), allow_empty=True, **source)
    return train, validation.sample(SAMPLE, seed)


def build(
    card: ModelCard,
    settings: dict[str, Any],
    train: Clusters,
    classes: Sequence[str] | None,
    *,
    seed: int,
    precision: str = "float32",
) -> Any:
    """A freshly initialised model whose preprocessing statistics come from `train` alone."""
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(seed)
    if is_classifier(card):
        settings = {**settings, "classes": len(classes or ())}
    model = registry.create(card.name, **settings)
    model.preprocessor = model.preprocessor.fit(train)
    return model


def initialise(job: Job, source: str) -> None:
    """Start from the weights of another run of the same architecture.

    Raises:
        InputError: weights that do not fit, or ImageNet for a family that has none.
    """
    if source == "none":
        return
    if source == "imagenet":
        # A family that has them has already started from them; see `prepare`.
        return
    from particle_zoo.weights import load_run, locate

    other, _ = load_run(locate(source))
    job.model.start_from(other)


def train(
    job: Job, folder: Path, *, quiet: bool = False, callbacks: Sequence[keras.callbacks.Callback] = ()
) -> dict[str, Any]:
    """Pretrain where the settings say so, fit, then write metrics, card, figures and the baseline's training table.

    Returns the metrics. A checkpoint in the folder is continued, without pretraining again. The callbacks are called in
    the training proper, neither in pretraining nor at smaller sizes of images.
    """
    from particle_zoo.evaluation import baseline, report
    from particle_zoo.training.pretrain import pretrained_weights
    from particle_zoo.weights import write_card

    spread = devices.current()
    if spread.chief:
        baseline.store(folder / "baseline.parquet", job.train)
    # A bar on a terminal, one line an epoch in a log file.
    verbose = 0 if quiet else (1 if sys.stdout.isatty() else 2)
    started = time.perf_counter()
    settings = job.model.zoo_config.model_dump()
    if settings.get("pretrain_epochs") and spread.decide(not (folder / CHECKPOINT).exists()):
        if not quiet:
            click.echo(
                f"first {settings['pretrain_epochs']} epochs on {settings['pretrain_clusters']:,} simulated clusters"
            )
        recipe: dict[str, Any] = {"seed": job.seed, "precision": job.precision, "verbose": verbose}
        job.model.set_weights(pretrained_weights(job.card, settings, job.classes or (), **recipe))
    spent = time.perf_counter() - started
    progressive.grow(job, folder, verbose=verbose)
    pictures = snapshots.callbacks(job, folder, stage=len(getattr(job.model.zoo_config, "progressive", ())))
    options: dict[str, Any] = {
        "classes": job.classes,
        "seed": job.seed,
        "folder": folder,
        "spent": spent,
        "verbose": verbose,
        "callbacks": [*pictures, *callbacks],
    }
    fit(job.model, job.examples, job.validation, **options)
    spread.dismiss()
    metrics = report.after_training(job.model, job.train, job.validation, job.classes, folder)
    if job.stream is not None:
        metrics["train_n"] = len(job.stream)
        if hasattr(job.model.preprocessor, "averaged"):
            metrics["train_averaged_over_blocks"] = sum(map(job.model.preprocessor.averaged, job.stream))
    write_card(folder, job.model, {"metrics": metrics, "dataset": job.dataset, "classes": job.classes})
    return metrics
