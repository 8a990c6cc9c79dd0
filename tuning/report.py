"""The files of a search: best.json, trials.csv and report.html."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from optuna import Study
from optuna.trial import FrozenTrial

from particle_zoo.cli import replacing, write_json
from tuning.outcome import Outcome, in_memory, summary
from tuning.storage import describe

__all__ = ["Report", "summary", "write"]

OURS = re.compile(r"best(-\d+)?\.json")


class Report(NamedTuple):
    """What was written, and what to do with it; no `best` and no `train` before a trial has finished."""

    page: Path
    trials: Path
    best: Path | None
    train: str | None
    dashboard: str


def write(
    study: Study,
    folder: Path,
    *,
    model: str,
    title: str | None = None,
    objectives: Sequence[str] = (),
    about: Mapping[str, Any] | None = None,
    options: Sequence[str] = (),
    storage: str | None = None,
) -> Report:
    """Write the report of a study, whatever its state; trials may still be running.

    best.json holds the settings of the best trial for `particle_zoo.train --params`: its user attribute `settings`, or its
    parameters. With several objectives there is a best-N.json for every Pareto-optimal trial N, and best.json is the one with
    the best first objective. Each file takes the place of an earlier one in one step; earlier best*.json of other trials go.

    Args:
        study: any study; trial 0 is the baseline.
        folder: of the files.
        model: what `particle_zoo.train` is to train.
        title: of the page.
        objectives: a name each; the study's own, or numbers, without them.
        about: name and value of what was searched on what data, for the page, without those that are None; the
            conditions that the study keeps by default.
        options: of the training command, such as the data set.
        storage: URL of the study, of which the page masks the password; None means the journal file of the folder.
    """
    about = study.user_attrs.get("conditions", {}) if about is None else about
    objectives = objectives or study.metric_names or ()
    # As it is at this moment: workers go on meanwhile, and every figure asks for all trials.
    study = in_memory(study, study.get_trials(deepcopy=False))
    outcome = Outcome(study, objectives)
    settings = {"best.json": _settings(outcome.best)} if outcome.best else {}
    if outcome.several:
        settings |= {f"best-{trial.number}.json": _settings(trial) for trial in outcome.front}
    best = folder / "best.json" if outcome.best else None
    train = shlex.join(["python", "-m", "particle_zoo.train", model, "--params", str(best), *options]) if best else None
    dashboard = shlex.join(["optuna-dashboard", describe(storage, folder)])
    commands = {}
    if train:
        commands["Train the best settings; then give the run folder to particle_zoo.evaluate."] = train
    hidden = " Put the password in the place of ***." if "***" in dashboard else ""
    commands[f"Look at the study in the browser, after pip install 'particle-zoo[dashboard]'.{hidden}"] = dashboard
    # plotly is not needed to search.
    from tuning.report_page import page

    text = page(
        study,
        outcome,
        title=title or f"Hyperparameter search of {model}",
        about={"model": model, **about},
        commands=commands,
    )
    for name, values in settings.items():
        write_json(folder / name, values)
    with replacing(folder / "trials.csv") as temporary:
        _table(study, outcome.objectives).to_csv(temporary, index=False)
    with replacing(folder / "report.html") as temporary:
        temporary.write_text(text, encoding="utf-8")
    for path in folder.glob("best*.json"):
        if path.name not in settings and OURS.fullmatch(path.name):
            path.unlink()
    return Report(folder / "report.html", folder / "trials.csv", best, train, dashboard)


def _settings(trial: FrozenTrial) -> dict[str, Any]:
    return dict(trial.user_attrs.get("settings", trial.params))


def _table(study: Study, objectives: Sequence[str]) -> pd.DataFrame:
    """A row a trial; a column that holds lists or dictionaries is JSON."""
    attributes = ("number", "state", "value", "params", "user_attrs", "datetime_start", "datetime_complete")
    if not study.trials:
        return pd.DataFrame(columns=["number", "state"])
    table = study.trials_dataframe(attrs=attributes)
    # The study in memory has no names.
    table = table.rename(columns={f"values_{i}": f"values_{name}" for i, name in enumerate(objectives)})

    def plain(value: Any) -> Any:
        return json.dumps(value) if isinstance(value, dict | list | tuple) else value

    # Whole numbers stay whole where some trials lack the parameter.
    return table.map(plain).convert_dtypes()
