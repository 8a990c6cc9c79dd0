"""Where the jets of the data set `jets` come from; it knows nothing of TFDS."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from particle_zoo.data.splits import assign_groups
from particle_zoo.errors import InputError
from particle_zoo.jets import AOD_27, Jets
from particle_zoo.simulation.jets import COLUMNS, JETS, JETS_VERSION, generate

SIMULATED, FILES = "simulated", "files"
"""Names of the configurations."""

SEED = 1
"""Of the simulated jets."""

SPLIT_SEED = 0
"""Of the split."""

FILES_VERSION = 1
"""Raised whenever reading or numbering of events changes what files give."""


class JetSource(Protocol):
    """One state of a source: a simulation, or a folder of files."""

    @property
    def config(self) -> str:
        """Name of the configuration."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hex digest of the source files, or of everything a simulation depends on."""
        ...

    @property
    def jets(self) -> Jets:
        """All jets in an order that never changes, with the event of each."""
        ...


def in_split(jets: Jets) -> np.ndarray:
    """(n,) names of the splits of all jets of a source: 70/15/15, all jets of an event in one."""
    assert jets.events is not None
    return assign_groups(jets.events, SPLIT_SEED)


@dataclass(frozen=True)
class Simulated:
    """Jets of `particle_zoo.simulation.jets`; each is an event of its own.

    Args:
        count: how many.
        seed: of the simulation.

    Raises:
        InputError: a count below 1.
    """

    count: int = JETS
    seed: int = SEED

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"jets is the number to simulate, 1 or more; received {self.count}")

    @property
    def config(self) -> str:
        """Name of the configuration."""
        return SIMULATED

    @property
    def fingerprint(self) -> str:
        """Hex digest of number, seed and version."""
        return hashlib.sha256(f"{SIMULATED} {self.count} {self.seed} {JETS_VERSION}".encode()).hexdigest()[:16]

    @cached_property
    def jets(self) -> Jets:
        """All jets; the number of one is its event."""
        return Jets(generate(self.count, self.seed).values, COLUMNS, np.arange(self.count))


@dataclass(frozen=True)
class UserFiles:
    """Jets of a folder of files.

    Args:
        folder: with the files and, where their columns need to be named, a `jets.json`.

    Raises:
        InputError: no folder, or no files in it.
    """

    folder: Path

    def __post_init__(self) -> None:
        from particle_zoo.data import jet_files

        if not self.folder.is_dir():
            raise InputError(f"--manual-dir {self.folder} is no folder; name the folder with your files")
        if not self.paths:
            raise InputError(
                f"{self.folder} has no files of jets; put some with {', '.join(jet_files.SUFFIXES)} into it"
            )

    @property
    def config(self) -> str:
        """Name of the configuration."""
        return FILES

    @cached_property
    def paths(self) -> list[Path]:
        """The files, in order."""
        from particle_zoo.data import jet_files

        return jet_files.find(self.folder)

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of names and contents of the files and of their settings.

        Raises:
            InputError: two files with the same content, whose jets would be in two splits.
        """
        from particle_zoo.data import jet_files

        digest = hashlib.sha256(f"{FILES}{FILES_VERSION}".encode())
        settings = self.folder / jet_files.SETTINGS_FILE
        seen: dict[bytes, Path] = {}
        for path in (*([settings] if settings.exists() else []), *self.paths):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
            if content in seen:
                raise InputError(f"{path} is a copy of {seen[content].name}; remove one of them")
            seen[content] = path
            digest.update(f"\0{path.relative_to(self.folder).as_posix()}\0".encode() + content)
        return digest.hexdigest()[:16]

    @cached_property
    def jets(self) -> Jets:
        """All jets: the 27 variables of the xAOD study and E where the files have every one, else pt, eta, phi, m and E.

        Raises:
            InputError: unusable files.
        """
        from particle_zoo.data import jet_files

        settings = jet_files.settings_of(self.folder)
        want = self._columns(settings)
        return Jets.concat(list(self._numbered(want, settings)))

    def _columns(self, settings: Any) -> Sequence[str]:
        from particle_zoo.data import jet_files

        for path in self.paths:
            if not set(AOD_27) <= set(jet_files.available(path, settings)):
                return COLUMNS
        return (*AOD_27, "E")

    def _numbered(self, want: Sequence[str], settings: Any) -> Iterator[Jets]:
        from particle_zoo.data import jet_files

        first = 0
        for path in self.paths:
            after = first
            for part, _ in jet_files.iter_jets(path, want, settings):
                events = np.arange(after, after + len(part)) if part.events is None else part.events
                # Numbers that the files state hold for all of them; places in a file are of that file only.
                events = events if settings.event or part.events is None else first + events
                after = max(after, int(events.max(initial=-1)) + 1)
                yield Jets(part.values, part.columns, events.astype(np.int64))
            first = after
