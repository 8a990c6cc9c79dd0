"""What a search found: its best trials beside the baseline, and what became of the others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import optuna
from optuna import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tuning.takeover import HISTORY

KINDS = (
    "finished", "pruned", "impossible", "diverged", "failed", "taken_over", "interrupted", "surplus", "running", "waiting",
)  # fmt: skip
"""What can become of a trial."""

EXPLAINED = {
    TrialState.PRUNED: ("impossible", "diverged"),
    TrialState.FAIL: ("surplus", "error", "given_up", "taken_over", "interrupted"),
}
"""User attributes that say why a trial of a state ended; the first that it has counts."""

NAMED = {"error": "failed", "given_up": "failed"}
"""Kinds of trials with such an attribute, where the names differ."""


class Outcome:
    """A study as its report tells it.

    Args:
        study: any study; trial 0 is the baseline.
        objectives: a name each; the study's own, or numbers, without them.
    """

    def __init__(self, study: Study, objectives: Sequence[str] = ()) -> None:
        self.trials = study.get_trials(deepcopy=False)
        count = len(study.directions)
        unnamed = ["objective"] if count == 1 else [f"objective {i}" for i in range(count)]
        self.objectives = list(objectives or study.metric_names or unnamed)
        self.signs = [-1 if direction is StudyDirection.MAXIMIZE else 1 for direction in study.directions]
        # Optuna takes minus infinity for a good value.
        optimal = in_memory(study, self.finished).best_trials
        self.front = [self.finished[trial.number] for trial in optimal]
        """Finished trials that no other beats in every objective; with one objective, the best."""

    @property
    def several(self) -> bool:
        """Whether there is more than one objective."""
        return len(self.objectives) > 1

    @cached_property
    def finished(self) -> list[FrozenTrial]:
        """Trials that ended with finite values."""
        return [trial for trial in self.trials if trial.state is TrialState.COMPLETE and _finite(trial)]

    @cached_property
    def best(self) -> FrozenTrial | None:
        """The best trial; with several objectives, the Pareto-optimal one with the best first objective."""
        return self._first(self.front)

    @cached_property
    def baseline(self) -> FrozenTrial | None:
        """Trial 0, or the finished one that repeats it where its process died or was stopped."""
        again = (trial for trial in self.finished if 0 in (trial.number, *trial.system_attrs.get(HISTORY, ())))
        return next(again, self.trials[0] if self.trials else None)

    @property
    def compared(self) -> bool:
        """Whether there is a best trial, and a baseline that has finished."""
        return self.best is not None and self.baseline in self.finished

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many trials of every kind there are."""
        found = Counter(kind(trial) for trial in self.trials)
        return {name: found[name] for name in KINDS}

    @cached_property
    def reasons(self) -> dict[str, dict[str, int]]:
        """Why trials came to nothing: of every kind the sentences, the most frequent first."""
        found: dict[str, Counter[str]] = {name: Counter() for name in ("impossible", "diverged", "failed")}
        for trial in self.trials:
            if (name := kind(trial)) in found:
                found[name][str(trial.user_attrs.get(_reason(trial), "no reason recorded"))] += 1
        return {name: dict(counter.most_common()) for name, counter in found.items()}

    def gains(self, trial: FrozenTrial) -> list[float]:
        """By how much a trial is better than the baseline, one number an objective; both have finished."""
        assert self.baseline is not None
        pairs = zip(self.signs, self.baseline.values, trial.values, strict=True)
        return [sign * (before - after) for sign, before, after in pairs]

    @cached_property
    def winners(self) -> list[FrozenTrial]:
        """Best or Pareto-optimal trials that beat the baseline: better in one objective, worse in none."""
        if not self.compared:
            return []
        return [trial for trial in self.front if min(gains := self.gains(trial)) >= 0 and max(gains) > 0]

    @property
    def verdict(self) -> str:
        """The best trial, and by how much it beats the baseline, in words."""
        if self.best is None:
            return "No trial has finished: there are no best settings."
        level = ("lowest", "highest")[self.signs[0] < 0]
        said = f"Trial {self.best.number} has the {level} {self._values(self.best)}"
        if self.several:
            optimal = f"Pareto-optimal trials: {len(self.front)}, each with its best-N.json; "
            said = f"{optimal}best.json is trial {self.best.number}, with the {level} {self._values(self.best)}"
        if not self.compared or self.baseline is None:
            ended = kind(self.trials[0])
            return f"{said}. The baseline, trial 0, has no value to compare with ({ended})."
        if not any(self.gains(self.best)):
            return said + self._runner_up()
        said += f"; the baseline, trial {self.baseline.number}, has {self._values(self.baseline)}: {self._gain()}."
        if self.several:
            said += f" Pareto-optimal trials that beat the baseline, better in one objective and worse in none: {len(self.winners)}."
        return said

    def _runner_up(self) -> str:
        said = ", as the baseline, trial 0, which no trial beats"
        if self.best is self.baseline:
            said = ": it is the baseline, which no trial beats"
        second = self._first([trial for trial in self.finished if trial not in (self.best, self.baseline)])
        return said + (f"; next is trial {second.number} with {self._values(second)}." if second else ".")

    def _gain(self) -> str:
        assert self.best is not None
        assert self.baseline is not None
        parts = []
        for name, gain, before in zip(self.objectives, self.gains(self.best), self.baseline.values, strict=True):
            share = f" ({abs(gain / before):.1%})" if before else ""
            where = f" in {name}" if self.several else ""
            change = "better" if gain > 0 else "worse"
            parts.append(f"{change} by {number(abs(gain))}{share}{where}" if gain else f"equal{where}")
        return ", ".join(parts)

    def _values(self, trial: FrozenTrial) -> str:
        return ", ".join(f"{name} {number(v)}" for name, v in zip(self.objectives, trial.values, strict=True))

    def _first(self, trials: list[FrozenTrial]) -> FrozenTrial | None:
        return min(trials, key=lambda trial: self.signs[0] * trial.values[0], default=None)


