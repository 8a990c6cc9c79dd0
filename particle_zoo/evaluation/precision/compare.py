"""One model trained in float32 and in mixed precision, with several seeds."""

from __future__ import annotations

import contextlib
import importlib
import math
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
import pandas as pd

from particle_zoo import registry
from particle_zoo.cli import table
from particle_zoo.errors import InputError
from particle_zoo.evaluation.precision.noise import CONFIDENCE, DISCERNING, TOO_NOISY, judge

REFERENCE = "float32"

STANDSTILL = 1e-30
"""A learning rate, which has to be positive, by which no float32 weight of a network moves."""


def compare(
    name: str, settings: dict[str, Any], *, precisions: Sequence[str], seeds: int, quiet: bool = False, **source: Any
) -> dict[str, Any]:
    """Train a model by its recipe with every precision and seed, and print losses, metrics and verdicts.

    The loss is that of the kept weights: the smallest of the validation, or of the training where nothing is validated.
    What is learned is its drop from the same loss after an epoch that moves no weight, of the same seeds; such an epoch
    has the statistics of batch normalisation follow the data, without which the loss of an untrained network means little.
    A training in mixed precision that fails is part of the result; one in float32 is an error.

    Args:
        name: a registered model.
        settings: overrides of its configuration.
        precisions: dtype policies beside float32.
        seeds: trainings of each, with seeds from 0.
        quiet: do not tell each training.
        source: dataset, data_dir, manual_dir, limit and, for clusters, classes, as `train` takes them.

    Returns:
        `model`, `settings`, `seeds`, `untrained` losses, one a seed, `rows` with the `losses` of each precision and what `judge` says of them, and `metrics`,
        the values of each by precision.

    Raises:
        InputError: unknown names or settings, unusable data, fewer than two seeds, or a training in float32 that fails.
    """
    if seeds < 2:
        raise InputError(f"the noise of float32 takes 2 seeds or more; received {seeds}")
    card = registry.info(name)
    if source.get("classes") is None:
        source.pop("classes", None)
    elif card.task != "classifier":
        raise InputError(f"{name} learns without classes; leave --classes out")
    order = [REFERENCE, *(p for p in dict.fromkeys(precisions) if p != REFERENCE)]
    found: dict[str, list[dict[str, Any]]] = {}
    for precision in order:
        for seed in range(seeds):
            result = _trained(card, settings, precision, seed, source)
            found.setdefault(precision, []).append(result)
            if not quiet:
                click.echo(f"{name}, {precision}, seed {seed}: loss {result['loss']:.6g}", err=True)
    start = [untrained(card, settings, seed, source) for seed in range(seeds)]
    before = float(np.mean(start))
    if not quiet:
        click.echo(f"{name}, untrained: loss {before:.6g}", err=True)
    losses = {precision: [one["loss"] for one in results] for precision, results in found.items()}
    rows = [{"precision": p, "losses": losses[p], **judge(losses[p], losses[REFERENCE], before)} for p in order]
    metrics = _metrics(found)
    _show(name, rows, metrics, seeds)
    for precision, results in found.items():
        for said in dict.fromkeys(one["failed"] for one in results if "failed" in one):
            click.echo(f"{precision}: {said}")
    told = {"model": name, "settings": settings, "seeds": seeds, "untrained": start}
    return {**told, "rows": rows, "metrics": metrics}


def _prepared(card: Any, settings: dict[str, Any], **given: Any) -> tuple[Any, Callable[..., dict[str, Any]]]:
    """A job and what trains it into a folder."""
    from particle_zoo.training import session

    if card.task in session.TRAINERS:
        job = importlib.import_module(session.TRAINERS[card.task]).prepare(card, settings, **given)
        return job, job.train
    job = session.prepare(card, settings, **given)
    return job, partial(session.train, job)


class _Seen(Exception):  # noqa: N818
    """Ends a training that has told what it was for."""


