"""A study: every method with every seed, what is done kept in a folder, and what is left run when it is started again."""

from __future__ import annotations

import shutil
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from particle_zoo import data, registry
from particle_zoo.cli import read_json, replacing, write_json
from particle_zoo.errors import InputError
from particle_zoo.evaluation.proton_electron import networks, rivals, sample
from particle_zoo.evaluation.proton_electron.networks import Prediction
from particle_zoo.evaluation.proton_electron.settings import RESULTS_ONLY, Settings
from particle_zoo.pipelines.examples import class_index

PARTS = ("pretrained", "networks", "predictions", "plots", "settings.json", "results.json", "ablations.json")
"""What a study writes into its folder."""

FOREST = "random forest"


@dataclass(frozen=True)
class Trial:
    """One method with one seed.

    Args:
        method: as the table names it.
        seed: of everything random in it.
        fraction: of the training labels.
        model: registered name; "" for a rival.
        pretrained: model to pretrain first; "" without.
        settings: further settings of both.
        pretrained_seed: of the pretraining.
    """

    method: str
    seed: int
    fraction: float = 1.0
    model: str = ""
    pretrained: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    pretrained_seed: int = 0

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{plain(self.method)}-{100 * self.fraction:g}-{self.seed}"


def plain(text: str) -> str:
    """A text as part of a file name."""
    return "_".join("".join(c if c.isalnum() else " " for c in text).split())


def methods(settings: Settings) -> list[Trial]:
    """One trial a method, with seed 0 and all labels, in the order of the table."""
    scratch, started = f"{settings.classifier}, from scratch", f"{settings.classifier}, pretrained"
    return [
        *(Trial(name, 0) for name in rivals.RIVALS),
        Trial(settings.cnn, 0, model=settings.cnn),
        Trial(scratch, 0, model=settings.classifier),
        Trial(started, 0, model=settings.classifier, pretrained=settings.autoencoder),
    ]


def main_trials(settings: Settings) -> list[Trial]:
    """Every method with every seed, and the ones that are compared by their number of labels with every share."""
    found = []
    for method in methods(settings):
        once = method.method in rivals.SAME_WITH_EVERY_SEED
        fractions = (1.0,) if once or method.method == settings.cnn else settings.fractions
        for fraction in reversed(fractions):
            seeds = range(1 if once else settings.seeds)
            found += [Trial(method.method, seed, fraction, method.model, method.pretrained) for seed in seeds]
    return found


def ablation_trials(settings: Settings) -> list[Trial]:
    """The classifier from every variant of the pretraining, with every seed.

    The seed is also that of the pretraining, which is what differs here; the main study pretrains once.
    """
    return [
        Trial(f"ablation: {name}", seed, 1.0, settings.classifier, variant.autoencoder, variant.settings, seed)
        for name, variant in settings.ablations.items()
        for seed in range(settings.seeds)
    ]


def check_models(settings: Settings, trials: list[Trial]) -> None:
    """See that every network can be built before any of them trains.

    Raises:
        UnknownModelError: a model that is not registered.
        InputError: a setting that one cannot take.
    """
    for trial in trials:
        for model in filter(None, (trial.model, trial.pretrained)):
            networks.overrides(settings, model, trial.settings)


