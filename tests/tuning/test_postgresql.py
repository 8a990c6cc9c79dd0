from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from tests.tuning.programs import Programs, check_finished, finish, two_running, until
from tests.tuning.quick_search import plan
from tuning.storage import close
from tuning.takeover import Takeover, stale_ids

pytestmark = pytest.mark.usefixtures("forked")

BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=None)
"""Where Debian puts it."""


class Server:
    """A PostgreSQL server of its own on a free loopback port; it keeps nothing when it stops being used."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self.programs = folder, programs
        # PostgreSQL refuses to be root.
        self.user = (
            ("postgres" if "postgres" in {p.pw_name for p in pwd.getpwall()} else "nobody")
            if os.getuid() == 0
            else None
        )
        if self.user:
            shutil.chown(folder, self.user)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        subprocess.run(
            [programs / "initdb", "-D", folder / "data", "-U", "zoo", "-A", "trust", "--no-sync"],
            user=self.user, cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://zoo:secret@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        settings = ("listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}", "fsync=off")
        options = [part for setting in settings for part in ("-c", setting)]
        self.process = subprocess.Popen(
            [self.programs / "postgres", "-D", self.folder / "data", "-p", str(self.port), *options],
            user=self.user, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        ready = [self.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        until(lambda: subprocess.run(ready, check=False).returncode == 0)

    def stop(self) -> None:
        if self.process is not None:
            # Immediately: open connections are cut.
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(30)
            self.process = None


@contextlib.contextmanager
def opened(folder: Path, **settings: Any) -> Iterator[optuna.Study]:
    """The study of a `quick_search`."""
    study = plan(folder, **settings).open()
    try:
        yield study
    finally:
        close(study)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    if BINARIES is None and shutil.which("initdb") is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="psycopg is not installed (pip install 'psycopg[binary]')")
    programs = BINARIES or Path(shutil.which("initdb") or "")
    # Not in pytest's folder, which only its owner may enter.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        found = Server(Path(folder), programs.resolve().parent)
        found.start()
        yield found
        found.stop()


def test_two_workers_share_a_database_and_one_is_killed(tmp_path: Path, server: Server, start: Programs) -> None:
    search = start(tmp_path, 6, "--workers", 2, "--seconds", 1, "--storage", server.url)
    victim, pid = max(until(lambda: two_running(tmp_path)).items())
    os.kill(pid, signal.SIGKILL)
    said = finish(search)
    assert "SIGKILL" in said
    assert "secret" not in said
    with opened(tmp_path, storage=server.url) as study:
        trials = study.get_trials()
    check_finished(trials, 6)
    assert trials[victim].state == TrialState.FAIL
    assert trials[victim].user_attrs["taken_over"]
    assert not (tmp_path / "journal.log").exists()


def test_a_search_outlives_a_restart_of_its_database(tmp_path: Path, server: Server, start: Programs) -> None:
    name = ("--study", "restarted", "--storage", server.url)
    search = start(tmp_path, 5, "--workers", 2, "--seconds", 1, *name)
    until(lambda: two_running(tmp_path))
    server.stop()
    # Long enough for both to have something to tell.
    time.sleep(2)
    server.start()
    assert "the database does not answer; trying again" in finish(search)
    with opened(tmp_path, name="restarted", storage=server.url) as study:
        trials = study.get_trials()
    check_finished(trials, 5)
    assert not any("taken_over" in trial.user_attrs for trial in trials)


def test_heartbeats_in_the_database_tell_other_machines_at_once(
    tmp_path: Path, server: Server, start: Programs
) -> None:
    name = ("--study", "elsewhere", "--storage", server.url, "--grace", 2)
    away = start(tmp_path, 2, "--host", "elsewhere", "--seconds", 60, "--beat", 0.2, *name)
    until(lambda: list(tmp_path.glob("begun-*")))
    away.kill()
    away.wait()
    with opened(tmp_path, name="elsewhere", storage=server.url, grace=2) as study:
        assert Takeover(study, grace=2).sweep() == []
        until(lambda: stale_ids(study), seconds=10)
        # By the clock of the database: this process has just begun to look.
        assert Takeover(study, grace=2).sweep() == [0]
        finish(start(tmp_path, 2, *name))
        check_finished(study.get_trials(), 2)
