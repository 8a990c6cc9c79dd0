"""How many trials an hour a search makes: with and without pruning, with one worker and with several."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from particle_zoo.cli import sentence, table
from particle_zoo.errors import InputError
from tuning.storage import open_storage

COLUMNS = ("search", "trials an hour", "times the first", "with the start", "epochs", "best")


def measure(name: str, arguments: Sequence[str], *, workers: int = 2) -> dict[str, Any]:
    """Run the command of a search in several ways, one after the other, each from the beginning.

    Args:
        name: a registered model.
        arguments: of all searches, such as the number of trials.
        workers: of the last.

    Returns:
        By search: trials an hour from the beginning of the first to the end of the last trial (`trials_per_hour`) and of the
        whole command with its start and report (`trials_per_hour_all`), each over that of the first search (`gain`,
        `gain_all`), the epochs that were run, and the best value.

    Raises:
        InputError: a search that ends with an error, or arguments that the searches differ in.
    """
    given = [argument.partition("=")[0] for argument in arguments if argument.startswith("-")]
    if taken := sorted({"--output", "--storage", "--study", "--pruner", "--workers", "--quiet"} & {*given}):
        raise InputError(f"the benchmark sets {', '.join(taken)} itself; leave that out")
    if given.count("--metric") > 1:
        raise InputError("no pruner compares several objectives; give --metric once")
    ways = {
        "no pruning": ("--pruner", "none"),
        "median": ("--pruner", "median"),
        "hyperband": ("--pruner", "hyperband"),
        f"no pruning, {workers} workers": ("--pruner", "none", "--workers", str(workers)),
    }
    found = {way: _time(name, [*arguments, *options]) for way, options in ways.items()}
    first = found["no pruning"]
    for row in found.values():
        row["gain"] = row["trials_per_hour"] / first["trials_per_hour"]
        row["gain_all"] = row["trials_per_hour_all"] / first["trials_per_hour_all"]
    rows = [
        (
            way,
            f"{row['trials_per_hour']:.0f}",
            f"{row['gain']:.2f}",
            f"{row['trials_per_hour_all']:.0f} ({row['gain_all']:.2f})",
            row["epochs"],
            f"{row['best']:.4f}",
        )
        for way, row in found.items()
    ]
    table(f"{name}: {' '.join(arguments)}", COLUMNS, rows)
    return {"model": name, "arguments": list(arguments), "searches": found}


def _time(name: str, arguments: Sequence[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tuning.search", name, "--output", folder, "--quiet", *arguments]
        begun = time.perf_counter()
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - begun
        if ended.returncode:
            raise InputError(
                f"the search ended with {sentence(ended.stderr[-500:])}; try it alone: {' '.join(command)}"
            )
        study = optuna.load_study(storage=open_storage(None, Path(folder)), study_name=name)
        return _rates(study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED)), seconds, study.best_value)


def _rates(trials: Sequence[FrozenTrial], seconds: float, best: float) -> dict[str, Any]:
    first = min(trial.datetime_start for trial in trials if trial.datetime_start)
    last = max(trial.datetime_complete for trial in trials if trial.datetime_complete)
    return {
        "trials_per_hour": 3600 * len(trials) / (last - first).total_seconds(),
        "trials_per_hour_all": 3600 * len(trials) / seconds,
        "epochs": sum(trial.user_attrs.get("epochs_run", 0) for trial in trials),
        "pruned": sum(trial.state == TrialState.PRUNED for trial in trials),
        "best": best,
    }