def check_folder(folder: Path, settings: Settings, fingerprint: str) -> None:
    """See that a study that goes on was started with the same settings.

    Raises:
        InputError: other settings, or a file in the way.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output {folder} is a file; give a folder")
    path = folder / "settings.json"
    if not path.exists():
        return
    before, now = read_json(path, what="settings of the study"), _written(settings, fingerprint)
    for key in sorted({*before, *now} - {*RESULTS_ONLY}):
        if before.get(key) != now.get(key):
            raise InputError(
                f"{folder} was started with {key} {before.get(key)!r}, now it is {now.get(key)!r}; repeat the first "
                "command, choose another --output, or start over with --force"
            )


def begin(folder: Path, settings: Settings, fingerprint: str, *, force: bool) -> None:
    """Write settings.json; with `force` remove what an earlier study has left, and nothing else that lies in the folder."""
    for name in PARTS if force else ():
        part = folder / name
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)
    write_json(folder / "settings.json", _written(settings, fingerprint))


def _written(settings: Settings, fingerprint: str) -> dict[str, Any]:
    pretraining = settings.pretraining or registry.info(settings.autoencoder).default_dataset
    return {
        **settings.model_dump(mode="json"),
        "fingerprint": fingerprint,
        "pretraining_fingerprint": data.fingerprint(pretraining),
    }


def run(
    settings: Settings,
    trials: list[Trial],
    clusters: sample.Sample,
    folder: Path,
    *,
    pretrained: Path | None = None,
    data_dir: Path | None = None,
    quiet: bool = False,
) -> Iterator[tuple[Trial, Prediction]]:
    """Yield the prediction of every trial, made now or kept from an earlier start.

    Args:
        settings: of the study.
        trials: what to run.
        clusters: of the three splits.
        folder: of the study.
        pretrained: run that takes the place of the pretraining of the settings' autoencoder.
        data_dir: where prepared data sets are kept.
        quiet: no progress.

    Raises:
        InputError: a damaged prediction of an earlier start.
    """
    features: Features | None = None
    for number, trial in enumerate(trials, 1):
        path = folder / "predictions" / f"{trial.name}.npz"
        if path.exists():
            yield trial, _read(path, len(clusters.test))
            continue
        if not quiet:
            click.echo(f"{number}/{len(trials)}: {trial.method}, {trial.fraction:.0%} of the labels, seed {trial.seed}")
        if trial.model:
            init = _start(settings, trial, folder, pretrained, data_dir, quiet) if trial.pretrained else None
            prediction = networks.train(
                settings, trial.model, clusters, folder / "networks" / trial.name, seed=trial.seed,
                fraction=trial.fraction, init=init, further=trial.settings, quiet=quiet,
            )  # fmt: skip
        else:
            features = features or Features(clusters)
            prediction = _rival(trial, clusters, features)
        _write(path, prediction)
        yield trial, prediction


class Features:
    """What trees see of the clusters, computed once a start."""

    def __init__(self, clusters: sample.Sample) -> None:
        self.train, self.test = rivals.table(clusters.train), rivals.table(clusters.test)
        self.target = class_index(clusters.train, clusters.classes)


def _rival(trial: Trial, clusters: sample.Sample, features: Features) -> Prediction:
    known = sample.share(clusters.train.labels, trial.fraction, trial.seed)
    started = time.perf_counter()
    learn = rivals.RIVALS[trial.method]
    probability = learn(features.train.iloc[known], features.target[known], features.test, trial.seed)
    return Prediction(probability, time.perf_counter() - started, np.empty(0))


def _start(
    settings: Settings, trial: Trial, folder: Path, pretrained: Path | None, data_dir: Path | None, quiet: bool
) -> Path:
    """The pretrained run that a trial starts from, made where there is none yet."""
    if pretrained and trial.pretrained == settings.autoencoder and not trial.settings:
        return pretrained
    own = folder / "pretrained" / plain(f"{trial.pretrained} {trial.settings or ''} {trial.pretrained_seed or ''}")
    return networks.pretrain(
        settings, trial.pretrained, own, trial.settings, seed=trial.pretrained_seed, data_dir=data_dir, quiet=quiet
    )


def _write(path: Path, prediction: Prediction) -> None:
    with replacing(path) as temporary:
        np.savez(
            temporary,
            probability=prediction.probability,
            seconds=prediction.seconds,
            curve=prediction.curve,
            resumed=prediction.resumed,
        )


def _read(path: Path, n: int) -> Prediction:
    try:
        # NumPy leaves a file open that it cannot understand; this one closes with the block.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            found = Prediction(file["probability"], float(file["seconds"]), file["curve"], bool(file["resumed"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged ({error}); remove it and start again") from error
    if found.probability.shape != (n,):
        raise InputError(f"{path} is about {found.probability.size} clusters, not {n}; remove it and start again")
    return found
