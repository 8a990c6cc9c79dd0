"""Trials without a study, and what they train on."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from optuna import TrialPruned
from optuna.trial import FixedTrial

from particle_zoo.clusters import Clusters
from tests.tuning.quick_search import Parabola
from tuning.isolate import Isolated
from tuning.objective import Objective
from tuning.spaces import baseline_of
from tuning.walk import Draw, Walk
from tuning.workers import load_quietly

SMALL = {
    "N_conv_layers": 1, "conv_filter_exp0": 3, "conv_kernel_size0": 3, "N_dense_layers": 1, "dropout_rate": 0.1,
    "adam_learning_rate": 1e-2, "adam_decay_steps": 1000, "adam_decay_rate": 0.9,
}  # fmt: skip
"""Parameters of the space of `cnn`, of a network that is quick to make."""


class Judge(FixedTrial):
    """A trial that remembers its reports, and is pruned after some of them.

    Args:
        params: of the trial.
        after: reports until the pruner says stop.
        error: raised by the report of that number instead.
    """

    def __init__(self, params: dict[str, Any] = SMALL, *, after: int = 1000, error: Exception | None = None) -> None:
        super().__init__(params)
        self.after, self.error = after, error
        self.reports: dict[int, float] = {}

    def report(self, value: float, step: int) -> None:
        if self.error is not None:
            raise self.error
        self.reports[step] = value

    def should_prune(self) -> bool:
        return len(self.reports) >= self.after


def objective(name: str, source: Path, **settings: Any) -> Objective:
    """Of a model of clusters in the labelled layout."""
    where = {"dataset": "ccd_clusters/damic_labelled", "manual_dir": source, "data_dir": source.parent / "data"}
    return Objective(name, **{**where, "epochs": 2, **settings})


def baseline(name: str) -> Judge:
    """Trial 0 of a search."""
    return Judge(baseline_of(name))


def ids(part: tuple[Clusters, Clusters]) -> tuple[set[str], set[str]]:
    """Of both halves."""
    return set(part[0].ids), set(part[1].ids)


@dataclass(frozen=True)
class Talk:
    """An objective that says everything it can to its trial, and is worth the number of its process."""

    def __call__(self, trial: Any) -> float:
        trial.suggest_int("n", 1, 3)
        trial.suggest_float("x", 0, 1, log=False)
        trial.set_user_attr("seen", {"kind": trial.suggest_categorical("kind", ["a", "b"]), **trial.params})
        for step in range(3):
            trial.report(step / 10, step)
            if trial.should_prune():
                raise TrialPruned(f"stopped at step {step}")
        return float(os.getpid())


def resident_mb(source: Path, trials: int) -> list[float]:
    """Memory of this process after each of so many trials of tiny networks."""
    load_quietly("float32")
    found = objective("tiny_cnn", source, epochs=1, limit=16)
    memory = []
    for seed in range(trials):
        walk = Walk(Draw(seed))
        found.space(walk)
        with contextlib.suppress(TrialPruned):
            found(Judge(walk.params))
        memory.append(psutil.Process().memory_info().rss / 2**20)
    return memory


def alone(folder: str, seconds: str) -> None:
    """A long trial in a process of its own."""
    Isolated(Parabola(Path(folder), float(seconds)), prepare=os.getpid)(FixedTrial({"x": 0.5, "n": 1}))


if __name__ == "__main__":
    alone(*sys.argv[1:])
