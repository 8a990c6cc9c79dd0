"""Trials that each have a process of their own: what a training leaves in memory goes with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from functools import partial
from multiprocessing import connection
from typing import Any

import optuna

from particle_zoo.errors import InputError
from tuning.processes import interrupts_later
from tuning.spaces import impossible
from tuning.workers import load_quietly

ASKED = ("suggest_int", "suggest_float", "suggest_categorical", "report", "should_prune", "set_user_attr")
"""What the process of a trial asks the trial in its parent."""

PATIENCE_S = 5.0
"""For a process to end when it is told to."""


class Isolated:
    """An objective whose trials run in a spawned process each, which loads the data anew.

    Only the parent speaks to the storage and knows the sampler; the child asks it through a pipe. The child ends when its
    parent does, however that happens.

    Args:
        objective: picklable; called with a stand-in for the trial.
        prepare: called in the child before; by default it imports Keras without its greetings.
    """

    def __init__(self, objective: Callable[[Any], Any], prepare: Callable[[], object] | None = None) -> None:
        self.objective, self.prepare = objective, prepare or partial(load_quietly, "float32")

    def __call__(self, trial: Any) -> Any:
        """The value of the objective.

        Raises:
            optuna.TrialPruned: as the objective, or the process was killed, most often for want of memory; then the reason is
                the user attribute `impossible`.
            InputError: as the objective.
            RuntimeError: another error of the objective, its traceback in a note.
            Exception: what the trial itself raised, such as that of a lost database.
        """
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_run, args=(self.objective, self.prepare, trial.number, theirs))
        with interrupts_later():
            process.start()
        theirs.close()
        try:
            kind, answer = _converse(ours, trial)
            process.join(PATIENCE_S)
        except EOFError:
            process.join()
            # Its number is negative where a signal ended it.
            code = process.exitcode or 0
            if code >= 0:
                raise RuntimeError(f"the process of trial {trial.number} ended with exit code {code}") from None
            impossible(
                trial, f"the process of the trial was ended by {signal.Signals(-code).name}; memory may have run out"
            )
        finally:
            for stop in (process.terminate, process.kill):
                if process.is_alive():
                    stop()
                    process.join(PATIENCE_S)
            process.close()
            ours.close()
        if kind == "error":
            raise answer
        return answer


def _converse(pipe: connection.Connection, trial: Any) -> tuple[str, Any]:
    """Do for the child what it asks, until it has a value or an error."""
    while True:
        name, *rest = pipe.recv()
        if name in ("value", "error"):
            return name, rest[0]
        answer = getattr(trial, name)(*rest[0], **rest[1]) if name in ASKED else dict(trial.params)
        try:
            pipe.send(answer)
        except OSError as error:
            # The child has been killed meanwhile.
            raise EOFError from error


# --- In the child -----------------------------------------------------------------------------------------------------------


class _Elsewhere:
    """Stands in for a trial that is in the parent."""

    def __init__(self, pipe: connection.Connection, number: int) -> None:
        self._pipe, self.number = pipe, number

    def __getattr__(self, name: str) -> Any:
        if name not in ASKED:
            raise AttributeError(f"the process of a trial has no {name!r} of it; it has {', '.join(ASKED)}")
        return lambda *given, **named: self._ask(name, given, named)

    @property
    def params(self) -> dict[str, Any]:
        return self._ask("params")

    def _ask(self, *what: Any) -> Any:
        self._pipe.send(what)
        return self._pipe.recv()


def _run(
    objective: Callable[[Any], Any], prepare: Callable[[], object], number: int, pipe: connection.Connection
) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepare()
    answer: tuple[str, Any]
    try:
        answer = ("value", objective(_Elsewhere(pipe, number)))
    except (optuna.TrialPruned, InputError) as error:
        answer = ("error", error)
    except Exception as error:
        # Not every error can be sent, and none takes along where it happened.
        told = RuntimeError(f"{type(error).__name__}: {error}")
        told.add_note("".join(traceback.format_exception(error)).strip())
        answer = ("error", told)
    pipe.send(answer)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
