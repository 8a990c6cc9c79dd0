"""Whose study it is, where it is kept, and what comes back from its trials."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from particle_zoo.errors import InputError
from particle_zoo.training.interruption import Interruption
from tests.tuning.quick_search import BASELINE, Parabola, plan
from tuning import storage
from tuning.storage import close
from tuning.takeover import give_back
from tuning.worker import Worker, count

HERE = Path("nowhere")


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
        ("postgresql://127.0.0.1:9/x?user=me&password=hunter2", "?password=***&user=me cannot be used"),
        ("postgresql://me:hunter2@there:port/x", "received 'postgresql://me:***@there:port/x'"),
        ("postgresql//me:hun@ter2@there/x", "received 'postgresql//me:***@there/x'"),
    ],
)
def test_a_storage_that_cannot_be_is_one_sentence_without_the_password(url: str, says: str, tmp_path: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(InputError) as refused:
        storage.open_storage(url, tmp_path)
    assert says in str(refused.value)
    assert "ter2" not in str(refused.value)
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


@pytest.mark.parametrize("content", [b"SQLite format 3\0" + bytes(100), b'{"my": "results"}', b"line one\nline two"])
def test_a_file_of_something_else_is_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_bytes(content)
    with pytest.raises(InputError, match="mine is no journal of a search"):
        storage.open_storage(f"journal:///{path}", tmp_path)
    assert path.read_bytes() == content


def test_a_search_runs_on_sqlite(tmp_path: Path) -> None:
    study = plan(tmp_path, storage=f"sqlite:///{tmp_path / 'study.db'}").open()
    Worker(study, Parabola(HERE), trials=3).run()
    assert count(study) == (3, 0, 0)
    close(study)


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


def test_ctrl_c_that_became_another_error_is_still_ctrl_c(study: optuna.Study) -> None:
    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("x", 0, 1)
        training = Interruption()
        training.on_train_begin()
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            # As TensorFlow does while it traces.
            raise AssertionError("nesting violated") from None
        finally:
            training.restore()
        return 1.0

    with pytest.raises(KeyboardInterrupt):
        Worker(study, objective, trials=2).run()
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.WAITING]
    assert "interrupted" in study.trials[0].user_attrs


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


def test_a_trial_that_is_taken_over_while_it_is_told_is_dropped(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    tell = study.tell

    def told_late(trial: optuna.Trial, *arguments: Any, **options: Any) -> Any:
        if trial.number == 0:
            give_back(study, study.trials[0], "taken_over")
        return tell(trial, *arguments, **options)

    monkeypatch.setattr(study, "tell", told_late)
    Worker(study, Parabola(HERE), trials=2, say=said.append).run()
    assert said[0] == "trial 0: another process took it over; what this one found is dropped"
    assert count(study) == (2, 0, 0)


def test_a_grid_is_not_continued_without_it(tmp_path: Path) -> None:
    begun = plan(tmp_path, sampler="grid", grid=[{"x": 0.5, "n": 1}], conditions={"grid": {"x": [0.5]}})
    Worker(begun.open(), Parabola(HERE), trials=2, closed=True).run()
    with pytest.raises(InputError, match="so that values would not compare: the grid"):
        plan(tmp_path).open()


def test_what_a_worker_says_is_a_line_a_trial_with_the_count(tmp_path: Path) -> None:
    said: list[str] = []
    Worker(plan(tmp_path).open(), Parabola(HERE), trials=1, say=said.append).run()
    assert said == ["trial 0: val_loss 0.4025  (1 of 1)"]
    assert json.loads((tmp_path / "journal.log").read_text().splitlines()[0])["study_name"] == "quick"
