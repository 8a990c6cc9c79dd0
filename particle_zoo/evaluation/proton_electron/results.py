"""The numbers of a study: all that is printed, drawn and written to JSON comes from here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from particle_zoo.evaluation.proton_electron.networks import Prediction
from particle_zoo.evaluation.proton_electron.sample import Sample
from particle_zoo.evaluation.proton_electron.scores import SIZE_BINS, Bootstrap, TestSet, bootstrap
from particle_zoo.evaluation.proton_electron.settings import Settings
from particle_zoo.evaluation.proton_electron.study import FOREST, Trial

Done = Iterable[tuple[Trial, Prediction]]

SEPARATOR = " @ "

LARGE, ASKED = f"balanced accuracy, {SIZE_BINS[-1]}", 0.99
"""Clusters with enough pixels to show a shape, and the balanced accuracy that a network should reach on them."""

TREES = {FOREST: "the random forest", "gradient boosting": "gradient boosting"}
"""What a network should beat, as a sentence says it."""


def collect(settings: Settings, clusters: Sample, done: Done) -> dict[str, Any]:
    """Everything about the methods.

    Returns:
        `data`: what was learned from and scored. `methods`: by method the numbers of `Bootstrap.summary`, with all
        labels. `differences`: balanced accuracy minus that of the random forest. `sentences`: whether each network beats
        the trees. `large`: how each stands with clusters over 8 px. `fractions`: by method and share of the labels. `epochs`: by network the balanced accuracy on the
        validation clusters after every epoch, by seed. `seconds`: by method and share, by seed.
    """
    done = list(done)
    found = _score(settings, clusters, done)
    whole = [name for name in found.values if SEPARATOR not in name]
    neural = dict.fromkeys(trial.method for trial, _ in done if trial.model)
    differences = {name: found.difference(name, FOREST) for name in whole if name != FOREST}
    summaries = {name: found.summary(name) for name in found.values}
    fractions: dict[str, dict[str, Any]] = {}
    for name, numbers in summaries.items():
        method, _, fraction = name.partition(SEPARATOR)
        fractions.setdefault(method, {})[fraction or "1"] = numbers
    return {
        "settings": settings.model_dump(mode="json"),
        "data": _data(clusters),
        "methods": {name: summaries[name] for name in whole},
        "differences": differences,
        "sentences": {
            name: sentence(name, {text: found.difference(name, other) for other, text in TREES.items()})
            for name in neural
        },
        "large": [large(name, summaries[name], summaries[FOREST]) for name in neural if LARGE in summaries[name]],
        "fractions": {name: parts for name, parts in fractions.items() if len(parts) > 1},
        "epochs": _epochs(done),
        "seconds": _seconds(done),
    }


def collect_ablations(settings: Settings, clusters: Sample, done: Done) -> dict[str, Any]:
    """`methods`, `differences` from the first variant, `sentences`, `epochs` and `seconds` of the ablations."""
    done = list(done)
    found = _score(settings, clusters, done)
    first, *others = found.values
    differences = {name: found.difference(name, first) for name in others}
    return {
        "settings": settings.model_dump(mode="json"),
        "data": _data(clusters),
        "methods": {name: found.summary(name) for name in found.values},
        "differences": differences,
        "sentences": {name: sentence(name, {first: difference}) for name, difference in differences.items()},
        "epochs": _epochs(done),
        "seconds": _seconds(done),
    }


def large(name: str, own: dict[str, Any], forest: dict[str, Any]) -> str:
    """How a method stands with clusters over 8 px against the 99 % that are asked for, beside the random forest.

    Args:
        name: of the method.
        own: its numbers, of `Bootstrap.summary`.
        forest: those of the random forest.
    """
    value, low, high = (100 * own[LARGE][key] for key in ("value", "low", "high"))
    verdict = "reaches" if value >= 100 * ASKED else "misses"
    return (
        f"{name} {verdict} {ASKED:.0%} over 8 px: balanced accuracy {value:.2f} [{low:.2f}, {high:.2f}], the random forest "
        f"{100 * forest[LARGE]['value']:.2f}"
    )


def sentence(name: str, differences: dict[str, dict[str, float]]) -> str:
    """What differences in balanced accuracy and their intervals say of a method.

    Args:
        name: of the method.
        differences: from other methods, by their names.
    """
    return f"{name} {' and '.join(_verdict(other, found) for other, found in differences.items())}"


def _verdict(other: str, difference: dict[str, float]) -> str:
    value, low, high = (100 * difference[key] for key in ("value", "low", "high"))
    interval = f"{value:+.2f} [{low:+.2f}, {high:+.2f}] points of balanced accuracy"
    if low > 0:
        return f"beats {other} by {interval}"
    if high < 0:
        return f"does not beat {other}, it is worse: {interval}"
    return f"does not beat {other} by more than the interval: {interval}"


def _score(settings: Settings, clusters: Sample, done: list[tuple[Trial, Prediction]]) -> Bootstrap:
    runs: dict[str, list[np.ndarray]] = {}
    for trial, prediction in done:
        name = trial.method if trial.fraction == 1 else f"{trial.method}{SEPARATOR}{trial.fraction:g}"
        runs.setdefault(name, []).append(prediction.probability)
    test = TestSet.of(clusters.test, clusters.classes)
    return bootstrap(test, {name: np.stack(parts) for name, parts in runs.items()}, settings.resamples)


def _data(clusters: Sample) -> dict[str, Any]:
    test = TestSet.of(clusters.test, clusters.classes)
    return {
        "classes": list(clusters.classes),
        "train": len(clusters.train),
        "validation": len(clusters.validation),
        "test": len(clusters.test),
        "test_primaries": int(test.group.max()) + 1,
        "fingerprint": clusters.fingerprint,
        "of_size": dict(zip(SIZE_BINS, test.counts.sum((0, 2)).tolist(), strict=True)),
        "energy_edges_mev": test.energy_edges.tolist(),
        "of_energy": {
            name: {energy: n for energy, n in zip(test.energy_names, counts, strict=True) if n}
            for name, counts in zip(clusters.classes, test.counts.sum(1).tolist(), strict=True)
        },
    }


def _epochs(done: list[tuple[Trial, Prediction]]) -> dict[str, list[list[float]]]:
    curves: dict[str, list[list[float]]] = {}
    for trial, prediction in done:
        if trial.model and trial.fraction == 1:
            curves.setdefault(trial.method, []).append(prediction.curve.tolist())
    return curves


def _seconds(done: list[tuple[Trial, Prediction]]) -> dict[str, dict[str, list[float | None]]]:
    """None where a training was interrupted: only its last start was timed."""
    found: dict[str, dict[str, list[float | None]]] = {}
    for trial, prediction in done:
        seconds = None if prediction.resumed else round(prediction.seconds, 2)
        found.setdefault(trial.method, {}).setdefault(f"{trial.fraction:g}", []).append(seconds)
    return found
