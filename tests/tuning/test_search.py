from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from click.testing import CliRunner
from optuna.trial import TrialState

from particle_zoo import create, data
from particle_zoo.errors import ParticleZooError
from particle_zoo.train import train
from tests.tuning.programs import Programs, check_finished, finish, until
from tuning.objective import Objective
from tuning.search import search
from tuning.storage import open_storage

pytestmark = [
    pytest.mark.usefixtures("forked"),
    # Third parties leave files of a data set open.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def on(layout: Path, output: Path, *options: Any) -> list[str]:
    """Arguments of a short search on the small labelled folder."""
    where = ("--dataset", "ccd_clusters/damic_labelled", "--manual-dir", layout, "--data-dir", output / "data")
    return ["tiny_cnn", *map(str, (*where, "--output", output, "--epochs", 1, *options))]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["cnm"], "did you mean cnn"),
        (["effnet_ae_mask0"], "no search space for effnet_ae_mask0"),
        (["tiny_cnn", "--trials", "0"], "Invalid value for '--trials': 0"),
        (["tiny_cnn", "--space", "wide"], "--space takes one of cnn, cnn_meta"),
        (
            ["tiny_cnn", "--space", "pedestal_ae"],
            "the space pedestal_ae is none for tiny_cnn: there is no 'bottleneck'",
        ),
        (["tiny_vae", "--space", "cnn"], "the space cnn is none for tiny_vae: no setting"),
        (["tiny_cnn", "--sampler", "tpa"], "'tpa' is not one of"),
        (["tiny_cnn", "--grid", "dropout_rate=0"], "--grid needs --sampler grid; received --sampler tpe"),
        (["tiny_cnn", "--sampler", "grid"], "--sampler grid needs values"),
        (["tiny_cnn", "--grace", "3"], "Invalid value for '--grace': 3"),
        (["tiny_cnn", "--folds", "1"], "2 or more"),
        (["tiny_cnn", "--metric", "val_loss", "--metric", "val_loss"], "every --metric once"),
        (
            ["tiny_cnn", "--metric", "val_loss", "--metric", "parameters", "--pruner", "median"],
            "--pruner median compares one",
        ),
        (
            ["tiny_cnn", "--metric", "val_loss", "--metric", "parameters", "--sampler", "cmaes"],
            "--sampler cmaes knows one",
        ),
        (["tiny_cnn", "--classes", "xray,quark"], "--classes takes different names"),
        (["tiny_cnn", "--dataset", "ccd_clusters/damic_labelled", "--manual-dir", "nowhere"], "no folder"),
        (["tiny_cnn", "--storage", "study.db"], "--storage takes sqlite:///FILE"),
        (["tiny_cnn", "--storage", "postgresql://me@127.0.0.1:9/x"], "cannot be used"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(search, arguments)
    if result.exit_code == 2:
        said = result.output.splitlines()[-1]
    else:
        assert isinstance(result.exception, ParticleZooError), result.exception
        said = str(result.exception)
    assert says in said
    assert "\n" not in said
    assert not list(tmp_path.glob("runs/*/*"))


def test_a_stopped_search_reports_what_is_finished(
    one_layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def value(self: Objective, trial: Any) -> float:
        self.space(trial)
        if trial.number == stop:
            raise KeyboardInterrupt
        return 1 / (1 + trial.number)

    monkeypatch.setattr(Objective, "__call__", value)
    for stop in (0, 3):
        stopped = CliRunner().invoke(search, on(one_layout, tmp_path, "--trials", 5))
        assert stopped.exception
        assert (tmp_path / "report.html").exists() == bool(stop)
    assert f"report of what is finished: {tmp_path / 'report.html'}\n" in stopped.output
    table = pd.read_csv(tmp_path / "trials.csv")
    # The baseline was stopped first, and came again.
    assert table.state.tolist() == ["FAIL", "COMPLETE", "COMPLETE", "FAIL", "WAITING"]
    assert json.loads((tmp_path / "best.json").read_text())


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_a_search_continues_reports_and_never_loads_the_test_split(
    layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    load = data.load

    def spy(dataset: str, split: str = "train", **options: Any) -> Any:
        asked.append(split)
        return load(dataset, split, **options)

    monkeypatch.setattr(data, "load", spy)
    for total, begins in ((2, "0 of 2 trials done, 2 to go"), (3, "2 of 3 trials done, 1 to go")):
        arguments = on(layout, tmp_path, "--trials", total, "--json", tmp_path / "m.json")
        result = CliRunner().invoke(search, arguments, catch_exceptions=False)
        assert result.output.startswith(f"{begins}, in {tmp_path / 'journal.log'}")
        assert json.loads((tmp_path / "m.json").read_text())["trials"] == total
    assert set(asked) == {"train", "validation"}
    for line in ("report: ", "train it: python -m particle_zoo.train tiny_cnn", "optuna-dashboard"):
        assert line in result.output
    assert {"report.html", "trials.csv", "best.json"} <= {path.name for path in tmp_path.iterdir()}
    assert create("tiny_cnn", **json.loads((tmp_path / "best.json").read_text())).count_params() > 0

    other = CliRunner().invoke(search, on(layout, tmp_path, "--epochs", 2))
    assert "epochs (1, now 2)" in str(other.exception)
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({**json.loads((tmp_path / "best.json").read_text()), "depth": 3}))
    refused = CliRunner().invoke(train, ["tiny_cnn", "--params", str(wrong)])
    assert "no setting 'depth'" in str(refused.exception)


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_the_command_survives_the_death_of_a_worker_and_goes_on_after_ctrl_c(
    layout: Path, tmp_path: Path, start: Programs
) -> None:
    def trials(state: TrialState | None = None) -> list[optuna.trial.FrozenTrial]:
        if not (tmp_path / "journal.log").exists():
            return []
        storage = open_storage(None, tmp_path)
        found = [trial for known in storage.get_all_studies() for trial in storage.get_all_trials(known._study_id)]
        return [trial for trial in found if state in (None, trial.state)]

    def training(processes: int) -> optuna.trial.FrozenTrial | None:
        begun = [trial for trial in trials(TrialState.RUNNING) if "versions" in trial.user_attrs]
        return begun[-1] if len({trial.user_attrs["pid"] for trial in begun}) == processes else None

    arguments = on(layout, tmp_path, "--trials", 4, "--workers", 2)
    arguments[arguments.index("--epochs") + 1] = "6"
    running = start.start("tuning.search", *arguments)
    victim = until(lambda: training(2), seconds=120)
    os.kill(victim.user_attrs["pid"], signal.SIGKILL)
    until(lambda: trials()[victim.number].state == TrialState.FAIL)
    # The other worker goes on while one takes the place of the dead.
    until(lambda: training(1), seconds=120)
    os.killpg(running.pid, signal.SIGINT)
    said = finish(running, code=130)
    assert said.endswith("stopped; a rerun resumes the search\n")
    assert not trials(TrialState.RUNNING)
    done = len([trial for trial in trials() if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)])
    # As many processes as one likes.
    resumed = CliRunner().invoke(search, [*arguments, "--workers", "1"], catch_exceptions=False)
    assert resumed.exit_code == 0
    assert f"{done} of 4 trials done, {4 - done} to go" in resumed.output
    check_finished(trials(), 4)
    assert (tmp_path / "report.html").exists()
