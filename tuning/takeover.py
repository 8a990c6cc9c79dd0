"""Trials whose process died: found, failed, and their parameters given back to the queue.

No lock is held anywhere. What is not yet failed is enqueued first, so that a death in between loses nothing; that two
processes did so at once is seen when the second copy is asked for (`is_copy`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages._heartbeat import is_heartbeat_enabled
from optuna.trial import FrozenTrial, TrialState

from tuning.processes import Process

TRIES = 3
"""Processes that may die over one trial before it is given up."""

HISTORY = "retry_history"
"""System attribute: numbers of the trials that this one repeats, oldest first. Optuna's retry callback writes the same."""

SIGN_OF_LIFE = "sign_of_life"
"""System attribute of a running trial: time, which changes while the process lives. A journal file has no heartbeats."""


def repeats(trial: FrozenTrial) -> int | None:
    """Number of the trial that this one repeats, if any."""
    history: list[int] = trial.system_attrs.get(HISTORY, [])
    return history[-1] if history else None


def is_copy(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> bool:
    """Whether an earlier trial repeats the same one."""
    again = repeats(trial)
    return again is not None and any(repeats(other) == again for other in trials if other.number < trial.number)


def has_place(trial: FrozenTrial, trials: Sequence[FrozenTrial], total: int) -> bool:
    """Whether a trial is one of the first `total` that count: all but the failed ones, and those that are repeated.

    A waiting trial counts, for its number is already given. So no later trial finds a place that an earlier one will take.
    """
    repeated = {repeats(other) for other in trials}
    before = [
        other
        for other in trials
        if other.number < trial.number
        and other.state != TrialState.FAIL
        and not (other.state == TrialState.RUNNING and other.number in repeated)
    ]
    return len(before) < total


def give_back(study: optuna.Study, trial: FrozenTrial, attribute: str, *, again: bool = True) -> bool:
    """Fail a running trial and enqueue its parameters again; those it had not come to yet are left to the sampler.

    Args:
        study: of the trial.
        trial: as the storage has it.
        attribute: user attribute of the failed trial that says why.
        again: whether they are enqueued.

    Returns:
        Whether the trial was still running.
    """
    storage = study._storage
    try:
        storage.set_trial_user_attr(trial._trial_id, attribute, True)
        trials = study.get_trials(deepcopy=False)
        history = [*trial.system_attrs.get(HISTORY, []), trial.number]
        deaths = sum("taken_over" in trials[number].user_attrs for number in history)
        empty = not trial.params and not trial.system_attrs.get("fixed_params")
        if deaths >= TRIES:
            storage.set_trial_user_attr(trial._trial_id, "given_up", f"its process died {deaths} times")
        elif again and not empty and not any(repeats(other) == trial.number for other in trials):
            attributes = {
                key: v
                for key, v in trial.system_attrs.items()
                # Hyperband's notes are of what the dead one reported.
                if key != SIGN_OF_LIFE and not key.startswith("completed_rung_")
            }
            repeat = optuna.trial.create_trial(
                state=TrialState.WAITING,
                params=trial.params,
                distributions=trial.distributions,
                system_attrs={**attributes, "failed_trial": history[0], HISTORY: history},
            )
            study.add_trial(repeat)
        storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    except UpdateFinishedTrialError:
        return False
    return True


class Takeover:
    """Take over the running trials of dead processes.

    A process of this machine is looked up. One of another machine is dead when it gave no sign of life for `grace`
    seconds: its value stayed the same for so long, watched by this process, so that clocks need not agree; or the
    heartbeats that a database keeps by its own clock say so at once.

    Args:
        study: whose trials are looked after.
        grace: s without a sign of life.
        clock: gives s.
    """

    def __init__(self, study: optuna.Study, *, grace: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.study, self.grace, self.clock = study, grace, clock
        self.me = Process.this()
        self._seen: dict[int, tuple[Any, float]] = {}
        self._alive: set[int] = set()

    def sweep(self, current: int | None = None) -> list[int]:
        """Take over what can be; `current` is the trial that this very process runs. Returns the numbers taken."""
        running = self._running()
        stale = stale_ids(self.study) if running else set()
        dead = [t for t in running if t.number != current and (t._trial_id in stale or self._is_dead(t))]
        return [trial.number for trial in dead if give_back(self.study, trial, "taken_over")]

    def settle(self, pause: Callable[[float], object] = time.sleep) -> None:
        """Sweep until every running trial is known to belong to a living process: at most the grace period."""
        self._alive.clear()
        while self.sweep() or any(map(self._is_unsure, self._running())):
            pause(0.2)

    def _running(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    def _is_unsure(self, trial: FrozenTrial) -> bool:
        owner = Process.of(trial)
        return owner is None or not (owner.is_here() or trial.number in self._alive)

    def _is_dead(self, trial: FrozenTrial) -> bool:
        owner = Process.of(trial)
        if owner is not None and owner.is_here():
            # A trial of this process that is not the current one was left behind by an error.
            return owner.is_same(self.me) or not owner.lives()
        now, sign = self.clock(), (owner, trial.system_attrs.get(SIGN_OF_LIFE))
        before, since = self._seen.setdefault(trial.number, (sign, now))
        if sign != before:
            self._seen[trial.number] = (sign, now)
            self._alive.add(trial.number)
            return False
        return now - since > self.grace


def give_sign_of_life(study: optuna.Study, trial_id: int) -> None:
    """Let other machines see that the process of a trial lives."""
    if heartbeats := _heartbeats(study):
        heartbeats.record_heartbeat(trial_id)
    study._storage.set_trial_system_attr(trial_id, SIGN_OF_LIFE, round(time.time(), 2))


def stale_ids(study: optuna.Study) -> set[int]:
    """Trials without a heartbeat for the grace period of the storage, by the clock of the database."""
    heartbeats = _heartbeats(study)
    return set(heartbeats._get_stale_trial_ids(study._study_id)) if heartbeats else set()


def _heartbeats(study: optuna.Study) -> Any:
    """The storage, where it keeps heartbeats."""
    return study._storage if is_heartbeat_enabled(study._storage) else None
