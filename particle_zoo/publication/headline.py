"""The few numbers that a card shows of what `particle_zoo.evaluate` writes, each beside its rivals and with an interval."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from particle_zoo.errors import InputError
from particle_zoo.evaluation.classifier import share_interval

NORMAL = 1.96
"""Standard errors on each side of a mean in its 95 % interval."""

Row = dict[str, Any]


def headline(task: str, name: str, found: dict[str, Any]) -> list[Row]:
    """Rows of a card.

    Args:
        task: of the model.
        name: of the model.
        found: JSON of `particle_zoo.evaluate` on the test split.

    Returns:
        One dict a number: `method`, `metric`, `value` and its 95 % interval `low` to `high`, None where there is none.
    """
    return list(TASKS[task](name, found))


def row(method: str, metric: str, value: float | None, low: float | None = None, high: float | None = None) -> Row:
    """One number of a card."""
    return {"method": method, "metric": metric, "value": value, "low": low, "high": high}


def _classifier(name: str, found: dict[str, Any]) -> Iterator[Row]:
    for method, scores in {name: found, **found["baselines"]}.items():
        for metric, around in scores["intervals"].items():
            yield row(method, metric.replace("_", " "), scores[metric], *around)


def _variational(name: str, found: dict[str, Any]) -> Iterator[Row]:
    for metric in ("bce", "kl"):
        yield row(name, {"bce": "binary cross-entropy, nats", "kl": "KL divergence, nats"}[metric], found[metric])
    for method, scores in found.get("representations", {}).items():
        for metric, title in (("knn_accuracy", "5-NN accuracy"), ("linear_accuracy", "linear accuracy")):
            yield _share(method, title, scores[metric], found["n"])


def _autoencoder(name: str, found: dict[str, Any]) -> Iterator[Row]:
    titles = {"iou": "mask IoU", "error": "energy error"}
    for method, scores in found["methods"].items():
        for metric, title in titles.items():
            if (value := scores[metric]) is not None:
                error = scores["standard_errors"][metric]
                around = (None, None) if error is None else (value - NORMAL * error, value + NORMAL * error)
                yield row(method, title, value, *around)


def _anomaly(name: str, found: dict[str, Any]) -> Iterator[Row]:
    titles = {"retention": "light kept", "efficiency": "events found"}
    for method, scores in found["equal_area"]["methods"].items():
        for metric, title in titles.items():
            one = scores[metric]
            yield row(method, f"{title}, equal area", one["value"], one["low"], one["high"])


def _compression(name: str, found: dict[str, Any]) -> Iterator[Row]:
    for method, value in {name: found["mse"], **found["rivals"]}.items():
        yield row(method, f"mean square error, {found['normalisation']}", value, *found["intervals"][method])


def _deep_clustering(name: str, found: dict[str, Any]) -> Iterator[Row]:
    if "baselines" not in found:
        raise InputError(f"{found['n']} patches are too few to score {name} on; raise --limit, or leave it out")
    for method, scores in {name: found, **found["baselines"]}.items():
        yield _share(method, "accuracy, best assignment", scores["accuracy"], found["n"])


def _share(method: str, metric: str, value: float, n: int) -> Row:
    """A share of n examples, with Wilson's interval."""
    return row(method, metric, value, *share_interval(value, n))


TASKS: dict[str, Callable[[str, dict[str, Any]], Iterator[Row]]] = {
    "classifier": _classifier,
    "vae": _variational,
    "autoencoder": _autoencoder,
    "anomaly": _anomaly,
    "compression": _compression,
    "deep_clustering": _deep_clustering,
}
