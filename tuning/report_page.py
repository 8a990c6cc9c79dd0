"""The report of a search as one HTML page that needs nothing from elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from html import escape
from importlib import metadata
from typing import Any

import pandas as pd
import plotly.io
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial

from tuning.outcome import Outcome, number
from tuning.report_figures import draw

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
table {{ border-collapse: collapse; margin: 1rem 0; }}
th, td {{ padding: 0.2rem 1.5rem 0.2rem 0; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top; }}
pre {{ background: #f4f4f4; padding: 0.7rem; overflow-x: auto; }}
.verdict {{ font-size: 1.15rem; }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""

WHAT = {
    "finished": "trained to the end",
    "pruned": "stopped by the pruner: no better than others at that time",
    "impossible": "settings that make no network; the reasons are below",
    "diverged": "the loss was no number any more; the reasons are below",
    "failed": "stopped by an error; the reasons are below",
    "taken_over": "their process died; their parameters were run again",
    "interrupted": "stopped by Ctrl-C or a signal; their parameters were run again",
    "surplus": "one too many, asked for by several workers at once and given back",
    "running": "not ended when this page was written",
    "waiting": "not begun when this page was written",
}
"""What a kind of trial is."""

LABELS = {
    "source": "fingerprint of the data",
    "shares": "shares of training, validation, test",
    "limit": "training examples at most",
    "folds": "folds of cross-validation",
    "epochs": "epochs a trial",
}
"""Conditions of a study whose names say too little."""

RECORDED = {
    "parameters": "weights of the network",
    "epochs_run": "epochs",
    "best_epoch": "best epoch",
    "seconds": "seconds",
}
"""User attributes of a trial that are shown beside its values."""


def page(study: Study, outcome: Outcome, *, title: str, about: Mapping[str, Any], commands: Mapping[str, str]) -> str:
    """The whole page.

    Args:
        study: any study.
        outcome: of the same study.
        title: of the page.
        about: name and value of what was searched on what data; None is left out.
        commands: what a command does, and the command.
    """
    body = [
        f'<p class="verdict">{escape(outcome.verdict)}</p>',
        "<h2>What was searched</h2>",
        _table(
            ("", ""),
            [
                *((LABELS.get(name, name), _text(v)) for name, v in about.items() if v is not None),
                *_about(study, outcome),
            ],
        ),
        "<h2>Trials</h2>",
        _table(
            ("", "trials", ""),
            [(name.replace("_", " "), str(n), WHAT[name]) for name, n in outcome.counts.items() if n],
        ),
        *_best(outcome),
        *_front(outcome),
        *_figures(study, outcome),
        *_reasons(outcome),
        "<h2>Versions</h2>",
        _table(("package", "version"), _versions(outcome)),
        "<h2>Commands</h2>",
        *(f"<p>{escape(what)}</p>\n<pre>{escape(command)}</pre>" for what, command in commands.items()),
    ]
    return PAGE.format(title=escape(title), body="\n".join(body))


def _about(study: Study, outcome: Outcome) -> list[tuple[str, str]]:
    directions = (direction.name.lower() for direction in study.directions)
    rows = [
        ("study", study.study_name),
        ("objective", ", ".join(f"{d} {name}" for d, name in zip(directions, outcome.objectives, strict=True))),
    ]
    starts = [trial.datetime_start for trial in outcome.trials if trial.datetime_start]
    ends = [trial.datetime_complete for trial in outcome.trials if trial.datetime_complete]
    if starts:
        rows.append(("first trial began", f"{min(starts):%Y-%m-%d %H:%M}"))
    if ends:
        rows.append(("last trial ended", f"{max(ends):%Y-%m-%d %H:%M}"))
        total = sum((trial.duration for trial in outcome.trials if trial.duration), timedelta())
        rows.append(("time in trials", str(timedelta(seconds=round(total.total_seconds())))))
    hosts = Counter(str(trial.user_attrs["host"]) for trial in outcome.trials if "host" in trial.user_attrs)
    if hosts:
        rows.append(("ran on", ", ".join(f"{host} ({count} trials)" for host, count in hosts.most_common())))
    return rows


def _best(outcome: Outcome) -> list[str]:
    """The best trial and the baseline, side by side: values, then parameters."""
    best, baseline = outcome.best, outcome.baseline
    if best is None or baseline is None:
        return []
    columns = [best] if best is baseline else [best, baseline]
    names = [f"trial {best.number} (best)", f"trial {baseline.number} (baseline)"][: len(columns)]
    rows = [
        (name, *(number(trial.values[i]) if trial.values else "" for trial in columns))
        for i, name in enumerate(outcome.objectives)
    ]
    rows += [
        (shown, *(_text(trial.user_attrs.get(key, "")) for trial in columns))
        for key, shown in RECORDED.items()
        if any(key in trial.user_attrs for trial in columns)
    ]
    ranges = {name: distribution for trial in columns for name, distribution in trial.distributions.items()}
    parameters = [
        (name, *(_text(trial.params.get(name, "")) for trial in columns), _range(distribution))
        for name, distribution in ranges.items()
    ]
    return [
        "<h2>The best trial</h2>",
        _table(("", *names), rows),
        "<h3>Best parameters</h3>",
        _table(("parameter", *names, "searched"), parameters) if parameters else "<p>The trial has no parameters.</p>",
        "<p>The best of many values is flattered by chance: judge the model on the test split, which no trial has seen.</p>",
    ]


def _front(outcome: Outcome) -> list[str]:
    if not outcome.several or not outcome.front:
        return []
    winners = {trial.number for trial in outcome.winners}

    def row(trial: FrozenTrial) -> tuple[str, ...]:
        return (str(trial.number), *map(number, trial.values), "yes" if trial.number in winners else "no")

    columns = ("trial", *outcome.objectives, "beats the baseline")
    return [
        "<h3>Pareto-optimal trials</h3>",
        _table(columns, [row(trial) for trial in sorted(outcome.front, key=lambda trial: trial.values[0])]),
        "<p>best-N.json holds the settings of trial N; best.json those of the one with the best first objective.</p>",
    ]


def _figures(study: Study, outcome: Outcome) -> list[str]:
    parts, last, drawn = ["<h2>Figures</h2>"], "", 0
    for name, figure, note in draw(study, outcome):
        if name != last:
            parts.append(f"<h3>{escape(name)}</h3>")
        last = name
        parts.append(f"<p>{escape(note)}</p>")
        if figure is not None:
            parts.append(
                plotly.io.to_html(
                    figure,
                    full_html=False,
                    include_plotlyjs=not drawn,
                    div_id=f"figure-{drawn}",
                    default_height="450px",
                    config={"displaylogo": False, "showSendToCloud": False},
                )
            )
            drawn += 1
    return parts


def _reasons(outcome: Outcome) -> list[str]:
    rows = [
        (name, str(count), reason) for name, reasons in outcome.reasons.items() for reason, count in reasons.items()
    ]
    said = _table(("", "trials", "reason"), rows) if rows else "<p>No trial was impossible, diverged or failed.</p>"
    return ["<h2>Trials that came to nothing</h2>", said]


def _versions(outcome: Outcome) -> list[tuple[str, str]]:
    """Versions that the trials recorded, all of them where they differ, and those that drew this page."""
    found: dict[str, dict[str, None]] = {}
    for trial in outcome.trials:
        for package, version in trial.user_attrs.get("versions", {}).items():
            found.setdefault(package, {})[version] = None
    rows = [(package, ", ".join(versions)) for package, versions in found.items()]
    return rows + [(package, metadata.version(package)) for package in ("optuna", "plotly") if package not in found]


def _range(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(map(str, distribution.choices))
    low, high, log = (getattr(distribution, name) for name in ("low", "high", "log"))
    return f"{number(low)} to {number(high)}{', logarithmic' if log else ''}"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_text(v)}" for key, v in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_text, value))
    return number(value)


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    # pandas escapes the cells.
    with pd.option_context("display.max_colwidth", None):
        return pd.DataFrame(rows, columns=list(columns)).to_html(index=False, border=0, header=any(columns))