class _FirstEpoch(keras.callbacks.Callback):
    """Ends a training after its first epoch, with its loss."""

    loss = math.nan

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        self.loss = float(logs.get("val_loss", logs["loss"]))
        raise _Seen


def untrained(card: Any, settings: dict[str, Any], seed: int, source: dict[str, Any]) -> float:
    """Loss after an epoch in float32 whose weights stay as they are initialised.

    Args:
        card: of a registered model.
        settings: overrides of its configuration.
        seed: of weights and order.
        source: as in `compare`.

    Raises:
        InputError: unknown settings or unusable data.
    """
    job, begin = _prepared(card, settings, **source, seed=seed, precision=REFERENCE)
    config = job.model.zoo_config
    # The stages before the training proper would move weights.
    still = {"learning_rate": STANDSTILL, "pretrain_epochs": 0, "progressive": ()}
    job.model.zoo_config = config.model_copy(update={k: v for k, v in still.items() if k in type(config).model_fields})
    first = _FirstEpoch()
    with tempfile.TemporaryDirectory(prefix="particle-zoo.") as folder, contextlib.suppress(_Seen):
        begin(Path(folder), quiet=True, callbacks=[first])
    return first.loss


def _trained(card: Any, settings: dict[str, Any], precision: str, seed: int, source: dict[str, Any]) -> dict[str, Any]:
    """Loss and metrics of one training, or why it failed."""
    _, begin = _prepared(card, settings, **source, seed=seed, precision=precision)
    with tempfile.TemporaryDirectory(prefix="particle-zoo.") as folder:
        try:
            metrics = begin(Path(folder), quiet=True)
        except InputError as error:
            if precision == REFERENCE:
                raise
            return {"loss": math.nan, "failed": str(error)}
        history = pd.read_csv(Path(folder) / "history.csv")
    values = {key: value for key, value in metrics.items() if isinstance(value, float) and "seconds" not in key}
    return {"loss": kept_loss(history), **values}


def kept_loss(history: pd.DataFrame) -> float:
    """Loss of the weights that a training keeps.

    Args:
        history: its history.csv. Keras writes a column `val_loss` where nothing is validated, too, without a value.
    """
    validated = "val_loss" in history and history["val_loss"].notna().any()
    return float(history["val_loss" if validated else "loss"].min())


def _metrics(found: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, list[float]]]:
    """Values of each metric by precision; of what failed, NaN."""
    names = [key for key in found[REFERENCE][0] if key != "loss"]
    return {name: {p: [one.get(name, math.nan) for one in runs] for p, runs in found.items()} for name in names}


def _show(name: str, rows: list[dict[str, Any]], metrics: dict[str, dict[str, list[float]]], seeds: int) -> None:
    title = f"{name}, {seeds} seeds; a difference below the noise is that of {CONFIDENCE:.0%} of such sets of float32"
    columns = ("precision", "loss", "spread", "learned", "difference", "in spreads", "of one seed", "noise", "verdict")
    keys = ("spread", "learned", "difference", "in_spreads", "one_seed", "noise")
    shown = [
        (row["precision"], f"{row['mean']:.4g}", *(f"{row[key]:.2g}" for key in keys), row["verdict"]) for row in rows
    ]
    shown[0] = (*shown[0][:4], "", "", "", shown[0][7], "the reference")
    table(title, columns, shown)
    if any(row["verdict"] == TOO_NOISY for row in rows[1:]):
        click.echo(
            f"noise and differences exceed {DISCERNING:.0%} of what float32 learned: take more --seeds or epochs"
        )
    if metrics:
        precisions = [row["precision"] for row in rows]
        cells = [
            (key, *(f"{np.mean(values[p]):.4g} ± {np.std(values[p], ddof=1):.2g}" for p in precisions))
            for key, values in metrics.items()
        ]
        table("mean ± standard deviation over seeds", ("metric", *precisions), cells)
