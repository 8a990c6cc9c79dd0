from __future__ import annotations

import importlib.util
import json
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

from particle_zoo.errors import InputError
from tests.tuning.quick_search import BASELINE, Parabola, plan
from tuning import storage
from tuning.grid import combinations, parse_grid
from tuning.processes import Process, machine
from tuning.samplers import SAMPLERS, make_pruner, make_sampler
from tuning.spaces import cnn
from tuning.storage import HEARTBEAT_S, close, quiet_optuna
from tuning.takeover import TRIES, Takeover, give_back, give_sign_of_life, has_place, is_copy, repeats
from tuning.worker import BEAT_S, Worker, count

HERE = Path("nowhere")
DEAD = 2**22 + 1
"""Larger than any process number of Linux."""


@pytest.fixture
def study() -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))


def begin(study: optuna.Study, **owner: Any) -> optuna.Trial:
    """A trial of some process, this one by default."""
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    me = Process.this()
    Process(**{"host": me.host, "pid": me.pid, "machine": me.machine, "started": me.started, **owner}).sign(trial)
    return trial


# --- Whose process died -----------------------------------------------------------------------------------------------------


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


# --- Whose study it is ------------------------------------------------------------------------------------------------------


def test_the_first_to_come_prepares_the_study_and_the_others_join_it(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"conditions": {"epochs": 3, "shares": (0.7, 0.3)}, "metrics": ("accuracy",)}
    first, second = (plan(tmp_path, directions=("maximize",), **settings).open() for _ in range(2))
    assert first.study_name == second.study_name
    assert [trial.system_attrs["fixed_params"] for trial in second.get_trials()] == [BASELINE]
    assert second.metric_names == ["accuracy"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": "vae"}, "searches quick; received vae; take another --output"),
        (
            {"space": "2"},
            "would not compare: the search space; repeat the first command, or begin anew with another --output",
        ),
        ({"conditions": {"epochs": 10, "source": "1"}}, "epochs (3, now 10);"),
        ({"conditions": {"epochs": 3, "source": "2"}}, "the data;"),
        ({"name": "other"}, "holds the study quick; received other; take another --output"),
    ],
)
def test_a_study_of_something_else_is_refused(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    before: dict[str, Any] = {"conditions": {"epochs": 3, "source": "1"}}
    begun = plan(tmp_path, **before)
    Worker(begun.open(), Parabola(HERE), trials=1).run()
    changed = {"name": "quick", "model": "quick", **before, **changes}
    with pytest.raises(InputError) as refused:
        plan(tmp_path, **changed).open()
    assert says in str(refused.value)
    assert len(begun.open().trials) == 1


def test_a_study_without_results_is_begun_anew_under_other_conditions(tmp_path: Path) -> None:
    plan(tmp_path, conditions={"metrics": ["acuracy"]}).open()
    anew = plan(tmp_path, conditions={"metrics": ["accuracy"]}, directions=("maximize",)).open()
    assert anew.user_attrs["conditions"] == {"metrics": ["accuracy"]}
    assert len(anew.trials) == 1


def test_a_study_whose_creator_died_is_prepared_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = storage.open_storage(None, tmp_path)
    optuna.create_study(storage=kept, study_name="quick")
    monkeypatch.setattr("tuning.study.PREPARED_S", 0.2)
    assert len(plan(tmp_path).open().trials) == 1


def test_a_study_of_somebody_else_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    theirs = optuna.create_study(storage=url, study_name="quick")
    theirs.add_trial(optuna.trial.create_trial(value=1.0))
    close(theirs)
    with pytest.raises(InputError, match="was not made by this command; take another --study"):
        plan(tmp_path, storage=url).open()


# --- Where it is kept -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (
            "nonsense",
            "--storage takes sqlite:///FILE, postgresql://USER:PASSWORD@HOST/DATABASE or journal:///FILE; received",
        ),
        ("oracle7://me@there/x", "is of no known kind"),
        ("sqlite://", "names no file"),
        ("sqlite:////no/such/folder/x.db", "unable to open database file"),
        ("journal:////no/such/folder/x.log", "/no/such/folder is no folder"),
        ("postgresql://me:hunter2@127.0.0.1:9/x", "cannot be used (connection failed"),
    ],
)
def test_a_storage_that_cannot_be_is_one_sentence_without_the_password(url: str, says: str, tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(InputError) as refused:
        storage.open_storage(url, tmp_path)
    assert says in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert time.monotonic() - begun < 20


def test_a_missing_driver_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InputError, match=r"needs a driver .*; install particle-zoo\[tune\]"):
        storage.open_storage("postgresql+psycopg://me@127.0.0.1:9/x", tmp_path)


