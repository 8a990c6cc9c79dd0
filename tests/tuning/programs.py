"""Searches as programs of their own, to be killed, and what is to be true of a study afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from optuna.trial import FrozenTrial, TrialState

from tuning.takeover import repeats

ROOT = Path(__file__).parents[2]


class Programs:
    """Starts programs like a shell, each in a group of its own, and ends what is left of them."""

    def __init__(self) -> None:
        self.begun: list[subprocess.Popen[str]] = []

    def __call__(self, folder: Path, trials: int, *options: Any) -> subprocess.Popen[str]:
        """A `quick_search`."""
        return self.start("tests.tuning.quick_search", folder, trials, *options, interpreter=("-W", "error"))

    def start(self, module: str, *arguments: Any, interpreter: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """`python -m MODULE`, with options of the interpreter before it."""
        process = subprocess.Popen(
            [sys.executable, *interpreter, "-m", module, *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.begun.append(process)
        return process

    def end(self) -> None:
        """Kill what still runs."""
        for process in self.begun:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What a condition finds, once it finds something."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return found


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    """What a program that ends with an exit code has said."""
    said, _ = process.communicate(timeout=200)
    assert process.returncode == code, said
    assert "Traceback" not in said, said
    return said


def running(folder: Path) -> dict[int, int]:
    """Numbers of the processes that run trials of a `quick_search`, by trial."""
    begun = {int(path.name.split("-")[1]): path.read_text() for path in folder.glob("begun-*")}
    return {number: int(pid) for number, pid in begun.items() if pid and psutil.pid_exists(int(pid))}


def two_running(folder: Path) -> dict[int, int]:
    """The latest trials of two processes; nothing as long as there is one."""
    latest = dict(sorted(running(folder).items())[-2:])
    return latest if len(set(latest.values())) == 2 else {}


def check_finished(trials: list[FrozenTrial], total: int) -> None:
    """A study that is done: exact, nothing running or waiting, and whatever a failed trial was to run another has run."""
    states = [trial.state for trial in trials]
    assert states.count(TrialState.COMPLETE) + states.count(TrialState.PRUNED) == total
    assert not {TrialState.RUNNING, TrialState.WAITING} & set(states)
    for trial in trials:
        if trial.state != TrialState.FAIL:
            assert {"host", "pid"} <= set(trial.user_attrs)
        elif trial.params and "surplus" not in trial.user_attrs:
            again = [other for other in trials if repeats(other) == trial.number]
            assert len(again) == 1, trial
            assert trial.params.items() <= again[0].params.items()