def summary(study: Study, objectives: Sequence[str] = ()) -> dict[str, Any]:
    """What `--json` says of a search; strict JSON: a value that is no finite number is None.

    Args:
        study: any study; trial 0 is the baseline.
        objectives: a name each; the study's own, or numbers, without them.
    """
    outcome = Outcome(study, objectives)

    def row(trial: FrozenTrial | None) -> dict[str, Any] | None:
        if trial is None:
            return None
        values = trial.values or [math.nan] * len(outcome.objectives)
        named = {name: v if math.isfinite(v) else None for name, v in zip(outcome.objectives, values, strict=True)}
        return {"number": trial.number, "values": named, "params": dict(trial.params)}

    gains = outcome.gains(outcome.best) if outcome.best and outcome.compared else []
    return {
        "study": study.study_name,
        "objectives": {
            name: direction.name.lower() for name, direction in zip(outcome.objectives, study.directions, strict=True)
        },
        "trials": sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in outcome.trials),
        "counts": outcome.counts,
        "best": row(outcome.best),
        "baseline": row(outcome.baseline),
        "gain": dict(zip(outcome.objectives, gains, strict=True)) if gains else None,
        "beaten_by": [trial.number for trial in outcome.winners],
        "pareto": [row(trial) for trial in outcome.front] if outcome.several else None,
        "reasons": outcome.reasons,
        "verdict": outcome.verdict,
    }


def in_memory(study: Study, trials: Sequence[FrozenTrial]) -> Study:
    """A study in memory with the same name and directions and with these trials, numbered anew."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        copy = optuna.create_study(study_name=study.study_name, directions=study.directions)
    finally:
        optuna.logging.set_verbosity(before)
    copy.add_trials(trials)
    return copy


def kind(trial: FrozenTrial) -> str:
    """What has become of a trial, one of `KINDS`."""
    reason = _reason(trial)
    if reason:
        return NAMED.get(reason, reason)
    return {
        TrialState.COMPLETE: "finished",
        TrialState.PRUNED: "pruned",
        TrialState.FAIL: "failed",
        TrialState.RUNNING: "running",
        TrialState.WAITING: "waiting",
    }[trial.state]


def _reason(trial: FrozenTrial) -> str:
    return next((name for name in EXPLAINED.get(trial.state, ()) if name in trial.user_attrs), "")


def number(value: Any) -> str:
    """A number for a reader: integers with separators, others with six digits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e12:
        return f"{int(value):,}"
    return f"{value:.6g}"


def _finite(trial: FrozenTrial) -> bool:
    return all(math.isfinite(value) for value in trial.values or ())
