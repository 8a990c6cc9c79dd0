from __future__ import annotations

import csv
import json
import math
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from particle_zoo import registry
from particle_zoo.cli import parse_settings
from tuning import report
from tuning.outcome import KINDS, Outcome, number
from tuning.report_figures import FIGURES
from tuning.spaces import BASELINES
from tuning.takeover import HISTORY

SPACE: dict[str, BaseDistribution] = {
    "layers": IntDistribution(1, 3),
    "rate": FloatDistribution(1e-5, 1e-1, log=True),
    "deep": IntDistribution(8, 64),
    "padding": CategoricalDistribution(["same", "valid"]),
}


def trial(*values: float, state: TrialState = TrialState.COMPLETE, **options: Any) -> FrozenTrial:
    """Of two parameters, unless `params` says which."""
    params = options.pop("params", {"layers": 2, "rate": 1e-3})
    distributions = {name: SPACE[name] for name in params}
    return create_trial(state=state, values=values or None, params=params, distributions=distributions, **options)


def study_of(*trials: FrozenTrial, directions: tuple[str, ...] = ("minimize",)) -> Study:
    study = optuna.create_study(study_name="tiny", directions=list(directions))  # type: ignore[arg-type]
    study.add_trials(trials)
    return study


def searched() -> Study:
    """Something of everything: the best is trial 3, a parameter exists in some trials only."""
    curve = {"intermediate_values": {0: 3.0, 1: 1.0}}
    return study_of(
        trial(0.8, **curve, user_attrs={"host": "a", "parameters": 1000, "versions": {"keras": "3.12"}}),
        trial(0.9, params={"layers": 3, "rate": 1e-2, "deep": 16}, user_attrs={"versions": {"keras": "3.13"}}),
        trial(state=TrialState.PRUNED, intermediate_values={0: 90.0}),
        trial(0.6, params={"layers": 1, "rate": 3e-3}, **curve, user_attrs={"settings": {"layers": 1, "epochs": 7}}),
        trial(state=TrialState.PRUNED, user_attrs={"impossible": "kernel <5> & image of 3; take 2"}),
        trial(state=TrialState.PRUNED, user_attrs={"impossible": "kernel <5> & image of 3; take 2"}),
        trial(state=TrialState.PRUNED, user_attrs={"diverged": "the loss is nan"}),
        trial(state=TrialState.FAIL, user_attrs={"error": "MemoryError: 9 GB"}),
        trial(state=TrialState.FAIL, user_attrs={"taken_over": True}),
        trial(state=TrialState.FAIL, user_attrs={"surplus": True}),
        trial(state=TrialState.RUNNING),
        trial(state=TrialState.WAITING),
        trial(0.7, params={"layers": 3, "rate": 5e-3, "deep": 60}),
    )