@pytest.mark.parametrize("text", ["hello\n", '{"op_code": 0}\n{"op_c\n', "[1]\n"])
def test_a_damaged_journal_is_one_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / storage.JOURNAL).write_text(text)
    with pytest.raises(InputError, match=r"journal\.log is no journal of a search, or damaged"):
        storage.open_storage(None, tmp_path)


def test_a_search_runs_on_sqlite(tmp_path: Path) -> None:
    study = plan(tmp_path, storage=f"sqlite:///{tmp_path / 'study.db'}").open()
    Worker(study, Parabola(HERE), trials=3).run()
    assert count(study) == (3, 0, 0)
    close(study)


# --- What is drawn ----------------------------------------------------------------------------------------------------------


# torch, about itself
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "grid"])
@pytest.mark.parametrize("objectives", [1, 2])
def test_samplers_draw_the_same_whether_the_search_stops_in_between(
    sampler: str, objectives: int, tmp_path: Path
) -> None:
    if sampler == "gp" and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    if sampler == "cmaes" and objectives > 1:
        pytest.skip("knows one objective")
    settings: dict[str, Any] = {
        "sampler": sampler, "directions": ("minimize",) * objectives, "metrics": ("a", "b")[:objectives], "seed": 3
    }  # fmt: skip

    def objective(trial: optuna.Trial) -> tuple[float, ...]:
        value = Parabola(HERE)(trial)
        if trial.number == 4:
            raise optuna.TrialPruned
        return (value, trial.params["x"])[:objectives]

    drawn = []
    for name, totals in (("once", (14,)), ("twice", (5, 14))):
        for total in totals:
            Worker(plan(tmp_path / name, **settings).open(), objective, trials=total, say=lambda line: None).run()
        drawn.append([trial.params for trial in plan(tmp_path / name, **settings).open().trials])
    assert drawn[0] == drawn[1]
    assert len({point["x"] for point in drawn[0]}) == 14


@pytest.mark.parametrize(("sampler", "package", "extra"), [("gp", "torch", "gp"), ("cmaes", "cmaes", "tune")])
def test_a_sampler_without_its_package_names_the_extra(
    sampler: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"needs the package {package}; install particle-zoo\[{extra}\]"):
        make_sampler(sampler)


def test_several_objectives_are_refused_where_one_is_needed() -> None:
    with pytest.raises(InputError, match="--sampler cmaes knows one objective, received 2; take --sampler tpe"):
        make_sampler("cmaes", objectives=2)
    for pruner in ("median", "hyperband"):
        with pytest.raises(
            InputError, match=f"--pruner {pruner} compares one objective, received 2; take --pruner none"
        ):
            make_pruner(pruner, objectives=2)


