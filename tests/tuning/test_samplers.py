"""What samplers, pruners and grids draw."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from particle_zoo.errors import InputError
from tests.tuning.quick_search import BASELINE, Parabola, plan
from tuning.grid import combinations, parse_grid
from tuning.samplers import SAMPLERS, make_pruner, make_sampler
from tuning.spaces import BASELINES, cnn
from tuning.storage import quiet_optuna
from tuning.takeover import HISTORY
from tuning.worker import Worker

HERE = Path("nowhere")


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


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_the_baseline_is_never_pruned_nor_its_repetition(pruner: str) -> None:
    # By its name the first trials are of one bracket.
    with quiet_optuna():
        study = optuna.create_study(study_name="cnn", pruner=make_pruner(pruner, steps=30))
        study.enqueue_trial(BASELINE)
        trials = [study.ask() for _ in range(8)]
        again = optuna.trial.create_trial(
            state=TrialState.RUNNING, intermediate_values=dict.fromkeys(range(30), 0.9), system_attrs={HISTORY: [0]}
        )
        study.add_trial(again)
    stopped = dict.fromkeys(range(8), False)
    # It is the last everywhere, as where others began later and are faster.
    for trial, value in [*((trial, 0.1) for trial in trials[2:]), (trials[1], 0.9), (trials[0], 0.9)]:
        for step in range(30):
            trial.report(value, step)
            stopped[trial.number] |= trial.should_prune()
        if value < 0.5:
            study.tell(trial, value)
    assert not stopped[0]
    assert not study.pruner.prune(study, study.trials[8])
    assert stopped[1] or pruner == "hyperband"


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
        (("N_conv_layers=true",), "--grid N_conv_layers=True is not in its range, 1 to 3"),
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
    with pytest.raises(InputError) as refused:
        combinations(cnn, BASELINES["cnn"], parse_grid(grid, cnn))
    assert says in str(refused.value)


def test_a_whole_number_of_a_grid_may_be_written_as_another() -> None:
    points = combinations(cnn, BASELINES["cnn"], parse_grid(["N_conv_layers=2.0,1e0"], cnn))
    assert [point["N_conv_layers"] for point in points] == [2, 1]
    assert all(type(point["N_conv_layers"]) is int for point in points)


def test_points_that_differ_in_what_is_not_asked_for_are_one() -> None:
    grid = parse_grid(["N_conv_layers=1,2", "conv_kernel_size1=3,4"], cnn)
    points = combinations(cnn, BASELINES["cnn"], grid)
    assert [(p["N_conv_layers"], p.get("conv_kernel_size1")) for p in points] == [(1, None), (2, 3), (2, 4)]
