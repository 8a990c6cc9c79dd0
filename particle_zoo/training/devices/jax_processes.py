"""How the processes of a training find each other under JAX, and how they part."""

from __future__ import annotations

import atexit
import os
import re
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

import click
import jax
from jax.experimental import multihost_utils

from particle_zoo.errors import InputError, PeerLostError

ADDRESS, NUMBER, PLACE = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"

WAIT_S = 300
"""How long processes wait for each other at the start."""

_SIGNS = re.compile(r"gloo|nccl|rccl|coordination service|UNAVAILABLE|heartbeat|DEADLINE_EXCEEDED", re.IGNORECASE)


@dataclass
class Membership:
    """The part of this process in a training of several.

    Args:
        process: its place.
        processes: how many there are.
        connected: whether JAX watches over them.
    """

    process: int = 0
    processes: int = 1
    connected: bool = False

    def part(self) -> None:
        """Leave the others, who do the same now."""
        if self.connected:
            self.connected = False
            with suppress(RuntimeError, ValueError):
                jax.distributed.shutdown()

    def abandon(self, error: BaseException | None) -> None:
        """Leave the others, who know nothing of it, for an error; when Python ends, the process does not wait for them."""
        if not self.connected:
            return
        self.connected = False
        code = 130 if isinstance(error, KeyboardInterrupt) else getattr(error, "exit_code", 1)
        # Handlers run from the last to the first, and JAX's would wait for the others.
        atexit.register(_leave, 0 if error is None else code)


def _leave(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def join() -> Membership:
    """Find the other processes, if the environment names any; returns once all have answered.

    Raises:
        InputError: a malformed environment.
        PeerLostError: they did not come.
    """
    found = read(dict(os.environ))
    if found is None:
        return Membership()
    address, processes, process = found
    host, port = _parts(address)
    if process == 0:
        _check_free(port, address)
        click.echo(f"waiting at {address} for {processes - 1} other processes", err=True)
    else:
        _await(host, port, address, processes)
    if jax.config.jax_cpu_collectives_implementation in (None, "none"):
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(address, processes, process, initialization_timeout=WAIT_S)
        with _silence():
            multihost_utils.sync_global_devices("start")
    except (RuntimeError, ValueError) as error:
        raise lost(processes, error) from error
    membership = Membership(process, processes, connected=True)
    if jax.default_backend() == "cpu":
        # The sockets are open, and nobody else is needed. The service would abort every process when one is lost, from a
        # thread of its own, before Python could say so; NCCL needs it to the end.
        membership.part()
    return membership


def read(environment: dict[str, str]) -> tuple[str, int, int] | None:
    """(address, processes, process) that the variables of `jax.distributed` name; None for one process.

    Raises:
        InputError: one is missing or malformed.
    """
    values = {name: environment.get(name, "").strip() for name in (ADDRESS, NUMBER, PLACE)}
    if not any(values.values()):
        return None
    for name, value in values.items():
        if not value:
            given = ", ".join(other for other in values if values[other])
            raise InputError(
                f"several processes need {ADDRESS}, {NUMBER} and {PLACE}; received {given} without {name}: set it, or none"
            )
    processes, process = (_whole(name, values[name]) for name in (NUMBER, PLACE))
    if processes < 1:
        raise InputError(f"{NUMBER} is a number of processes, 1 or more; received {processes}")
    if process >= processes:
        raise InputError(f"{PLACE} counts from 0 to {NUMBER} - 1, here {processes - 1}; received {process}")
    _parts(values[ADDRESS])
    return None if processes == 1 else (values[ADDRESS], processes, process)


def _whole(name: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise InputError(f"{name} is a whole number; received {text!r}")
    return int(text)


def _parts(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 2**16:
        raise InputError(f"{ADDRESS} is HOST:PORT of process 0, such as 10.0.0.1:1234; received {address!r}")
    return host.strip("[]"), int(port)


def _check_free(port: int, address: str) -> None:
    """See that process 0 can listen.

    Raises:
        InputError: something else does.
    """
    try:
        with socket.create_server(("", port)):
            pass
    except OSError as error:
        raise InputError(f"process 0 cannot listen at {address} ({error.strerror}); take another {ADDRESS}") from error


def _await(host: str, port: int, address: str, processes: int) -> None:
    """Wait for process 0: JAX itself would end the process without an exception.

    Raises:
        PeerLostError: it did not come.
    """
    end = time.monotonic() + WAIT_S
    while True:
        try:
            with socket.create_connection((host, port), timeout=5):
                return
        except OSError as error:
            if time.monotonic() > end:
                raise PeerLostError(
                    f"process 0 of the {processes} does not answer at {address} after {WAIT_S} s ({error}); start all of "
                    f"them, with the same {ADDRESS}"
                ) from error
        time.sleep(0.2)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep back what Gloo writes to stdout when it connects."""
    sys.stdout.flush()
    kept = os.dup(1)
    with tempfile.TemporaryFile() as nowhere:
        os.dup2(nowhere.fileno(), 1)
        try:
            yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)


def loss(error: BaseException) -> BaseException | None:
    """What in the chain of an error says that another process is lost."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, RuntimeError | ValueError) and _SIGNS.search(str(seen)):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def lost(processes: int, error: BaseException) -> PeerLostError:
    """The sentence about it."""
    # XLA puts the same words before the cause once for every computation that waits for it.
    first = (
        (str(error).strip() or type(error).__name__).splitlines()[0].rpartition("Error dispatching computation: ")[2]
    )
    return PeerLostError(
        f"another of the {processes} processes has ended: {first}; start all of them again with --resume"
    )
