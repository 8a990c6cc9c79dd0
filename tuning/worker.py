"""One process of a search: ask for a trial, run it, tell its value, until the study has all it should have."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.trial import TrialState

from particle_zoo.cli import sentence
from particle_zoo.errors import InputError
from tuning.storage import quiet_optuna
from tuning.takeover import Takeover, give_back, give_sign_of_life, has_place, is_copy, repeats

BEAT_S = 5.0
"""Between signs of life: some 150 bytes of a journal file each, a megabyte a night."""

POLL_S = 0.5
"""Between looks at a study that others are finishing."""

PATIENCE_S = 300.0
"""With a database that does not answer, such as one that is being started again."""

AGAIN_S = 3.0
"""Until a trial that Ctrl-C has not stopped is interrupted again."""

FAILURES = 3
"""Trials that may fail with an error one after the other."""

Objective = Callable[[optuna.Trial], "float | Sequence[float]"]
Say = Callable[[str], object]


def count(study: optuna.Study) -> tuple[int, int, int]:
    """Trials that are done (complete or pruned), that run, and that wait."""
    trials = study.get_trials(deepcopy=False)
    repeated = {repeats(trial) for trial in trials}
    states = [t.state for t in trials if not (t.state == TrialState.RUNNING and t.number in repeated)]
    done = states.count(TrialState.COMPLETE) + states.count(TrialState.PRUNED)
    return done, states.count(TrialState.RUNNING), states.count(TrialState.WAITING)


class Worker:
    """Runs trials until a study has `trials` that are complete or pruned, counting those of all processes.

    Exact without a lock: whoever asks looks again once it has a number. If enough trials with smaller numbers count, it
    gives itself up (failed, user attribute `surplus`) and waits, for one of those may die.

    A trial that is stopped by Ctrl-C or SIGTERM is failed with the user attribute `interrupted`, and its parameters are the
    next that are run. One that raises an error is failed with `error`; a value that is no finite number makes it pruned with
    `diverged`, for its parameters are bad, which the sampler should know.

    Args:
        study: to work on.
        objective: called with a trial.
        trials: in total.
        grace: s without a sign of life until the process of another machine is dead.
        closed: only what is enqueued is run, as a grid is.
        say: takes one line a trial.
    """

    def __init__(
        self,
        study: optuna.Study,
        objective: Objective,
        *,
        trials: int,
        grace: float = 60.0,
        closed: bool = False,
        say: Say = print,
    ) -> None:
        self.study, self.objective, self.trials, self.closed, self.say = study, objective, trials, closed, say
        self.takeover = Takeover(study, grace=grace)
        self._current: optuna.Trial | None = None
        self._stopped, self._over = threading.Event(), threading.Event()
        self._interruptible, self._failures = False, 0

    def run(self) -> None:
        """Work; on return no trial of this process is running.

        Raises:
            InputError: unusable data or settings, several errors in a row, or a database that does not answer.
            KeyboardInterrupt: Ctrl-C or SIGTERM.
        """
        beat = threading.Thread(target=self._beat, daemon=True)
        with self._signals():
            beat.start()
            try:
                self._work()
            finally:
                self._over.set()
                beat.join()
        if self._stopped.is_set():
            raise KeyboardInterrupt

    def give_up(self) -> None:
        """Give the current trial back, from any thread, for this process is about to end."""
        if self._current is not None:
            trial = self.study._storage.get_trial(self._current._trial_id)
            give_back(self.study, trial, "interrupted")

    def _work(self) -> None:
        while not self._stopped.is_set() and self._patiently(self._step):
            pass

    def _patiently(self, action: Callable[[], bool]) -> bool:
        """Do something, again where the database did not answer; a trial that this cost is taken over like any other."""
        silent_since: float | None = None
        while True:
            try:
                return action()
            except StorageInternalError as error:
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > PATIENCE_S:
                    raise InputError(
                        f"the database has not answered for {PATIENCE_S:g} s ({sentence(str(error.__cause__))}); start it "
                        "and repeat the command, which continues the search"
                    ) from error
                self.say("the database does not answer; trying again")
                self._pause(4 * POLL_S)

    def _step(self) -> bool:
        """One trial, or a while of waiting; False where nothing is left to do."""
        for number in self.takeover.sweep():
            self.say(f"trial {number}: its process died; another takes it over")
        done, running, waiting = count(self.study)
        if done >= self.trials or (self.closed and not waiting and not running):
            self.takeover.settle(self._pause)
            return False
        if done + running >= self.trials or (self.closed and not waiting):
            self._pause(POLL_S)
            return True
        self._one()
        return True

    def _pause(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise KeyboardInterrupt

    def _one(self) -> None:
        with quiet_optuna():
            trial = self.study.ask()
        self._current = trial
        try:
            # Before the signature: whoever reads that one may rely on signs of life.
            give_sign_of_life(self.study, trial._trial_id)
            self.takeover.me.sign(trial)
            if self._is_needed(trial):
                self._try(trial)
        except UpdateFinishedTrialError:
            self.say(f"trial {trial.number}: another process took it over; what this one found is dropped")
        finally:
            self._current = None

    def _is_needed(self, trial: optuna.Trial) -> bool:
        trials = self.study.get_trials(deepcopy=False)
        mine = trials[trial.number]
        copy = is_copy(mine, trials)
        # A grid has nothing to draw: another process was faster at the last of it.
        drawn = self.closed and "fixed_params" not in mine.system_attrs and repeats(mine) is None
        needed = not copy and not drawn and has_place(mine, trials, self.trials)
        if not needed:
            give_back(self.study, mine, "surplus", again=not copy)
        return needed

    def _try(self, trial: optuna.Trial) -> None:
        try:
            values = self._call(trial)
        except KeyboardInterrupt:
            self._stopped.set()
            self.give_up()
        except (StorageInternalError, UpdateFinishedTrialError):
            raise
        except Exception as error:
            self._end(trial, error)
        else:
            found = [float(value) for value in (values if isinstance(values, Sequence) else (values,))]
            if all(map(math.isfinite, found)):
                self._tell(trial, found)
            else:
                trial.set_user_attr("diverged", f"the value is {found}")
                self._tell(trial, None, f"the value is {found}")

    def _end(self, trial: optuna.Trial, error: Exception) -> None:
        """End a trial that raised something."""
        if self._stopped.is_set():
            # While TensorFlow traces a network it makes errors of its own of Ctrl-C.
            self.give_up()
        elif isinstance(error, optuna.TrialPruned):
            self._tell(trial, None, str(error))
        elif isinstance(error, InputError):
            self.give_up()
            raise error
        else:
            self._fail(trial, error)

    def _call(self, trial: optuna.Trial) -> float | Sequence[float]:
        self._interruptible = True
        try:
            if self._stopped.is_set():
                raise KeyboardInterrupt
            return self.objective(trial)
        finally:
            self._interruptible = False

    def _tell(self, trial: optuna.Trial, values: list[float] | None, reason: str = "") -> None:
        def tell() -> bool:
            now = self.study._storage.get_trial(trial._trial_id)
            if now.state.is_finished() or "taken_over" in now.user_attrs:
                raise UpdateFinishedTrialError
            try:
                self.study.tell(trial, values, state=TrialState.PRUNED if values is None else None)
            except ValueError as error:
                # Optuna's word for a trial that was taken over in between.
                raise UpdateFinishedTrialError from error
            return True

        # What hours have found is not given up for a database that is started again.
        self._patiently(tell)
        self._failures = 0
        names = self.study.metric_names or ["value"] * len(self.study.directions)
        text = "  ".join(f"{name} {value:.6g}" for name, value in zip(names, values or (), strict=False))
        text = text or ", ".join(part for part in ("pruned", reason) if part)
        self.say(f"trial {trial.number}: {text}  ({count(self.study)[0]} of {self.trials})")

    def _fail(self, trial: optuna.Trial, error: Exception) -> None:
        text = sentence(f"{type(error).__name__}: {error}")
        trial.set_user_attr("error", text)
        self.study.tell(trial, state=TrialState.FAIL)
        self._failures += 1
        self.say(f"trial {trial.number}: failed, {text}")
        if self._failures >= FAILURES:
            raise InputError(
                f"{FAILURES} trials in a row failed, the last with {text}; change what that names and repeat the command"
            ) from error

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            trial = self._current
            if trial is not None:
                # A trial that ended meanwhile, or a database that the main thread will complain about.
                with contextlib.suppress(Exception):
                    give_sign_of_life(self.study, trial._trial_id)

    def _interrupt(self) -> None:
        if self._interruptible:
            os.kill(os.getpid(), signal.SIGINT)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Stop at Ctrl-C and SIGTERM, but only where no step of the storage is cut in two."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, frame: FrameType | None) -> None:
            self._stopped.set()
            if self._interruptible:
                again = threading.Timer(AGAIN_S, self._interrupt)
                again.daemon = True
                again.start()
                raise KeyboardInterrupt

        def forget(found: Any) -> None:
            # Raised inside a destructor, where it can only be printed; the timer sends another.
            if not issubclass(found.exc_type, KeyboardInterrupt):
                printed(found)

        def terminate(number: int, frame: FrameType | None) -> None:
            # Through the other handler, for a training puts its own in the place of ours. A parent sends it after Ctrl-C has
            # reached all processes, while this one may be busy with that.
            if not self._stopped.is_set():
                signal.raise_signal(signal.SIGINT)

        before: dict[int, Any] = {}
        for number, handler in ((signal.SIGINT, stop), (signal.SIGTERM, terminate)):
            before[number] = signal.signal(number, handler)
        if hasattr(signal, "pthread_sigmask"):
            # Kept back since the parent started this process.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        printed, sys.unraisablehook = sys.unraisablehook, forget
        try:
            yield
        finally:
            sys.unraisablehook = printed
            for changed, old in before.items():
                signal.signal(changed, old)
