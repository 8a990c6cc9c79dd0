"""Trials of dead processes, and the exact total."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from optuna.trial import TrialState

from tests.tuning.quick_search import Parabola
from tuning.processes import Process, machine
from tuning.storage import HEARTBEAT_S
from tuning.takeover import TRIES, Takeover, give_back, give_sign_of_life, has_place, is_copy, repeats
from tuning.worker import BEAT_S, Worker, count

HERE = Path("nowhere")
DEAD = 2**22 + 1
"""Larger than any process number of Linux."""


def begin(study: optuna.Study, **owner: Any) -> optuna.Trial:
    """A trial of some process, this one by default."""
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    me = Process.this()
    Process(**{"host": me.host, "pid": me.pid, "machine": me.machine, "started": me.started, **owner}).sign(trial)
    return trial


def test_a_process_knows_itself_and_no_other() -> None:
    me = Process.this()
    assert me.is_here()
    assert me.lives()
    # The number was given again to a process that began later.
    assert not Process(me.host, me.pid, me.machine, me.started - 60).lives()
    assert not Process(me.host, DEAD, me.machine, me.started).lives()
    assert not Process(me.host, me.pid, "another", me.started).is_here()
    assert Process(me.host, me.pid, me.machine, me.started + 0.5).is_same(me)


def test_a_process_that_nobody_has_collected_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    started = psutil.Process(child.pid).create_time()
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert not Process("", child.pid, machine(), started).lives()
    child.wait()


def test_a_dead_process_of_this_machine_is_found_at_once_and_its_parameters_are_next(study: optuna.Study) -> None:
    lost, kept = (
        begin(study, pid=DEAD),
        begin(study, pid=psutil.Process().parent().pid, started=psutil.Process().parent().create_time()),
    )
    assert Takeover(study, grace=60).sweep() == [lost.number]
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING]
    again = study.ask()
    assert again.suggest_float("x", 0, 1) == lost.params["x"]
    # As Optuna's own callback for heartbeats notes it.
    assert study.trials[again.number].system_attrs["retry_history"] == [lost.number]
    assert study.trials[again.number].system_attrs["failed_trial"] == lost.number
    assert "host" not in study.trials[again.number].user_attrs
    assert kept.number not in Takeover(study, grace=60).sweep()


def test_a_trial_left_behind_by_this_very_process_is_taken_over_but_not_the_current_one(study: optuna.Study) -> None:
    left, current = begin(study), begin(study)
    assert Takeover(study, grace=60).sweep(current.number) == [left.number]


def test_another_machine_is_dead_once_it_was_silent_for_the_grace_period(study: optuna.Study) -> None:
    now = [0.0]
    takeover = Takeover(study, grace=60, clock=lambda: now[0])
    silent, living, unsigned = begin(study, machine="a"), begin(study, machine="b"), study.ask()
    for at in range(0, 61, 20):
        now[0] = at
        give_sign_of_life(study, living._trial_id)
        time.sleep(0.02)
        assert takeover.sweep() == []
    now[0] = 61
    assert takeover.sweep() == [silent.number, unsigned.number]
    assert study.trials[living.number].state == TrialState.RUNNING
    # Nothing is known of what was not even drawn yet.
    assert [repeats(trial) for trial in study.trials if trial.state == TrialState.WAITING] == [silent.number]


def test_parameters_that_kill_are_given_up(study: optuna.Study) -> None:
    begin(study, pid=DEAD)
    takeover, tried = Takeover(study, grace=60), 1
    while takeover.sweep():
        if any(trial.state == TrialState.WAITING for trial in study.trials):
            tried += 1
            begin(study, pid=DEAD)
    assert tried == TRIES == 3
    assert {trial.params["x"] for trial in study.trials} == {study.trials[0].params["x"]}
    assert "given_up" in study.trials[-1].user_attrs
    # Ctrl-C is nobody's fault.
    for _ in range(5):
        number = begin(study).number
        give_back(study, study.trials[number], "interrupted")
    assert study.trials[-1].state == TrialState.WAITING


def test_before_it_exits_a_worker_waits_until_it_knows_of_every_running_trial(study: optuna.Study) -> None:
    study.add_trial(optuna.trial.create_trial(value=1.0))
    silent, living = begin(study, machine="a"), begin(study, machine="b")
    worker = Worker(study, Parabola(HERE), trials=1, grace=0.5)
    beat = threading.Event()

    def live() -> None:
        while not beat.wait(0.1):
            give_sign_of_life(study, living._trial_id)

    thread = threading.Thread(target=live)
    thread.start()
    try:
        worker.run()
    finally:
        beat.set()
        thread.join()
    assert study.trials[silent.number].state == TrialState.FAIL
    assert study.trials[living.number].state == TrialState.RUNNING


def test_a_repetition_has_the_place_of_what_it_repeats(study: optuna.Study) -> None:
    lost = begin(study, pid=DEAD)
    give_back(study, study.trials[lost.number], "taken_over")
    # As if the process that took over had died before its last step.
    again, running = study.trials[1], study.trials[0]
    running.state = TrialState.RUNNING
    assert has_place(again, [running, again], 1)
    assert not has_place(
        optuna.trial.FrozenTrial(2, TrialState.RUNNING, None, None, None, {}, {}, {}, {}, {}, 2), [running, again], 1
    )


def test_two_that_take_over_at_once_make_one_repetition(study: optuna.Study) -> None:
    lost = begin(study, pid=DEAD)
    first, second = (study.get_trials()[lost.number] for _ in range(2))
    assert give_back(study, first, "taken_over")
    assert not give_back(study, second, "taken_over")
    assert sum(trial.state == TrialState.WAITING for trial in study.trials) == 1
    # Where one was between the steps of the other there are two, and the second knows.
    study.add_trial(next(t for t in study.trials if t.state == TrialState.WAITING))
    assert [is_copy(trial, study.trials) for trial in study.trials] == [False, False, True]


@pytest.mark.parametrize("seed", range(25))
def test_the_total_is_exact_however_processes_interleave_and_die(seed: int, study: optuna.Study) -> None:
    chance, total = random.Random(seed), 6

    def process() -> Iterator[optuna.Trial | None]:
        """As `Worker` does it, with a stop before everything that others see."""
        while True:
            done, running, _ = count(study)
            yield None
            if done >= total:
                return
            if done + running >= total:
                continue
            trial = study.ask()
            trial.suggest_float("x", 0, 1)
            yield trial
            trials = study.get_trials(deepcopy=False)
            copy = is_copy(trials[trial.number], trials)
            if copy or not has_place(trials[trial.number], trials, total):
                give_back(study, trials[trial.number], "surplus", again=not copy)
                continue
            yield trial
            study.tell(trial, trial.params["x"])

    alive = {name: process() for name in range(4)}
    current: dict[int, optuna.Trial | None] = dict.fromkeys(alive)
    lost: list[optuna.Trial] = []
    deaths = 6
    while alive:
        name = chance.choice(list(alive))
        if deaths and chance.random() < 0.1:
            # Another comes in its place.
            trial, alive[name], deaths = current[name], process(), deaths - 1
            current[name] = None
            lost += [trial] if trial and study.trials[trial.number].state == TrialState.RUNNING else []
        elif lost and chance.random() < 0.2:
            give_back(study, study.trials[lost.pop().number], "taken_over")
        else:
            try:
                current[name] = next(alive[name])
            except StopIteration:
                del alive[name]
                if not alive and (lost or count(study)[0] < total):
                    alive[name] = process()
    for trial in lost:
        give_back(study, study.trials[trial.number], "taken_over")
    states = [trial.state for trial in study.trials]
    assert states.count(TrialState.COMPLETE) == total
    assert TrialState.RUNNING not in states


def test_signs_of_life_come_more_often_than_the_shortest_grace_period() -> None:
    from tuning.search import search

    grace = next(option for option in search.params if option.name == "grace")
    assert max(BEAT_S, HEARTBEAT_S) * 3 <= grace.type.min  # type: ignore[attr-defined]
