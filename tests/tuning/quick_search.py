"""A search with a function in place of a training, as a program of its own, for tests that kill it.

`python -m tests.tuning.quick_search FOLDER TRIALS [--workers N] ...`; every trial leaves the file FOLDER/begun-NUMBER with
the number of its process when it begins.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import optuna

from particle_zoo.cli import run
from tuning import processes, worker, workers
from tuning.study import Plan

BASELINE = {"x": 0.25, "n": 2}


@dataclass(frozen=True)
class Parabola:
    """(x - 0.7)² + n/10, after a while."""

    folder: Path
    seconds: float = 0.0
    error: str = ""

    def __call__(self, trial: optuna.Trial) -> float:
        x, n = trial.suggest_float("x", 0, 1), trial.suggest_int("n", 1, 3)
        if self.folder.is_dir():
            (self.folder / f"begun-{trial.number}").write_text(str(os.getpid()))
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            time.sleep(0.01)
        if self.error == "kill":
            os.kill(os.getpid(), 9)
        if self.error == "impossible":
            raise optuna.TrialPruned("no such network")
        if self.error:
            raise RuntimeError(self.error)
        return (x - 0.7) ** 2 + n / 10


def plan(folder: Path, *, name: str = "quick", **settings: Any) -> Plan:
    """Of a search for the lowest parabola."""
    return Plan(name, folder=folder, **{"model": "quick", "baseline": BASELINE, "space": "1", **settings})


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("trials", type=int)
@click.option("--workers", "n", default=1)
@click.option("--seconds", default=0.0)
@click.option("--grace", default=60.0)
@click.option("--storage")
@click.option("--study", "name", default="quick")
@click.option("--error", default="")
@click.option("--host", help="Pretend to be this machine.")
@click.option("--beat", default=worker.BEAT_S)
def search(
    folder: Path,
    trials: int,
    n: int,
    seconds: float,
    grace: float,
    storage: str | None,
    name: str,
    error: str,
    host: str,
    beat: float,
) -> None:
    """Search."""
    if host:
        processes.machine = lambda: host  # type: ignore[assignment]
    worker.BEAT_S = beat
    job = workers.Job(plan(folder, name=name, grace=grace, storage=storage), Parabola(folder, seconds, error), trials)
    workers.run(job, workers=n)
    click.echo("finished")


if __name__ == "__main__":
    run(search, stopped="stopped; a rerun resumes the search")
