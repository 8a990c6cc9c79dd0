"""All processes of a search on this machine: started, replaced where they die, and ended with it."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any

import click
from optuna.exceptions import StorageInternalError

from particle_zoo.cli import load_keras, sentence
from particle_zoo.errors import InputError, ParticleZooError
from tuning.processes import interrupts_later
from tuning.storage import close
from tuning.study import Plan
from tuning.takeover import Takeover
from tuning.worker import Objective, Worker, count

END_S = 20.0
"""For a worker that was asked to end."""

ORPHAN_S = 5.0
"""For a worker whose parent died to give its trial back."""

DEATHS = 3
"""Workers that may die one after the other without a finished trial in between."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
"""Environment variables that say how many threads a process computes with."""

Prepare = Callable[[], object]


@dataclass(frozen=True)
class Job:
    """What every worker does; picklable.

    Args:
        plan: of the search.
        objective: called with a trial.
        trials: in total.
        prepare: called once in every process before the first trial.
        quiet: whether no line is printed for a trial.
    """

    plan: Plan
    objective: Objective
    trials: int
    prepare: Prepare | None = None
    quiet: bool = False

    def work(self, hold: Callable[[Worker], object] = id) -> None:
        """Work in this process; `hold` is given the worker before it begins."""
        if self.prepare is not None:
            self.prepare()
        study = self.plan.open()
        say: Callable[[str], object] = (lambda line: None) if self.quiet else _print
        closed, grace = bool(self.plan.grid), self.plan.grace
        worker = Worker(study, self.objective, trials=self.trials, grace=grace, closed=closed, say=say)
        hold(worker)
        try:
            worker.run()
        finally:
            close(study)


def _print(line: str) -> None:
    # In one piece, since several processes write.
    click.echo(line)
    sys.stdout.flush()


def run(job: Job, *, workers: int = 1) -> None:
    """Work in this process, or in several; on return no trial of this machine is left running without a process.

    Raises:
        InputError: what `Worker.run` raises, or workers that die again and again.
        KeyboardInterrupt: Ctrl-C or SIGTERM.
    """
    if workers == 1:
        job.work()
    else:
        _Crew(job, workers).run()


class _Crew:
    """Several workers and their parent, which only waits."""

    def __init__(self, job: Job, workers: int) -> None:
        self.job, self.workers = job, workers
        self.study = job.plan.open()
        self.takeover = Takeover(self.study, grace=job.plan.grace)
        self.context = multiprocessing.get_context("spawn")
        self.places: dict[int, tuple[Any, connection.Connection]] = {}
        self.say = (lambda line: None) if job.quiet else _print
        self.deaths, self.done = 0, count(self.study)[0]

    def run(self) -> None:
        with _terminating():
            try:
                for place in range(self.workers):
                    self._start(place)
                while self.places:
                    connection.wait([process.sentinel for process, _ in self.places.values()])
                    for place in [p for p, (process, _) in self.places.items() if not process.is_alive()]:
                        self._ended(place)
            finally:
                self._end()

    def _start(self, place: int) -> None:
        ours, theirs = self.context.Pipe(duplex=False)
        # Not a daemon: it may start a process for a trial.
        process = self.context.Process(target=_work, args=(self.job, theirs), name=f"worker {place}")
        with interrupts_later():
            with _environment(settings_of(place, self.workers)):
                process.start()
            theirs.close()
            self.places[place] = process, ours

    def _ended(self, place: int) -> None:
        process, said = self.places.pop(place)
        code = process.exitcode
        if code == 0:
            return
        if code == 2:
            raise InputError(said.recv())
        done = self._sweep()
        self.deaths, self.done = (1 if done > self.done else self.deaths + 1), done
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        if self.deaths >= DEATHS:
            raise ParticleZooError(
                f"{DEATHS} workers died one after the other, the last by {how} (SIGKILL often means that memory ran out); "
                "take fewer --workers and repeat the command, which continues the search"
            )
        self.say(f"{process.name} died ({how}); another takes its place")
        if done < self.job.trials:
            self._start(place)

    def _end(self) -> None:
        """Ask the living to end, then make them; their trials go back to the queue either way."""
        left = [process for process, _ in self.places.values()]
        try:
            for process in left:
                process.terminate()
            until = time.monotonic() + END_S
            for process in left:
                process.join(max(0.0, until - time.monotonic()))
        finally:
            # Also at a second Ctrl-C.
            for process in left:
                process.kill()
                process.join()
            self._sweep()
            close(self.study)

    def _sweep(self) -> int:
        """Take over what the dead left, and count what is done; where the database does not answer, the next start will."""
        with contextlib.suppress(StorageInternalError):
            self.takeover.sweep()
            return count(self.study)[0]
        return self.done


def _work(job: Job, parent: connection.Connection) -> None:
    """A worker process: exit code 0, 2 after a sentence to the parent, or 130."""
    holder: list[Worker] = []
    threading.Thread(target=_end_with_parent, args=(holder,), daemon=True).start()
    try:
        job.work(holder.append)
    except KeyboardInterrupt:
        sys.exit(130)
    except (ParticleZooError, OSError) as error:
        parent.send(sentence(str(error)))
        sys.exit(2)


def _end_with_parent(holder: list[Worker]) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    # Storage that does not answer must not keep an orphan alive.
    threading.Timer(ORPHAN_S, os._exit, args=(1,)).start()
    with contextlib.suppress(Exception):
        for worker in holder:
            worker.give_up()
    os._exit(1)


def settings_of(place: int, workers: int) -> dict[str, str]:
    """Environment of a worker: its share of the cores, and one of the GPUs; what the user has set stays.

    Threads of several processes on the same cores would wait for one another.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = {name: str(max(1, cores // workers)) for name in THREADS}
    # Else the first worker would take all memory of the card.
    found["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    found = {name: value for name, value in found.items() if name not in os.environ}
    cards = gpus()
    if cards:
        found["CUDA_VISIBLE_DEVICES"] = cards[place % len(cards)]
    return found


def gpus() -> list[str]:
    """Names of the NVIDIA cards that this process may use."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [card.strip() for card in allowed.split(",") if card.strip()]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=30)
    return [str(i) for i in range(listed.stdout.count("\nGPU ") + listed.stdout.startswith("GPU "))]


def load_quietly(precision: str) -> None:
    """Import Keras in a worker without the messages that `particle_zoo.cli.run` keeps from the first process."""
    for name in ("absl", "tensorflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    load_keras(precision)


@contextlib.contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _terminating() -> Iterator[None]:
    """SIGTERM is Ctrl-C, which counts even where a script has started the search in the background and so has it ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))}
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
