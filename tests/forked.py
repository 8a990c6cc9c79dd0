"""Processes that a server forks which has imported Keras and TensorFlow: a new interpreter takes ten seconds for that.

The server is that of `multiprocessing`. It computes nothing, so that its forks are as good as new interpreters, except that an
import may be missing in what they run.
"""

from __future__ import annotations

import atexit
import contextlib
import inspect
import multiprocessing
import os
import runpy
import subprocess
import sys
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import connection, forkserver, process, reduction, spawn
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).parents[1]
SERVER: Any = forkserver._forkserver  # type: ignore[attr-defined]

_prepare, _preparation, _context = spawn.prepare, spawn.get_preparation_data, multiprocessing.get_context


@dataclass
class _Place:
    """What a process has of its parent and not of the server: environment, group and streams."""

    environment: dict[str, str]
    group: int
    streams: list[Any]

    def __reduce__(self) -> Any:
        return _Place, (self.environment, self.group, [reduction.DupFd(fd) for fd in self.streams])

    def take(self) -> None:
        """In the child."""
        os.environ.clear()
        os.environ.update(self.environment)
        os.setpgid(0, self.group)
        for own, given in enumerate(self.streams):
            fd = given.detach()
            os.dup2(fd, own)
            os.close(fd)


_streams = [0, 1, 2]


def _get_preparation_data(name: str) -> dict[str, Any]:
    return {**_preparation(name), "place": _Place(dict(os.environ), os.getpgrp(), list(_streams))}


def _prepare_in_place(data: dict[str, Any]) -> None:
    data.pop("place").take()
    _prepare(data)


def _get_context(method: str | None = None) -> Any:
    return _context("forkserver" if method == "spawn" else method)


_ARGUMENTS = [*inspect.signature(subprocess.Popen._execute_child).parameters][1:]  # type: ignore[attr-defined]
"""Their order is not that of every version of Python."""

_DEFAULTS = {
    "preexec_fn": None, "pass_fds": (), "restore_signals": True, "gid": None, "gids": None, "uid": None, "umask": -1,
    "process_group": -1,
}  # fmt: skip
"""What a fork of the server cannot have otherwise: a program that is to have it starts as ever."""

_PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")


class Forked(subprocess.Popen[Any]):
    """A Python program under TensorFlow is forked by the server; any other starts as ever."""

    _forked: Any = None

    def _execute_child(self, *given: Any) -> None:
        named = dict(zip(_ARGUMENTS, given, strict=True))
        environment = dict(os.environ if named["env"] is None else named["env"])
        program = _program(named["args"], named["cwd"], named["start_new_session"])
        asked = any(named.get(key, usual) != usual for key, usual in _DEFAULTS.items())
        if program is None or asked or environment.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
            super()._execute_child(*given)  # type: ignore[misc]
            return
        pipes = [named[end] for end in _PIPES]
        child = _context("forkserver").Process(target=program, name="MainProcess")
        before = _streams[:]
        _streams[:] = [fd if fd >= 0 else own for own, fd in enumerate((pipes[0], pipes[3], pipes[5]))]
        try:
            with mock.patch.dict(os.environ, environment, clear=True):
                child.start()
        finally:
            _streams[:] = before
            self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]
        # It is no process that is joined at the end.
        process._children.discard(child)  # type: ignore[attr-defined]
        self._forked, self.pid, self._child_created = child._popen, child.pid, True

    def _internal_poll(self, *given: Any, **named: Any) -> int | None:
        if self._forked is None:
            return super()._internal_poll(*given, **named)  # type: ignore[misc, no-any-return]
        # It can be read once.
        with self._waitpid_lock:  # type: ignore[attr-defined]
            if self.returncode is None:
                self.returncode = self._forked.poll()
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if self._forked is None:
            return super()._wait(timeout)  # type: ignore[misc, no-any-return]
        if self.returncode is None and not connection.wait([self._forked.sentinel], timeout):
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        code = self._internal_poll()
        assert code is not None
        return code


@dataclass
class _Program:
    """What an interpreter does with its command line."""

    filters: list[str]
    kind: str
    what: str
    arguments: list[str]
    folder: str
    leads: bool

    def __call__(self) -> None:
        assert spawn.prepare is _prepare_in_place
        if self.leads:
            # A session of its own could not be joined by its children, which the server forks.
            os.setpgid(0, 0)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
        os.chdir(self.folder)
        path = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
        sys.path[:] = [self.folder, *path, *(part for part in sys.path if part not in ("", str(ROOT)))]
        sys.warnoptions[:] = self.filters
        warnings._processoptions(self.filters)  # type: ignore[attr-defined]
        multiprocessing.set_start_method(None, force=True)
        process._parent_process = None  # type: ignore[attr-defined]
        try:
            if self.kind == "-m":
                sys.argv[:] = [self.what, *self.arguments]
                runpy.run_module(self.what, run_name="__main__", alter_sys=True)
            else:
                sys.argv[:] = ["-c", *self.arguments]
                main = sys.modules["__main__"] = types.ModuleType("__main__")
                exec(compile(self.what, "<string>", "exec"), vars(main))
        finally:
            atexit._run_exitfuncs()


def _program(command: Any, cwd: Any, leads: bool) -> _Program | None:
    """Of a command that is `python [-B] [-W FILTER] -m MODULE` or `-c CODE`, with what follows."""
    if not isinstance(command, list) or command[0] != sys.executable:
        return None
    left = [os.fspath(part) for part in command[1:]]
    filters = []
    while left[:1] in (["-W"], ["-B"]):
        if left.pop(0) == "-W":
            filters.append(left.pop(0))
    if left[:1] not in (["-m"], ["-c"]):
        return None
    kind, what, *arguments = left
    return _Program(filters, kind, what, arguments, os.fspath(cwd or Path.cwd()), leads)


def serve() -> None:
    """In the server, and so in all that it forks: their own children are its forks, too."""
    spawn.prepare, spawn.get_preparation_data = _prepare_in_place, _get_preparation_data
    multiprocessing.get_context = _get_context
    subprocess.Popen = Forked  # type: ignore[misc]
    SERVER.ensure_running = lambda: None


@contextlib.contextmanager
def forked_processes() -> Iterator[None]:
    """Where `multiprocessing` would spawn a process, or `subprocess` start a Python program, the server forks one."""
    SERVER.set_forkserver_preload(["tests.preloaded"])
    with mock.patch.dict(os.environ, {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}):
        SERVER.ensure_running()
    with (
        mock.patch.object(spawn, "get_preparation_data", _get_preparation_data),
        mock.patch.object(multiprocessing, "get_context", _get_context),
        mock.patch.object(subprocess, "Popen", Forked),
    ):
        yield
