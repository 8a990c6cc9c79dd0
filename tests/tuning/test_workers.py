from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from optuna.trial import FrozenTrial, TrialState

from tests.tuning.quick_search import BASELINE, plan
from tuning.takeover import repeats

ROOT = Path(__file__).parents[2]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `quick_search` as a program, like a shell in a group of its own; what is left of it ends with the test."""
    begun: list[subprocess.Popen[str]] = []

    def run(folder: Path, trials: int, *options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "error", "-m", "tests.tuning.quick_search", str(folder), str(trials)]
        process = subprocess.Popen(
            [*command, *map(str, options)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        begun.append(process)
        return process

    yield run
    for process in begun:
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


def running(folder: Path) -> dict[int, int]:
    """Numbers of the processes that run trials, by trial."""
    begun = {int(path.name.split("-")[1]): path.read_text() for path in folder.glob("begun-*")}
    return {number: int(pid) for number, pid in begun.items() if pid and psutil.pid_exists(int(pid))}


def two_running(folder: Path) -> dict[int, int]:
    """Trials of two processes, the latest two; nothing as long as there is one."""
    latest = dict(sorted(running(folder).items())[-2:])
    return latest if len(set(latest.values())) == 2 else {}


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    """What a search that ends with an exit code has said."""
    said, _ = process.communicate(timeout=120)
    assert process.returncode == code, said
    assert "Traceback" not in said
    return said


def trials_of(folder: Path, **settings: Any) -> list[FrozenTrial]:
    return plan(folder, **settings).open().get_trials()


def settle(trials: list[FrozenTrial], total: int) -> None:
    """A finished study: exact, nothing running or waiting, and whatever a failed trial had was run by another."""
    states = [trial.state for trial in trials]
    assert states.count(TrialState.COMPLETE) + states.count(TrialState.PRUNED) == total
    assert not {TrialState.RUNNING, TrialState.WAITING} & set(states)
    for trial in trials:
        assert not trial.state.is_finished() or trial.state == TrialState.FAIL or trial.user_attrs["pid"]
        if trial.state == TrialState.FAIL and "surplus" not in trial.user_attrs:
            (again,) = (other for other in trials if repeats(other) == trial.number)
            assert trial.params.items() <= again.params.items()


def test_a_search_runs_the_baseline_first_and_continues_to_a_larger_total(tmp_path: Path, start: Start) -> None:
    assert "(2 of 2)" in finish(start(tmp_path, 2))
    first = trials_of(tmp_path)
    assert first[0].params == BASELINE
    assert {first[0].user_attrs["host"], first[0].user_attrs["pid"]} == {
        os.uname().nodename,
        int((tmp_path / "begun-0").read_text()),
    }
    said = finish(start(tmp_path, 5))
    assert "trial 1" not in said
    again = trials_of(tmp_path)
    settle(again, 5)
    # As one process would have drawn them in one go.
    finish(start(tmp_path / "at once", 5))
    assert [t.params for t in again] == [t.params for t in trials_of(tmp_path / "at once")]


def test_one_of_two_workers_is_killed_in_the_middle_and_nothing_is_lost(tmp_path: Path, start: Start) -> None:
    search = start(tmp_path, 6, "--workers", 2, "--seconds", 1)
    victim, pid = max(until(lambda: two_running(tmp_path)).items())
    os.kill(pid, signal.SIGKILL)
    said = finish(search)
    trials = trials_of(tmp_path)
    settle(trials, 6)
    assert "SIGKILL" in said
    assert trials[victim].state == TrialState.FAIL
    assert trials[victim].user_attrs["taken_over"]
    assert trials[victim].user_attrs["pid"] == pid
    assert sum(trial.state == TrialState.FAIL for trial in trials if "surplus" not in trial.user_attrs) == 1


def test_workers_end_with_their_parent_and_a_rerun_goes_on(tmp_path: Path, start: Start) -> None:
    search = start(tmp_path, 4, "--workers", 2, "--seconds", 60)
    pids = set(until(lambda: two_running(tmp_path)).values())
    search.kill()
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids), seconds=10)
    left = trials_of(tmp_path)
    # Even before anybody looks, the workers gave their trials back.
    assert [t.state for t in left].count(TrialState.WAITING) == 2
    assert TrialState.RUNNING not in [t.state for t in left]
    assert "(4 of 4)" in finish(start(tmp_path, 4))
    settle(trials_of(tmp_path), 4)


@pytest.mark.parametrize(("workers", "group"), [(1, False), (2, False), (2, True)])
def test_ctrl_c_leaves_a_study_that_goes_on_where_it_stopped(
    workers: int, group: bool, tmp_path: Path, start: Start
) -> None:
    search = start(tmp_path, 4, "--workers", workers, "--seconds", 60)
    until(lambda: two_running(tmp_path) if workers == 2 else running(tmp_path))
    # A terminal sends it to all processes, `kill -INT` to one.
    (os.killpg if group else os.kill)(search.pid, signal.SIGINT)
    said = finish(search, code=130)
    assert said.endswith("stopped; a rerun resumes the search\n")
    left = trials_of(tmp_path)
    assert [t.state for t in left].count(TrialState.WAITING) == workers
    assert not any(t.state == TrialState.RUNNING for t in left)
    assert sum("interrupted" in t.user_attrs for t in left) == workers
    finish(start(tmp_path, 4))
    settle(trials_of(tmp_path), 4)


def test_commands_that_join_share_one_total(tmp_path: Path, start: Start) -> None:
    several = [start(tmp_path, 24, "--workers", 2) for _ in range(2)]
    for search in several:
        finish(search)
    trials = trials_of(tmp_path)
    settle(trials, 24)
    assert [t.params for t in trials].count(BASELINE) == 1
    assert len({t.user_attrs["pid"] for t in trials if t.state == TrialState.COMPLETE}) > 1


def test_the_trial_of_another_machine_is_taken_over_after_the_grace_period(tmp_path: Path, start: Start) -> None:
    away = start(tmp_path, 2, "--host", "elsewhere", "--seconds", 60, "--beat", 0.2)
    until(lambda: running(tmp_path))
    away.kill()
    away.wait()
    begun = time.monotonic()
    said = finish(start(tmp_path, 2, "--grace", 3))
    assert time.monotonic() - begun > 3
    assert said.index("trial 1: val_loss") < said.index("trial 0: its process died")
    trials = trials_of(tmp_path)
    settle(trials, 2)
    assert trials[2].params == BASELINE


def test_the_living_trial_of_another_machine_is_left_alone(tmp_path: Path, start: Start) -> None:
    away = start(tmp_path, 3, "--host", "elsewhere", "--seconds", 6, "--beat", 0.2)
    until(lambda: running(tmp_path))
    finish(start(tmp_path, 3, "--grace", 2))
    # The last place was taken, so that the second command waited for it.
    finish(away)
    trials = trials_of(tmp_path)
    settle(trials, 3)
    assert not any("taken_over" in t.user_attrs for t in trials)


@pytest.mark.parametrize(
    ("error", "options", "says"),
    [
        ("no more disk", (), "3 trials in a row failed, the last with RuntimeError: no more disk"),
        ("kill", ("--workers", 2), "3 workers died one after the other, the last by SIGKILL"),
    ],
)
def test_what_fails_again_and_again_stops_with_a_sentence(
    error: str, options: tuple[Any, ...], says: str, tmp_path: Path, start: Start
) -> None:
    said = finish(start(tmp_path, 9, "--error", error, *options), code=2)
    assert f"error: {says}" in said
    assert not any(t.state == TrialState.RUNNING for t in trials_of(tmp_path))


def test_impossible_trials_count(tmp_path: Path, start: Start) -> None:
    assert "pruned, no such network" in finish(start(tmp_path, 3, "--error", "impossible"))
    settle(trials_of(tmp_path), 3)


def test_the_tail_that_a_power_cut_left_is_removed(tmp_path: Path, start: Start) -> None:
    finish(start(tmp_path, 2))
    journal = tmp_path / "journal.log"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":4,"wor')
    finish(start(tmp_path, 3))
    assert journal.read_bytes().startswith(whole)
    settle(trials_of(tmp_path), 3)
    assert optuna.trial.TrialState.FAIL not in [t.state for t in trials_of(tmp_path)]
