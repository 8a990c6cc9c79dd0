"""Where a study is kept: a journal file, which several processes and machines may share, or a database."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from particle_zoo.cli import sentence
from particle_zoo.errors import InputError
from tuning.processes import interrupts_later

if TYPE_CHECKING:
    from sqlalchemy import URL

JOURNAL = "journal.log"
"""File in the folder of a search."""

CONNECT_S = 5
"""Until a database counts as unreachable."""

LOCKED_S = 60
"""Until an SQLite file that another process writes counts as locked."""

HEARTBEAT_S = 5
"""Between heartbeats of a trial in a database."""

ATTEMPTS = 3
"""At opening a database: two processes that begin at once create its tables against each other."""

SECRET = re.compile(r"([?&][^=&]*password=)[^&]*", re.IGNORECASE)
"""In the query of a URL, which SQLAlchemy shows."""

FORMS = "sqlite:///FILE, postgresql://USER:PASSWORD@HOST/DATABASE or journal:///FILE"


@contextlib.contextmanager
def quiet_optuna() -> Iterator[None]:
    """Without Optuna's warnings of what may change some day, and of heartbeats, which this package gives itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", "Heartbeat of storage")
        yield


def describe(url: str | None, folder: Path) -> str:
    """The place for people: a path, or a URL without its passwords."""
    if url is None:
        return str(folder / JOURNAL)
    return url.removeprefix("journal://") if url.startswith("journal:") else _shown(_parse(url))


def open_storage(url: str | None, folder: Path, *, grace: float = 60.0) -> BaseStorage:
    """Open a storage, or create it.

    Args:
        url: as `FORMS`; None means the journal file of the folder.
        folder: of the search.
        grace: s without a heartbeat until a trial in a database is stale.

    Raises:
        InputError: no such kind of storage, a missing driver, a database that cannot be reached or used, or a damaged file.
    """
    if url is None or url.startswith("journal:"):
        path = Path(describe(url, folder))
        if url is None:
            folder.mkdir(parents=True, exist_ok=True)
        elif not url.startswith("journal:///") or not path.parent.is_dir():
            raise InputError(f"--storage {url}: {path.parent} is no folder; take {FORMS} with an existing one")
        return _journal(path)
    return _database(_parse(url), grace)


def close(study: optuna.Study) -> None:
    """Close the connections of a study to its database, where it has any; it may be used again."""
    storage = study._storage
    storage.remove_session()
    # Optuna keeps what it has read in front of a database.
    engine = getattr(getattr(storage, "_backend", storage), "engine", None)
    if engine is not None:
        engine.dispose()


class _Lock(JournalFileOpenLock):
    """Optuna's lock, under which Ctrl-C waits: an append cut in two would leave it locked for all others, for half a minute.

    That with links is for network file systems of the last century, and Windows has them for administrators only.
    """

    _held = contextlib.ExitStack()

    def acquire(self) -> bool:
        with contextlib.ExitStack() as stack:
            stack.enter_context(interrupts_later())
            super().acquire()
            self._held = stack.pop_all()
        return True

    def release(self) -> None:
        with self._held:
            super().release()


def _journal(path: Path) -> BaseStorage:
    lock = _Lock(str(path))
    try:
        if path.exists():
            _mend(path, lock)
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is no journal of a search, or damaged ({sentence(str(error))}); name another file, or move it away to begin anew"
        ) from error


def _mend(path: Path, lock: Any) -> None:
    """Remove what a power cut or a full disk left of a last line; the next one would be written onto its end.

    Raises:
        ValueError: a file of something else, which is left as it is, or a last line that is whole and no JSON. Optuna takes
            that one for a line that is still being written.
    """
    with path.open("rb") as file:
        first = file.readline()
    if first and not first.startswith(b'{"op_code":'):
        raise ValueError("its first line is none of a journal")
    if _last_line(path)[-1:] not in (b"", b"\n"):
        lock.acquire()
        try:
            # None writes while the lock is held, so that what is cut short now will stay so.
            text = path.read_bytes()
            os.truncate(path, text.rfind(b"\n") + 1)
        finally:
            lock.release()
    line = _last_line(path)
    # Else another process has begun to write meanwhile.
    if line.endswith(b"\n"):
        json.loads(line)


def _last_line(path: Path) -> bytes:
    text = path.read_bytes()
    return text[text.rfind(b"\n", 0, -1) + 1 :]


def _parse(text: str) -> URL:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        # A port that is no number is a ValueError. What stands before the @ may be a password.
        received = SECRET.sub(r"\1***", re.sub(r":(?!//).*@", ":***@", text))
        raise InputError(f"--storage takes {FORMS}; received {received!r}") from error
    if url.drivername in ("postgres", "postgresql") and importlib.util.find_spec("psycopg2") is None:
        # SQLAlchemy takes the older driver by default.
        url = url.set(drivername="postgresql+psycopg")
    return url


def _shown(url: URL) -> str:
    return SECRET.sub(r"\1***", url.render_as_string())


def _database(url: URL, grace: float) -> BaseStorage:
    from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

    place, sqlite = _shown(url), url.get_backend_name() == "sqlite"
    if sqlite and url.database in (None, "", ":memory:"):
        raise InputError(f"--storage {place} names no file, and a search must outlive its process; take sqlite:///FILE")
    engine: dict[str, Any] = {"connect_args": {"timeout": LOCKED_S} if sqlite else {"connect_timeout": CONNECT_S}}
    for attempt in range(ATTEMPTS):
        try:
            with quiet_optuna():
                return optuna.storages.RDBStorage(
                    url.render_as_string(hide_password=False),
                    engine_kwargs={**engine, "pool_pre_ping": not sqlite},
                    heartbeat_interval=HEARTBEAT_S,
                    grace_period=max(1, round(grace)),
                )
        except NoSuchModuleError as error:
            raise InputError(f"--storage {place} is of no known kind; take {FORMS}") from error
        except ImportError as error:
            ours = "install particle-zoo[tune]" if url.get_backend_name() == "postgresql" else "install it"
            raise InputError(
                f"--storage {place} needs a driver ({error.__cause__ or error}); {ours}, or take the journal file by leaving "
                "--storage out"
            ) from error
        except (SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError) as error:
            if attempt + 1 == ATTEMPTS:
                reason = sentence(str(getattr(error, "orig", None) or error.__cause__ or error))
                raise InputError(f"--storage {place} cannot be used ({reason}); start it or take another") from error
            time.sleep(0.5)
    raise AssertionError
