"""Protocols that train: cross-validation by cluster id, and the seed's leaky split beside a clean one."""

from __future__ import annotations

from typing import Any

import click
import keras
import numpy as np

from particle_zoo import data, registry
from particle_zoo.cli import table
from particle_zoo.clusters import Clusters
from particle_zoo.errors import InputError
from particle_zoo.evaluation import baseline, classifier, latent
from particle_zoo.pipelines.examples import class_index
from particle_zoo.registry import ModelCard
from particle_zoo.training.fit import fit
from particle_zoo.training.pretrain import pretrained_weights, settle
from particle_zoo.training.session import build, is_classifier, parse_classes, pick_data

COPIES = 8
"""Augmented copies of each cluster in the seed: 4 rotations, each with and without a flip."""

Row = dict[str, Any]


def kfold(name: str, overrides: dict[str, Any], options: dict[str, Any], *, quiet: bool = False) -> dict[str, Any]:
    """Stratified cross-validation by cluster id; prints and returns means over repeats.

    Classifiers stand beside the forest on the same folds. Autoencoders learn from the training folds without labels;
    then 5-nearest neighbours among the training folds name the held-out clusters, in each of the `representations`.
    No early stopping and no choice of epoch: the held-out fold is looked at once.

    Raises:
        InputError: fewer clusters of a class than folds.
    """
    from sklearn.model_selection import StratifiedKFold

    task = registry.info(name).task
    if task not in ("classifier", "vae"):
        raise InputError(
            f"--protocol kfold trains classifiers and variational autoencoders; {name} is for {task}; train and evaluate it"
        )
    card, clusters, classes = _load(name, options)
    truth = class_index(clusters, classes)
    count = np.bincount(truth, minlength=len(classes))
    if count.min() < options["folds"]:
        raise InputError(
            f"every class needs at least {options['folds']} clusters for as many folds; "
            f"received {dict(zip(classes, count.tolist(), strict=True))}"
        )
    guess_fold = _classify if is_classifier(card) else _neighbours
    dataset, known = options["dataset"] or card.default_dataset, classes if is_classifier(card) else None
    settings = settle(card, overrides, dataset, known, "none").model_dump()
    start = None
    runs: list[Row] = []
    for repeat in range(options["repeats"]):
        seed = options["seed"] + repeat
        guesses: dict[str, np.ndarray] = {}
        if settings.get("pretrain_epochs"):
            # The pretraining sees simulated clusters only, so all folds of a seed can start from one.
            start = pretrained_weights(card, settings, classes, seed=seed, precision=options["precision"])
        for train, test in StratifiedKFold(options["folds"], shuffle=True, random_state=seed).split(truth, truth):
            model = _train(card, settings, clusters[train], known, seed, options["precision"], start=start)
            for method, guess in guess_fold(model, clusters[train], clusters[test], classes, seed).items():
                guesses.setdefault(method, np.empty(len(truth), int))[test] = guess
        run = {method: classifier.scores(truth, guess, classes) for method, guess in guesses.items()}
        runs.append({"seed": seed, **run})
        if not quiet:
            click.echo(
                f"seed {seed}: "
                + ", ".join(f"{m} {s['accuracy']:.4f}/{s['balanced_accuracy']:.4f}" for m, s in run.items())
            )
    return _summary(
        f"{options['folds']}-fold by id, {len(truth)} clusters, {options['repeats']} seeds", card, runs, len(truth)
    )


def _classify(
    model: Any, train: Clusters, test: Clusters, classes: tuple[str, ...], seed: int
) -> dict[str, np.ndarray]:
    """(n,) predicted class index of the test clusters, by method."""
    ours = classifier.probabilities(model, test).argmax(1)
    return {model.zoo_name: ours, **baseline.predict(train.features(), train.labels, test, classes, seed)}


def _neighbours(
    model: Any, train: Clusters, test: Clusters, classes: tuple[str, ...], seed: int
) -> dict[str, np.ndarray]:
    """(n,) class index of the test clusters by their neighbours among the training ones, by representation."""
    known, asked = latent.representations(model, train), latent.representations(model, test)
    target = class_index(train, classes)
    return {
        name: latent.nearest_neighbours(len(train)).fit(vectors, target).predict(asked[name])
        for name, vectors in known.items()
    }


