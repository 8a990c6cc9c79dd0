"""Where the jets of the data set `jets` come from; it knows nothing of TFDS."""

from __future__ import annotations

import filecmp
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Protocol

import click
import numpy as np

from particle_zoo.data.jet_columns import find_columns
from particle_zoo.data.jet_files import SETTINGS_FILE, JetFileSettings, find, iter_jets, settings_of
from particle_zoo.data.jet_tables.opening import open_table
from particle_zoo.data.jet_values import JetCounts
from particle_zoo.data.splits import assign_groups
from particle_zoo.errors import InputError
from particle_zoo.jets import AOD_25, AOD_27, Jets
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

    def check(self, want: Sequence[str]) -> None:
        """Check that the jets have some variables, without making or reading any."""
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

    def check(self, want: Sequence[str]) -> None:
        """Check that the jets have some variables.

        Raises:
            InputError: they do not.
        """
        Jets(np.empty((0, len(COLUMNS))), COLUMNS).select(want)


@dataclass(frozen=True)
class UserFiles:
    """Jets of a folder of files; see `particle_zoo.data.jet_files`.

    Args:
        folder: with the files and, where their columns need to be named, a `jets.json`.
        paths: the files, in order.
        settings: how they are read.
    """

    folder: Path
    paths: tuple[Path, ...]
    settings: JetFileSettings

    @classmethod
    def of(cls, folder: Path | None) -> UserFiles:
        """The files of a folder, still unread.

        Raises:
            InputError: no folder, no files in it, a file twice, or settings that cannot be.
        """
        if folder is None:
            raise InputError(f"jets/{FILES} reads your own files; name their folder with --manual-dir")
        paths = tuple(find(folder))
        for first, second in combinations(paths, 2):
            # Its jets would be in two splits.
            if first.stat().st_size == second.stat().st_size and filecmp.cmp(first, second, shallow=False):
                raise InputError(f"{second} is a copy of {first.name}; remove one of them")
        return cls(folder, paths, settings_of(folder))

    @property
    def config(self) -> str:
        """Name of the configuration."""
        return FILES

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of names and contents of the files and of their settings."""
        digest = hashlib.sha256(f"{FILES}{FILES_VERSION}".encode())
        settings = self.folder / SETTINGS_FILE
        for path in (*([settings] if settings.exists() else []), *self.paths):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
            digest.update(f"\0{path.name}\0".encode() + content)
        return digest.hexdigest()[:16]

    @cached_property
    def jets(self) -> Jets:
        """All jets: pt, eta, phi, m, E, or the 27 or 25 variables of the xAOD study and E where every file has them.

        Raises:
            InputError: unusable files.
        """
        want = next((names for names in ((*AOD_27, "E"), (*AOD_25, "E")) if self._have(names)), COLUMNS)
        counts = JetCounts()
        jets = Jets.concat(list(self._numbered(want, counts)))
        for line in counts.lines():
            click.echo(f"{self.folder}: {line}", err=True)
        return jets

    def check(self, want: Sequence[str]) -> None:
        """Check that all files have some variables.

        Raises:
            InputError: one of them does not.
        """
        for path in self.paths:
            with open_table(path, self.settings.tree) as table:
                find_columns(table, want, self.settings.columns)

    def _have(self, names: Sequence[str]) -> bool:
        try:
            self.check(names)
        except InputError:
            return False
        return True

    def _numbered(self, want: Sequence[str], counts: JetCounts) -> Iterator[Jets]:
        first = 0
        for path in self.paths:
            after = first
            for part, _ in iter_jets(path, want, self.settings, counts=counts):
                if self.settings.event is not None:
                    # Numbers that the files state hold for all of them; places in a file are of that file only.
                    yield part
                    continue
                events = np.arange(after, after + len(part)) if part.events is None else first + part.events
                after = int(events[-1]) + 1
                yield Jets(part.values, part.columns, events)
            first = after