class Page(HTMLParser):
    """What a page loads, and its headings and scripts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str | None] = []
        self.tags: list[str] = []
        self.headings: list[str] = []
        self.scripts: list[str] = []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "h3" and data.strip():
            self.headings.append(data)
        if self.tags and self.tags[-1] == "script":
            self.scripts.append(data)


def test_the_best_is_compared_with_trial_0() -> None:
    found = report.summary(searched(), ["val_loss"])
    assert found["best"] == {"number": 3, "values": {"val_loss": 0.6}, "params": {"layers": 1, "rate": 3e-3}}
    assert found["baseline"]["number"] == 0
    assert found["gain"]["val_loss"] == pytest.approx(0.2)
    assert found["beaten_by"] == [3]
    assert found["verdict"] == (
        "Trial 3 has the lowest val_loss 0.6; the baseline, trial 0, has val_loss 0.8: better by 0.2 (25.0%)."
    )


def test_trials_are_counted_by_what_became_of_them() -> None:
    found = report.summary(searched())
    wanted = {"finished": 4, "pruned": 1, "impossible": 2, "diverged": 1, "failed": 1, "taken_over": 1, "surplus": 1}
    assert found["counts"] == dict.fromkeys(KINDS, 0) | wanted | {"running": 1, "waiting": 1}
    assert sum(found["counts"].values()) == 13
    # The total of `--trials` counts those that ended by themselves.
    assert found["trials"] == 8
    assert found["reasons"]["impossible"] == {"kernel <5> & image of 3; take 2": 2}
    assert found["reasons"]["failed"] == {"MemoryError: 9 GB": 1}


def test_more_is_better_where_the_objective_is_maximised() -> None:
    found = report.summary(study_of(trial(0.8), trial(0.9), directions=("maximize",)), ["accuracy"])
    assert found["best"]["number"] == 1
    assert found["gain"]["accuracy"] == pytest.approx(0.1)
    assert "highest accuracy 0.9" in found["verdict"]


def test_a_baseline_that_nothing_beats_is_said_to_be_the_best() -> None:
    found = report.summary(study_of(trial(0.5), trial(0.7), trial(0.6)))
    assert found["beaten_by"] == []
    assert found["verdict"].endswith("it is the baseline, which no trial beats; next is trial 2 with objective 0.6.")
    equal = report.summary(study_of(trial(0.5), trial(0.5)))
    assert "no trial beats" in equal["verdict"]


def test_the_baseline_is_found_again_where_its_process_died() -> None:
    died = trial(state=TrialState.FAIL, user_attrs={"taken_over": True})
    study = study_of(died, trial(0.5), trial(0.8, system_attrs={HISTORY: [0]}))
    found = report.summary(study)
    assert found["baseline"]["number"] == 2
    assert found["gain"]["objective"] == pytest.approx(0.3)


def test_no_gain_is_claimed_over_a_baseline_that_did_not_finish() -> None:
    found = report.summary(study_of(trial(state=TrialState.PRUNED), trial(0.5)))
    assert found["gain"] is None
    assert found["beaten_by"] == []
    assert "The baseline, trial 0, has no value to compare with (pruned)." in found["verdict"]


def test_of_several_objectives_only_what_is_worse_in_none_beats_the_baseline() -> None:
    study = study_of(
        trial(0.90, 1000), trial(0.95, 1000), trial(0.97, 3000), trial(0.80, 500), trial(0.70, 900),
        directions=("maximize", "minimize"),
    )  # fmt: skip
    found = report.summary(study, ["accuracy", "parameters"])
    assert [row["number"] for row in found["pareto"]] == [1, 2, 3]
    assert found["best"]["number"] == 2
    assert found["beaten_by"] == [1]
    assert "better by 0.07 (7.8%) in accuracy, worse by 2,000 (200.0%) in parameters" in found["verdict"]


def test_a_summary_is_strict_json() -> None:
    study = study_of(trial(math.inf), trial(0.5), trial(-math.inf))
    found = report.summary(study)
    assert found["baseline"]["values"] == {"objective": None}
    assert found["best"]["number"] == 1
    for other in (study, searched(), study_of()):
        json.dumps(report.summary(other), allow_nan=False)


def test_numbers_are_short_and_whole_numbers_whole() -> None:
    assert [number(v) for v in (91651, 875164.0, 3.676e-4, 0.123456789, True, "same")] == [
        "91,651", "875,164", "0.0003676", "0.123457", "True", "same",
    ]  # fmt: skip


def test_a_search_leaves_its_best_settings_all_trials_and_a_page(tmp_path: Path) -> None:
    written = report.write(searched(), tmp_path, model="tiny_cnn", objectives=["val_loss"], options=["--seed", "3"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.json", "report.html", "trials.csv"]
    assert json.loads((tmp_path / "best.json").read_text()) == {"layers": 1, "epochs": 7}
    assert written.train == f"python -m particle_zoo.train tiny_cnn --params {tmp_path / 'best.json'} --seed 3"
    assert written.dashboard == f"optuna-dashboard {tmp_path / 'journal.log'}"
    with written.trials.open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["number"]) for row in rows] == list(range(13))
    assert [row["params_deep"] for row in rows if row["params_deep"]] == ["16", "60"]
    assert float(rows[3]["value"]) == 0.6
    assert json.loads(rows[3]["user_attrs_settings"]) == {"layers": 1, "epochs": 7}
    assert rows[0]["user_attrs_host"] == "a"
    assert rows[0]["datetime_start"] <= rows[0]["datetime_complete"]
    page = Page(written.page)
    for said in ("better by 0.2 (25.0%)", "kernel &lt;5&gt; &amp; image of 3", "3.12, 3.13", written.train):
        assert said in page.text


def test_the_best_settings_build_the_model(tmp_path: Path) -> None:
    study = optuna.create_study()
    study.enqueue_trial(BASELINES["cnn"])
    asked = study.ask()
    for name, value in BASELINES["cnn"].items():
        asked.suggest_categorical(name, [value])
    study.tell(asked, 0.5)
    written = report.write(study, tmp_path, model="cnn")
    assert written.best is not None
    settings = parse_settings((), written.best)
    assert settings == BASELINES["cnn"]
    registry.config_class("cnn").from_settings(settings)


def test_every_pareto_optimal_trial_has_its_settings_and_those_of_others_go(tmp_path: Path) -> None:
    mine = ("best-friend.json", "best-1.json.bak", "notes.json")
    for name in (*mine, "best-7.json"):
        (tmp_path / name).write_text("{}")
    study = study_of(
        trial(0.9, 1000, params={"layers": 1}), trial(0.8, 2000, params={"layers": 2}), trial(0.95, 3000, params={"layers": 3}),
        directions=("maximize", "minimize"),
    )  # fmt: skip
    written = report.write(study, tmp_path, model="cnn", objectives=["accuracy", "parameters"])
    names = {path.name for path in tmp_path.glob("best*")} - set(mine)
    assert names == {"best.json", "best-0.json", "best-2.json"}
    assert json.loads((tmp_path / "best.json").read_text()) == {"layers": 3}
    assert json.loads((tmp_path / "best-0.json").read_text()) == {"layers": 1}
    assert all((tmp_path / name).exists() for name in mine)
    assert "best.json is trial 2, with the highest accuracy 0.95" in Page(written.page).text


NOTHING = {
    "no trial": study_of(),
    "none finished": study_of(trial(state=TrialState.PRUNED), trial(state=TrialState.RUNNING)),
    "only waiting": study_of(trial(state=TrialState.WAITING)),
}


@pytest.mark.parametrize("study", NOTHING.values(), ids=NOTHING)
def test_without_a_finished_trial_the_page_says_why_there_is_no_best(tmp_path: Path, study: Study) -> None:
    (tmp_path / "best.json").write_text("{}")
    written = report.write(study, tmp_path, model="cnn")
    assert (written.best, written.train) == (None, None)
    assert not (tmp_path / "best.json").exists()
    page = Page(written.page)
    assert "No trial has finished: there are no best settings." in page.text
    assert [name for name in page.headings if name in FIGURES] == list(FIGURES)
    assert written.trials.read_text().startswith("number,state")


SMALL = {
    "one trial": (study_of(trial(0.5)), "Importances need two finished trials; there is one."),
    "constant": (study_of(*[trial(v) for v in (0.5, 0.4, 0.3)]), "All finished trials have the same parameters"),
    "nothing in common": (
        study_of(*[trial(0.5 + v, params={name: SPACE[name].high}) for v in (0, 0.1) for name in ("layers", "deep")]),  # type: ignore[attr-defined]
        "",
    ),
    "no parameters": (study_of(trial(0.5, params={}), trial(0.4, params={})), "No finished trial has parameters."),
    "infinite": (study_of(trial(math.inf), trial(0.5), trial(0.4)), "has no value to compare with"),
    "three objectives": (study_of(trial(1, 2, 3), trial(3, 2, 1), directions=("minimize",) * 3), "no other beats"),
    "four objectives": (study_of(trial(1, 2, 3, 4), directions=("minimize",) * 4), "there are 4"),
    "folds": (
        study_of(*[trial(v, intermediate_values={0: v}, user_attrs={"fold_values": [[v]]}) for v in (0.5, 0.4)]),
        "fold after fold: the mean of the folds done",
    ),
}


@pytest.mark.parametrize(("study", "said"), SMALL.values(), ids=SMALL)
def test_a_figure_that_cannot_be_is_a_sentence(tmp_path: Path, study: Study, said: str) -> None:
    page = Page(report.write(study, tmp_path, model="cnn").page)
    assert said in page.text
    assert [name for name in dict.fromkeys(page.headings) if name in FIGURES] == list(FIGURES)


def test_a_page_loads_nothing_and_carries_plotly_once(tmp_path: Path) -> None:
    page = Page(report.write(searched(), tmp_path, model="cnn").page)
    assert page.loads == []
    assert not {"link", "iframe", "img", "object", "embed", "base"} & set(page.tags)
    assert "@import" not in page.text[: page.text.index("<body>")]
    assert sum(len(script) > 1_000_000 for script in page.scripts) == 1
    assert sum("Plotly.newPlot(" in script and len(script) < 1_000_000 for script in page.scripts) == 6


def test_names_cannot_become_part_of_the_page(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    distribution = FloatDistribution(0, 1)
    trials = [
        create_trial(
            value=v, params={evil: v}, distributions={evil: distribution}, user_attrs={"host": evil, "settings": {evil: v}},
            intermediate_values={0: v},
        )
        for v in (0.4, 0.5, 0.6)
    ]  # fmt: skip
    study = optuna.create_study(study_name=evil)
    study.add_trials(trials)
    page = Page(report.write(study, tmp_path, model=evil, objectives=[evil], about={evil: evil}, options=[evil]).page)
    assert page.loads == []
    assert "img" not in page.tags
    assert not any(script.startswith("alert") for script in page.scripts)


@pytest.mark.parametrize(
    ("storage", "shown"),
    [
        ("postgresql+psycopg2://ada:s3cret@host/db", "postgresql+psycopg2://ada:***@host/db"),
        (
            "postgresql+psycopg2://host/db?user=ada&password=s3cret",
            "postgresql+psycopg2://host/db?password=***&user=ada",
        ),
        ("journal:///host/my studies/s3arch.log", "'/host/my studies/s3arch.log'"),
        ("sqlite:///s3arch.db", "sqlite:///s3arch.db"),
    ],
)
def test_no_password_is_written(tmp_path: Path, storage: str, shown: str) -> None:
    written = report.write(study_of(trial(0.5)), tmp_path, model="cnn", storage=storage)
    assert written.dashboard.replace("'", "") == f"optuna-dashboard {shown}".replace("'", "")
    assert "s3cret" not in written.page.read_text()


def test_the_conditions_of_the_study_are_told(tmp_path: Path) -> None:
    study = searched()
    study.set_user_attr("conditions", {"dataset": "ccd_clusters/damic", "classes": ["xray", "muon"], "limit": None})
    text = report.write(study, tmp_path, model="cnn").page.read_text()
    assert "ccd_clusters/damic" in text
    assert "xray, muon" in text
    assert "training examples at most" not in text


def test_the_table_of_several_objectives_names_them(tmp_path: Path) -> None:
    study = study_of(trial(0.8, 300), directions=("maximize", "minimize"))
    with report.write(study, tmp_path, model="cnn", objectives=["accuracy", "parameters"]).trials.open() as file:
        row = next(csv.DictReader(file))
    assert (row["values_accuracy"], row["values_parameters"]) == ("0.8", "300")


@pytest.mark.parametrize("broken", ["best.json", "trials.csv", "report.html"])
def test_an_interrupted_write_leaves_the_earlier_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    report.write(searched(), tmp_path, model="cnn")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_text, to_csv = Path.write_text, pd.DataFrame.to_csv

    def half_text(self: Path, text: str, **options: Any) -> int:
        if broken in self.name:
            write_text(self, text[: len(text) // 2], **options)
            raise KeyboardInterrupt
        return write_text(self, text, **options)

    def half_table(self: pd.DataFrame, path: Path, **options: Any) -> None:
        to_csv(self[:1], path, **options)
        if broken in path.name:
            raise KeyboardInterrupt
        to_csv(self, path, **options)

    better = searched()
    better.add_trial(trial(0.1, params={"layers": 2, "rate": 1e-4}))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", half_text)
        patch.setattr(pd.DataFrame, "to_csv", half_table)
        with pytest.raises(KeyboardInterrupt):
            report.write(better, tmp_path, model="cnn")
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert after.keys() == before.keys()
    assert after[broken] == before[broken]


def test_a_report_can_be_written_while_others_search(tmp_path: Path) -> None:
    study, said = searched(), optuna.logging.get_verbosity()
    report.write(study, tmp_path, model="cnn")
    assert len(study.trials) == 13
    assert study.trials[10].state is TrialState.RUNNING
    assert optuna.logging.get_verbosity() == said


def test_an_outcome_does_not_count_infinite_values_as_finished() -> None:
    outcome = Outcome(study_of(trial(math.inf), trial(0.5)))
    assert [found.number for found in outcome.finished] == [1]


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_browser_draws_every_figure_without_an_error(tmp_path: Path) -> None:
    assert BROWSER is not None
    written = report.write(searched(), tmp_path, model="cnn")
    page = Page(written.page)
    drawn = sum("Plotly.newPlot(" in script and len(script) < 1_000_000 for script in page.scripts)
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=20000", "--enable-logging=stderr", "--dump-dom", written.page.as_uri(),
    ]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    assert [line for line in ended.stderr.splitlines() if "Uncaught" in line] == []
    assert ended.stdout.count('class="plotly-graph-div js-plotly-plot"') == drawn == 6
