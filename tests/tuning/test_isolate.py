"""Trials in processes of their own, and the memory of trials in one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import optuna
import psutil
import pytest
from optuna.trial import FixedTrial

from tests.tuning.programs import Programs, until
from tests.tuning.quick_search import Parabola
from tests.tuning.trials import Judge, Talk, baseline, objective, resident_mb
from tuning.isolate import Isolated

SAID = {"n": 2, "x": 0.5, "kind": "b"}
POINT = {"x": 0.5, "n": 1}


def isolated(thing: Callable[[object], object]) -> Isolated:
    """Without importing Keras in vain."""
    return Isolated(thing, prepare=os.getpid)


@pytest.fixture
def busy(start: Programs, tmp_path: Path) -> tuple[subprocess.Popen[str], int]:
    """A program whose trial is busy in another process, and the number of that one."""
    begun = tmp_path / "begun-0"
    program = start.start("tests.tuning.trials", tmp_path, 100)
    until(lambda: begun.exists() and begun.read_text())
    return program, int(begun.read_text())


# --- A trial elsewhere ------------------------------------------------------------------------------------------------------------


def test_a_trial_runs_in_another_process_and_talks_to_its_own() -> None:
    trial = Judge(SAID)
    assert isolated(Talk())(trial) != os.getpid()
    assert trial.params == SAID
    assert trial.user_attrs["seen"] == SAID
    assert trial.reports == {0: 0.0, 1: 0.1, 2: 0.2}
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("forked")
def test_the_pruner_of_the_parent_decides() -> None:
    with pytest.raises(optuna.TrialPruned, match="stopped at step 1"):
        isolated(Talk())(Judge(SAID, after=2))


@pytest.mark.usefixtures("forked")
def test_an_error_of_the_trial_is_the_parents_own() -> None:
    with pytest.raises(ConnectionError, match="the database is away"):
        isolated(Talk())(Judge(SAID, error=ConnectionError("the database is away")))
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("forked")
def test_an_error_of_the_objective_says_where_it_happened(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="RuntimeError: no luck") as caught:
        isolated(Parabola(tmp_path, error="no luck"))(FixedTrial(POINT))
    assert "quick_search.py" in caught.value.__notes__[0]


@pytest.mark.usefixtures("forked")
def test_a_killed_trial_is_pruned_with_a_reason(tmp_path: Path) -> None:
    trial = FixedTrial(POINT)
    with pytest.raises(optuna.TrialPruned):
        isolated(Parabola(tmp_path, error="kill"))(trial)
    assert trial.user_attrs["impossible"] == "the process of the trial was ended by SIGKILL; memory may have run out"


@pytest.mark.usefixtures("forked")
def test_a_trial_killed_while_it_is_answered_is_pruned_too(tmp_path: Path) -> None:
    class Deadly(Judge):
        def report(self, value: float, step: int) -> None:
            child = multiprocessing.active_children()[0]
            os.kill(child.pid or 0, signal.SIGKILL)
            child.join()

    trial = Deadly(SAID)
    with pytest.raises(optuna.TrialPruned):
        isolated(Talk())(trial)
    assert "ended by SIGKILL" in trial.user_attrs["impossible"]


def test_the_process_of_a_trial_ends_with_a_killed_parent(busy: tuple[subprocess.Popen[str], int]) -> None:
    program, child = busy
    program.kill()
    program.wait()
    until(lambda: not psutil.pid_exists(child))


def test_ctrl_c_ends_both_and_is_told_once(busy: tuple[subprocess.Popen[str], int]) -> None:
    program, child = busy
    os.killpg(program.pid, signal.SIGINT)
    said, _ = program.communicate(timeout=60)
    assert program.returncode
    until(lambda: not psutil.pid_exists(child))
    assert said.count("KeyboardInterrupt") == 1


# --- Trainings ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_a_training_elsewhere_is_worth_the_same(one_layout: Path) -> None:
    found, here, there = objective("tiny_cnn", one_layout, epochs=1), baseline("tiny_cnn"), baseline("tiny_cnn")
    assert Isolated(found)(there) == found(here)
    assert there.user_attrs["settings"] == here.user_attrs["settings"]
    assert there.reports == here.reports


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_memory_does_not_grow_with_trials(one_layout: Path) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        memory = process.submit(resident_mb, one_layout, 12).result()
    # 1 MB a trial; without `free_memory` 9 (191 MB in twenty).
    assert memory[-1] - memory[4] < 35
