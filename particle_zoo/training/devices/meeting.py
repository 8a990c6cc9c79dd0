"""Processes of a training on several hosts wait for each other before TensorFlow connects them.

TensorFlow's own waiting can neither be interrupted nor tells what it waits for.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time

import click

from particle_zoo.errors import InputError, PeerLostError
from particle_zoo.training.devices.tf_config import Cluster, split

PATIENCE = 600.0
"""Seconds to wait for the others."""

SILENT = 2.0
"""Seconds before it is said what is waited for."""

PAUSE = 0.2
"""Seconds between two attempts."""

GO = b"particle_zoo: all are here\n"


def meet(cluster: Cluster, *, patience: float = PATIENCE) -> None:
    """Return once every process is here; the ports are free again then.

    The chief calls the others at their addresses and tells them when all have answered.

    Args:
        cluster: the processes.
        patience: seconds to wait for the others.

    Raises:
        InputError: the port of this process is in use, or its host is unknown.
        PeerLostError: the others did not come.
    """
    with _listen(cluster.own) as door:
        if cluster.process == 0:
            _call(cluster, time.monotonic() + patience)
        else:
            _wait(door, cluster, time.monotonic() + patience)


def _listen(address: str) -> socket.socket:
    _, port = split(address)
    door = socket.socket()
    # A port that a killed run has just left may be taken again; one that a process listens at may not.
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind(("", port))
        door.listen()
    except OSError as error:
        door.close()
        raise InputError(
            f"port {port} of {address}, which TF_CONFIG gives to this process, cannot be used ({error.strerror}); "
            "end what uses it, or name another port in TF_CONFIG of all processes"
        ) from error
    return door


def _call(cluster: Cluster, end: float) -> None:
    """What the chief does."""
    missing = list(cluster.addresses[1:])
    told = False
    say = time.monotonic() + SILENT
    with contextlib.ExitStack() as stack:
        lines = []
        while missing:
            for address in list(missing):
                try:
                    lines.append(stack.enter_context(socket.create_connection(split(address), timeout=PAUSE)))
                    missing.remove(address)
                except OSError:
                    continue
            if missing and not told and time.monotonic() > say:
                click.echo(f"the chief at {cluster.own} is waiting for {', '.join(missing)}", err=True)
                told = True
            if missing and time.monotonic() > end:
                raise PeerLostError(_late(f"{', '.join(missing)} did not answer"))
            if missing:
                time.sleep(PAUSE)
        for line in lines:
            try:
                line.sendall(GO)
            except OSError as error:
                raise PeerLostError(_late(f"one has ended before all had come ({error.strerror})")) from error


def _wait(door: socket.socket, cluster: Cluster, end: float) -> None:
    """What the others do."""
    told = False
    say = time.monotonic() + SILENT
    with contextlib.ExitStack() as stack:
        lines: list[socket.socket] = []
        while True:
            for ready in select.select([door, *lines], [], [], PAUSE)[0]:
                if ready is door:
                    lines.append(stack.enter_context(door.accept()[0]))
                    continue
                # Whoever else looks in at this port, or a chief that ends while it waits, is no reason to begin.
                with contextlib.suppress(OSError):
                    if ready.recv(len(GO)) == GO:
                        return
                lines.remove(ready)
                ready.close()
            if not told and not lines and time.monotonic() > say:
                click.echo(f"waiting at {cluster.own} for the chief, {cluster.chief}", err=True)
                told = True
            if time.monotonic() > end:
                raise PeerLostError(_late(f"the chief at {cluster.chief} did not call"))


def _late(what: str) -> str:
    return f"the processes that TF_CONFIG names did not come together: {what}; start all of them"
