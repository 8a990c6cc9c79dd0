"""Which process runs a trial, and whether it still lives."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

SAME_START_S = 5.0
"""Start times of one process, read at different times, differ by less: clocks are corrected while machines run."""

OWNER = "process"
"""User attribute of a trial that, with `host` and `pid`, names its process."""


@functools.cache
def machine() -> str:
    """Digest of what makes a process number unique: this machine and, in a container, its own count of processes.

    A host name alone would not do: machines of a batch farm may share one, and a living process of another would look dead.
    """
    try:
        known = Path("/etc/machine-id").read_text().strip()
    except OSError:
        node = uuid.getnode()
        # Where there is no network card the number is drawn anew by every process; a bit says so.
        known = "" if node >> 40 & 1 else str(node)
    try:
        counted_in = Path("/proc/self/ns/pid").readlink().name
    except OSError:
        counted_in = ""
    return hashlib.sha256(f"{socket.gethostname()}|{known}|{counted_in}".encode()).hexdigest()[:12]


@contextlib.contextmanager
def interrupts_later() -> Iterator[None]:
    """Keep Ctrl-C until afterwards, and from every process that is started meanwhile, which is told by its parent to end.

    A process whose parent was interrupted half-way through its start would end with a traceback, or live on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    # A started process takes the mask over. It alone would not do: another thread may be the one to get the signal.
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if hasattr(signal, "pthread_sigmask") else None
    try:
        yield
    finally:
        if masked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        signal.signal(signal.SIGINT, before)
        if pressed:
            signal.raise_signal(signal.SIGINT)


@dataclass(frozen=True)
class Process:
    """A process of some machine.

    Args:
        host: name of the machine, for people.
        pid: number of the process there.
        machine: see `machine`.
        started: when, in s since 1970; numbers are given again.
    """

    host: str
    pid: int
    machine: str
    started: float

    @classmethod
    def this(cls) -> Process:
        """The process that asks."""
        return cls(socket.gethostname(), os.getpid(), machine(), psutil.Process().create_time())

    @classmethod
    def of(cls, trial: Any) -> Process | None:
        """The process of a trial; None where it has not said so yet."""
        found = trial.user_attrs
        if not {"host", "pid", OWNER} <= set(found):
            return None
        return cls(found["host"], found["pid"], found[OWNER]["machine"], found[OWNER]["started"])

    def sign(self, trial: Any) -> None:
        """Write into a trial that this process runs it."""
        trial.set_user_attr("host", self.host)
        trial.set_user_attr("pid", self.pid)
        # Last: what it lies in makes the signature complete.
        trial.set_user_attr(OWNER, {"machine": self.machine, "started": self.started})

    def is_here(self) -> bool:
        """Whether this machine can tell that the process lives."""
        return self.machine == machine()

    def is_same(self, other: Process) -> bool:
        """Whether both are one process."""
        same_number = (self.machine, self.pid) == (other.machine, other.pid)
        return same_number and abs(self.started - other.started) < SAME_START_S

    def lives(self) -> bool:
        """Whether a process of this machine still runs; one that nobody has collected yet does not."""
        try:
            found = psutil.Process(self.pid)
            return abs(found.create_time() - self.started) < SAME_START_S and found.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True
