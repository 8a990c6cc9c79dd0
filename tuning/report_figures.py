"""Figures of a search, drawn by `optuna.visualization`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import optuna
from optuna import Study
from optuna.trial import FrozenTrial

from tuning.outcome import Outcome

FIGURES = (
    "History", "Importances", "Slices", "Parallel coordinates", "Pareto front", "Intermediate values", "Timeline",
)  # fmt: skip

ACROSS = 4
"""Slices side by side."""

WIDE = 20.0
"""Values whose largest is so many times the smallest are drawn on a logarithmic axis."""


class Figure(NamedTuple):
    """A plotly figure, or the reason why there is none."""

    name: str
    drawn: Any = None
    note: str = ""


def draw(study: Study, outcome: Outcome) -> Iterator[Figure]:
    """Every figure that the study has trials for, in the order of `FIGURES`; one an objective where there are several.

    Args:
        study: any study.
        outcome: of the same study.
    """
    with _quiet():
        for name, figures in (
            ("History", _history),
            ("Importances", _importances),
            ("Slices", _slices),
            ("Parallel coordinates", _parallel),
            ("Pareto front", _pareto),
            ("Intermediate values", _intermediate),
            ("Timeline", _timeline),
        ):
            for drawn, note in figures(study, outcome):
                if drawn is not None:
                    # The page says the name.
                    drawn.update_layout(title=None, margin={"t": 40}, template="plotly_white")
                    # 10^-6, not 1 micro.
                    drawn.update_xaxes(exponentformat="power")
                    drawn.update_yaxes(exponentformat="power")
                yield Figure(name, drawn, note)


Drawn = Iterator[tuple[Any, str]]
NOT_YET = "No trial has finished."


@contextmanager
def _quiet() -> Iterator[None]:
    # Optuna warns about every infinite value and of every small study; what a reader should know of it stands in the notes.
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)


def _targets(outcome: Outcome) -> Iterator[tuple[int, str, Callable[[FrozenTrial], float] | None]]:
    """Number and name of every objective, and how a figure of it finds the value: not at all where there is one."""
    for i, name in enumerate(outcome.objectives):
        yield i, name, partial(_value, i) if outcome.several else None


def _value(i: int, trial: FrozenTrial) -> float:
    return trial.values[i]


def _history(study: Study, outcome: Outcome) -> Drawn:
    if not outcome.finished:
        yield None, NOT_YET
        return
    for i, name, target in _targets(outcome):
        figure = optuna.visualization.plot_optimization_history(study, target=target, target_name=name)
        if outcome.compared and outcome.baseline is not None:
            level = outcome.baseline.values[i]
            line = {"dash": "dot", "color": "black"}
            ends = [0, outcome.trials[-1].number]
            figure.add_scatter(x=ends, y=[level] * 2, mode="lines", line=line, name="baseline")
        _scale(figure, [trial.values[i] for trial in outcome.finished])
        yield figure, f"{name} of every finished trial."


def _importances(study: Study, outcome: Outcome) -> Drawn:
    if len(outcome.finished) < 2:
        yield None, "Importances need two finished trials; there is one." if outcome.finished else NOT_YET
        return
    if all(len({trial.params.get(name) for trial in outcome.finished}) == 1 for name in _names(outcome)):
        yield None, "All finished trials have the same parameters, so none of them explains a difference."
        return
    for i, name, target in _targets(outcome):
        if target is not None and outcome.signs[i] < 0:
            # The evaluator takes lower for better.
            target = partial(_negative, i)
        try:
            found = optuna.importance.get_param_importances(study, target=target, normalize=False)
        except (ValueError, RuntimeError) as error:
            yield None, f"No importances for {name}: {error}"
            continue
        if not any(found.values()):
            yield None, f"The {len(outcome.finished)} finished trials tell nothing about importances for {name} yet."
            continue
        figure = optuna.visualization.plot_param_importances(study, target=target, target_name=name)
        left = [other for other in _names(outcome) if other not in found]
        # Optuna 4 knows no others.
        note = f" Without parameters that only some trials have: {', '.join(left)}." if left else ""
        yield figure, f"How much every parameter decides {name}, in shares of 1.{note}"


def _negative(i: int, trial: FrozenTrial) -> float:
    return -trial.values[i]


def _slices(study: Study, outcome: Outcome) -> Drawn:
    names = _names(outcome)
    if not names:
        yield None, "No finished trial has parameters." if outcome.finished else NOT_YET
        return
    for i, name, target in _targets(outcome):
        for start in range(0, len(names), ACROSS):
            part = names[start : start + ACROSS]
            figure = optuna.visualization.plot_slice(study, params=part, target=target, target_name=name)
            figure.update_layout(width=None)
            # One scale of colours for all of them.
            figure.update_traces(marker={"cmin": 0, "cmax": outcome.trials[-1].number})
            _scale(figure, [trial.values[i] for trial in outcome.finished])
            yield figure, f"{name} against {', '.join(part)}."


def _parallel(study: Study, outcome: Outcome) -> Drawn:
    common = [name for name in _names(outcome) if all(name in trial.params for trial in outcome.finished)]
    if not _names(outcome):
        yield None, "No finished trial has parameters." if outcome.finished else NOT_YET
        return
    for _, name, target in _targets(outcome):
        figure = optuna.visualization.plot_parallel_coordinate(study, target=target, target_name=name)
        # Optuna takes lower for better where it is given the values.
        note = f"A line a finished trial; the darker, the {'lower' if outcome.several else 'better'} its {name}."
        if (not figure.data or figure.data[0].type == "parcoords") and 0 < len(common) < len(_names(outcome)):
            # Optuna 4 leaves out trials that lack a parameter.
            figure = optuna.visualization.plot_parallel_coordinate(study, common, target=target, target_name=name)
            note += " Only parameters that every trial has."
        yield (figure, note) if figure.data else (None, "The finished trials have no parameter in common.")


def _pareto(study: Study, outcome: Outcome) -> Drawn:
    if not outcome.several:
        yield None, "There is one objective, so there is one best trial and no front."
    elif not outcome.finished:
        yield None, NOT_YET
    elif len(outcome.objectives) > 3:
        yield None, f"A front is drawn for two or three objectives; there are {len(outcome.objectives)}."
    else:
        figure = optuna.visualization.plot_pareto_front(study, target_names=outcome.objectives)
        if outcome.compared and outcome.baseline is not None:
            point = dict(zip("xyz", ([value] for value in outcome.baseline.values), strict=False))
            add = figure.add_scatter3d if "z" in point else figure.add_scatter
            marker = {"symbol": "cross", "size": 12 if "z" not in point else 6, "color": "black"}
            add(**point, mode="markers", marker=marker, name="baseline")
        figure.update_layout(legend={"orientation": "h", "y": 1.1})
        yield figure, "Trials that no other beats in every objective, and the others."


def _intermediate(study: Study, outcome: Outcome) -> Drawn:
    if outcome.several:
        yield None, "With several objectives nothing is reported before the end of a trial."
        return
    values = [value for trial in outcome.trials for value in trial.intermediate_values.values()]
    if not values:
        yield None, "No trial has reported a value before its end."
        return
    folds = any("fold_values" in trial.user_attrs for trial in outcome.trials)
    how = ", fold after fold: the mean of the folds done and of that epoch" if folds else ""
    figure = optuna.visualization.plot_intermediate_values(study)
    figure.update_traces(opacity=0.5, showlegend=False, line={"color": "#999", "width": 1})
    for trial, label, colour in ((outcome.baseline, "baseline", "black"), (outcome.best, "best", "#d62728")):
        if trial is not None:
            style = {"opacity": 1, "line": {"color": colour, "width": 3}, "showlegend": True}
            figure.update_traces(style, selector={"name": f"Trial{trial.number}"})
            figure.update_traces(name=f"{label}, trial {trial.number}", selector={"name": f"Trial{trial.number}"})
    # Drawn last, on top.
    figure.data = sorted(figure.data, key=lambda trace: bool(trace.showlegend))
    figure.update_layout(showlegend=True, xaxis_title="epoch", yaxis_title=outcome.objectives[0])
    _scale(figure, values)
    yield figure, f"What every trial reported after each epoch{how}; a line that ends early was pruned or is running."


def _timeline(study: Study, outcome: Outcome) -> Drawn:
    if not any(trial.datetime_start for trial in outcome.trials):
        yield None, "No trial has started."
        return
    yield optuna.visualization.plot_timeline(study), "When every trial ran, in the local time of its machine."


def _names(outcome: Outcome) -> list[str]:
    return sorted({name for trial in outcome.finished for name in trial.params})


def _scale(figure: Any, values: list[float]) -> None:
    known = [value for value in values if math.isfinite(value)]
    if known and min(known) > 0 and max(known) > WIDE * min(known):
        figure.update_yaxes(type="log")