def _summary(title: str, card: ModelCard, runs: list[Row], n: int) -> dict[str, Any]:
    methods = [key for key in runs[0] if key != "seed"]
    result: dict[str, Any] = {"model": card.name, "n": n, "runs": runs, "mean": {}}
    rows = []
    for method in methods:
        accuracy = np.array([r[method]["accuracy"] for r in runs])
        balanced = np.array([r[method]["balanced_accuracy"] for r in runs])
        result["mean"][method] = {
            "accuracy": accuracy.mean(), "accuracy_std": accuracy.std(),
            "balanced_accuracy": balanced.mean(), "balanced_accuracy_std": balanced.std(),
        }  # fmt: skip
        rows.append((method, *(f"{v.mean():.4f} ± {v.std():.4f}" for v in (accuracy, balanced))))
    table(title, ("method", "accuracy", "balanced accuracy"), rows)
    return result


def seed_split(name: str, overrides: dict[str, Any], options: dict[str, Any], *, quiet: bool = False) -> dict[str, Any]:
    """The seed's protocol (augment x8, split the copies 80/10/10) beside the same model split by id before augmenting.

    Both train on fixed copies, without further augmentation and without pretraining. Test sets hold 10 % of the copies in
    both cases. The difference is what the leak is worth.

    Raises:
        InputError: a model without targets.
    """
    card, clusters, classes = _load(name, options)
    if not is_classifier(card):
        raise InputError(f"--protocol seed trains classifiers; {name} is a {card.task}; use --protocol kfold")
    settings = registry.config_class(card.name).from_settings(overrides).model_dump()
    runs: list[Row] = []
    for repeat in range(options["repeats"]):
        seed = options["seed"] + repeat
        run: Row = {"seed": seed}
        for kind, split in (("leaky (seed)", _leaky), ("clean (by id)", _clean)):
            (train, train_copy), (test, test_copy) = split(len(clusters), np.random.default_rng(seed))
            model = _train(card, settings, clusters[train], classes, seed, options["precision"], copies=train_copy)
            guess = classifier.logits(model, clusters[test], test_copy).argmax(1)
            run[kind] = classifier.scores(class_index(clusters[test], classes), guess, classes)
            run[kind]["siblings_in_train"] = float(np.isin(test, train).mean())
        runs.append(run)
        if not quiet:
            click.echo(
                f"seed {seed}: "
                + ", ".join(
                    f"{k} {run[k]['accuracy']:.4f} ({run[k]['siblings_in_train']:.0%} of test copies have a sibling in training)"
                    for k in run
                    if k != "seed"
                )
            )
    return _summary(f"{card.name}, {len(clusters)} clusters x {COPIES} copies", card, runs, len(clusters))


Part = tuple[np.ndarray, np.ndarray]


def _leaky(n: int, rng: np.random.Generator) -> tuple[Part, Part]:
    """Split the copies: siblings of one cluster land on both sides."""
    order = rng.permutation(n * COPIES)
    test, train = order[: len(order) // 10], order[len(order) // 5 :]
    return (train // COPIES, train % COPIES), (test // COPIES, test % COPIES)


def _clean(n: int, rng: np.random.Generator) -> tuple[Part, Part]:
    """Split the clusters, then copy."""
    order = rng.permutation(n)
    cut = max(1, round(n / 10))
    every = np.arange(COPIES)
    test, train = order[:cut], order[2 * cut :]
    return (np.repeat(train, COPIES), np.tile(every, len(train))), (np.repeat(test, COPIES), np.tile(every, len(test)))


def _train(
    card: ModelCard,
    settings: dict[str, Any],
    train: Clusters,
    classes: tuple[str, ...] | None,
    seed: int,
    precision: str,
    *,
    start: list[np.ndarray] | None = None,
    copies: np.ndarray | None = None,
) -> Any:
    keras.utils.clear_session(free_memory=True)
    if copies is not None:
        # One epoch over all copies is 8 over the clusters.
        settings = {**settings, "epochs": max(1, settings["epochs"] // COPIES)}
    model = build(card, settings, train, classes, seed=seed, precision=precision)
    if start is not None:
        model.set_weights(start)
    fit(model, train, None, classes=classes, seed=seed, symmetry=copies)
    return model


def _load(name: str, options: dict[str, Any]) -> tuple[ModelCard, Clusters, tuple[str, ...]]:
    card = registry.info(name)
    choice = pick_data(options)
    dataset = choice.pop("dataset") or card.default_dataset
    classes = parse_classes(choice.pop("classes"), dataset, choice["manual_dir"])
    choice["split"] = "all"
    return card, data.load(dataset, choice.pop("split"), classes=classes, **choice), classes