@pytest.mark.parametrize(("pruner", "prunes"), [(None, True), ("median", True), ("hyperband", True), ("none", False)])
def test_pruners_stop_what_is_worse_than_the_others(pruner: str | None, prunes: bool, study: optuna.Study) -> None:
    study.pruner = make_pruner(pruner, steps=30)

    def objective(trial: optuna.Trial) -> float:
        for step in range(30):
            trial.report(trial.number, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return trial.number

    with quiet_optuna():
        study.optimize(objective, 20)
    pruned = [trial.number for trial in study.trials if trial.state == TrialState.PRUNED]
    assert bool(pruned) == prunes
    assert 0 not in pruned


def test_a_grid_varies_what_it_names_and_leaves_the_rest_as_in_the_baseline(tmp_path: Path) -> None:
    def space(trial: Any) -> dict[str, Any]:
        Parabola(HERE)(trial)
        return dict(trial.params)

    points = combinations(space, BASELINE, parse_grid(["x=0,0.25,1"], space))
    assert points == [{"x": x, "n": 2} for x in (0, 0.25, 1)]
    begun = plan(tmp_path, sampler="grid", grid=points)
    Worker(begun.open(), Parabola(HERE), trials=200, closed=True).run()
    # One of them is the baseline.
    assert [(t.params["x"], t.params["n"]) for t in begun.open().trials] == [(0.25, 2), (0, 2), (1, 2)]


@pytest.mark.parametrize(
    ("grid", "says"),
    [
        ((), "--sampler grid needs values; give --grid NAME=VALUE,VALUE"),
        (("depth=3",), "received 'depth=3'"),
        (("dropout_rate",), "received 'dropout_rate'"),
        (("dropout_rate=0", "dropout_rate=1"), "received 'dropout_rate=1'"),
        (("dropout_rate=0,0.9",), "--grid dropout_rate=0.9 is not in its range, 0 to 0.5"),
        (("conv_kernel_size0=big",), "--grid conv_kernel_size0=big is not in its range, 2 to 5"),
        (
            ("N_conv_layers=1,3",),
            "need conv_filter_exp2, which the baseline does not have; give --grid conv_filter_exp2=",
        ),
        (
            (f"adam_decay_steps={','.join(map(str, range(100, 300)))}", f"dropout_rate={','.join(['0'] * 51)}"),
            "10,200 points",
        ),
    ],
)
def test_a_grid_that_cannot_be_is_one_sentence(grid: tuple[str, ...], says: str) -> None:
    from tuning.spaces import BASELINES

    with pytest.raises(InputError) as refused:
        combinations(cnn, BASELINES["cnn"], parse_grid(grid, cnn))
    assert says in str(refused.value)


def test_points_that_differ_in_what_is_not_asked_for_are_one() -> None:
    from tuning.spaces import BASELINES

    grid = parse_grid(["N_conv_layers=1,2", "conv_kernel_size1=3,4"], cnn)
    points = combinations(cnn, BASELINES["cnn"], grid)
    assert [(p["N_conv_layers"], p.get("conv_kernel_size1")) for p in points] == [(1, None), (2, 3), (2, 4)]


# --- What comes back --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_no_number_is_pruned_and_counts(value: float, study: optuna.Study) -> None:
    Worker(study, lambda trial: value, trials=2, say=lambda line: None).run()
    assert [trial.state for trial in study.trials] == [TrialState.PRUNED] * 2
    assert study.trials[0].user_attrs["diverged"] == f"the value is [{value}]"


def test_unusable_data_stop_the_search_and_the_trial_is_run_again_later(study: optuna.Study) -> None:
    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("x", 0, 1)
        raise InputError("no clusters; take others")

    with pytest.raises(InputError, match="no clusters"):
        Worker(study, objective, trials=2).run()
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.WAITING]


def test_one_error_now_and_then_is_noted_and_does_not_stop_the_search(study: optuna.Study) -> None:
    def objective(trial: optuna.Trial) -> float:
        if trial.number % 2:
            raise MemoryError("for 3 TB")
        return 1.0

    Worker(study, objective, trials=5, say=lambda line: None).run()
    assert count(study) == (5, 0, 0)
    assert study.trials[1].user_attrs["error"] == "MemoryError: for 3 TB"


def test_a_result_is_dropped_where_another_process_took_the_trial_over(study: optuna.Study) -> None:
    said: list[str] = []

    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        if trial.number == 0:
            give_back(study, study.trials[0], "taken_over")
        return x

    Worker(study, objective, trials=2, say=said.append).run()
    assert said[0] == "trial 0: another process took it over; what this one found is dropped"
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]
    assert study.trials[1].params == study.trials[0].params


def test_what_a_worker_says_is_a_line_a_trial_with_the_count(tmp_path: Path) -> None:
    said: list[str] = []
    Worker(plan(tmp_path).open(), Parabola(HERE), trials=1, say=said.append).run()
    assert said == ["trial 0: val_loss 0.4025  (1 of 1)"]
    assert json.loads((tmp_path / "journal.log").read_text().splitlines()[0])["study_name"] == "quick"
