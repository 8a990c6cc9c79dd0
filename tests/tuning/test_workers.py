from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from optuna.trial import FrozenTrial, TrialState

from tests.tuning.programs import Programs, check_finished, finish, running, two_running, until
from tests.tuning.quick_search import BASELINE, plan

pytestmark = pytest.mark.usefixtures("forked")


def trials_of(folder: Path, **settings: Any) -> list[FrozenTrial]:
    return plan(folder, **settings).open().get_trials()


def test_a_search_runs_the_baseline_first_and_continues_to_a_larger_total(tmp_path: Path, start: Programs) -> None:
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
    check_finished(again, 5)
    # As one process would have drawn them in one go.
    finish(start(tmp_path / "at once", 5))
    assert [t.params for t in again] == [t.params for t in trials_of(tmp_path / "at once")]


def test_one_of_two_workers_is_killed_in_the_middle_and_nothing_is_lost(tmp_path: Path, start: Programs) -> None:
    search = start(tmp_path, 6, "--workers", 2, "--seconds", 1)
    victim, pid = max(until(lambda: two_running(tmp_path)).items())
    os.kill(pid, signal.SIGKILL)
    said = finish(search)
    trials = trials_of(tmp_path)
    check_finished(trials, 6)
    assert "SIGKILL" in said
    assert trials[victim].state == TrialState.FAIL
    assert trials[victim].user_attrs["taken_over"]
    assert trials[victim].user_attrs["pid"] == pid
    assert sum(trial.state == TrialState.FAIL for trial in trials if "surplus" not in trial.user_attrs) == 1


def test_workers_end_with_their_parent_and_a_rerun_goes_on(tmp_path: Path, start: Programs) -> None:
    search = start(tmp_path, 4, "--workers", 2, "--seconds", 60)
    pids = set(until(lambda: two_running(tmp_path)).values())
    search.kill()
    until(lambda: not any(psutil.pid_exists(pid) for pid in pids), seconds=10)
    left = trials_of(tmp_path)
    # Even before anybody looks, the workers gave their trials back.
    assert [t.state for t in left].count(TrialState.WAITING) == 2
    assert TrialState.RUNNING not in [t.state for t in left]
    assert "(4 of 4)" in finish(start(tmp_path, 4))
    check_finished(trials_of(tmp_path), 4)


@pytest.mark.parametrize(("workers", "group"), [(1, False), (2, False), (2, True)])
def test_ctrl_c_leaves_a_study_that_goes_on_where_it_stopped(
    workers: int, group: bool, tmp_path: Path, start: Programs
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
    # On a busy machine the parent may have to end a worker, and takes its trial over.
    assert sum(bool({"interrupted", "taken_over"} & t.user_attrs.keys()) for t in left) == workers
    finish(start(tmp_path, 4))
    check_finished(trials_of(tmp_path), 4)


def test_commands_that_join_share_one_total(tmp_path: Path, start: Programs) -> None:
    several = [start(tmp_path, 24, "--workers", 2, "--seconds", 0.2) for _ in range(2)]
    for search in several:
        finish(search)
    trials = trials_of(tmp_path)
    check_finished(trials, 24)
    assert [t.params for t in trials].count(BASELINE) == 1
    assert len({t.user_attrs["pid"] for t in trials if t.state == TrialState.COMPLETE}) > 1


def test_the_trial_of_another_machine_is_taken_over_after_the_grace_period(tmp_path: Path, start: Programs) -> None:
    away = start(tmp_path, 2, "--host", "elsewhere", "--seconds", 60, "--beat", 0.2)
    until(lambda: running(tmp_path))
    away.kill()
    away.wait()
    begun = time.monotonic()
    said = finish(start(tmp_path, 2, "--grace", 3))
    assert time.monotonic() - begun > 3
    assert said.index("trial 1: val_loss") < said.index("trial 0: its process died")
    trials = trials_of(tmp_path)
    check_finished(trials, 2)
    assert trials[2].params == BASELINE


def test_the_living_trial_of_another_machine_is_left_alone(tmp_path: Path, start: Programs) -> None:
    away = start(tmp_path, 3, "--host", "elsewhere", "--seconds", 6, "--beat", 0.2)
    until(lambda: running(tmp_path))
    finish(start(tmp_path, 3, "--grace", 2))
    # The last place was taken, so that the second command waited for it.
    finish(away)
    trials = trials_of(tmp_path)
    check_finished(trials, 3)
    assert not any("taken_over" in t.user_attrs for t in trials)


@pytest.mark.parametrize(
    ("error", "options", "says"),
    [
        ("no more disk", (), "3 trials in a row failed, the last with RuntimeError: no more disk"),
        ("kill", ("--workers", 2), "3 workers died one after the other, the last by SIGKILL"),
    ],
)
def test_what_fails_again_and_again_stops_with_a_sentence(
    error: str, options: tuple[Any, ...], says: str, tmp_path: Path, start: Programs
) -> None:
    said = finish(start(tmp_path, 9, "--error", error, *options), code=2)
    assert f"error: {says}" in said
    assert not any(t.state == TrialState.RUNNING for t in trials_of(tmp_path))


def test_impossible_trials_count(tmp_path: Path, start: Programs) -> None:
    assert "pruned, no such network" in finish(start(tmp_path, 3, "--error", "impossible"))
    check_finished(trials_of(tmp_path), 3)


def test_the_tail_that_a_power_cut_left_is_removed(tmp_path: Path, start: Programs) -> None:
    finish(start(tmp_path, 2))
    journal = tmp_path / "journal.log"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":4,"wor')
    finish(start(tmp_path, 3))
    assert journal.read_bytes().startswith(whole)
    check_finished(trials_of(tmp_path), 3)
    assert TrialState.FAIL not in [t.state for t in trials_of(tmp_path)]
