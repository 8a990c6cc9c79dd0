"""The user's own files of jets: parquet, HDF5, CSV and ROOT, read a chunk at a time."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pydantic

from particle_zoo.cli import read_json
from particle_zoo.data.jet_columns import CANONICAL, check_column, find_columns
from particle_zoo.data.jet_tables.opening import SUFFIXES, open_table
from particle_zoo.data.jet_tables.table import Block, JetTable
from particle_zoo.data.jet_values import JetCounts, check_scale, jets_of
from particle_zoo.errors import InputError
from particle_zoo.jets import Jets

SETTINGS_FILE = "jets.json"
"""Beside the files: how to read them, where that differs from the defaults."""

ROWS = 65_536
"""Rows of a file in a chunk; events of a ROOT file."""


class JetFileSettings(pydantic.BaseModel):
    """How to read files of jets; content of `jets.json`.

    Args:
        columns: column of a variable, e.g. {"pt": "Jet_pt"}, or a number in its place, in the unit of the file; others
            are found by their names.
        unit: of energies, momenta and masses in the files, GeV or MeV; GeV by default.
        tree: of ROOT files with several.
        event: column with the number of the event, whose jets stay together; where the rows of a file are events with
            lists of jets, it is the number of the row by default.
        trust_unit: do not question the unit.
        skip_bad: leave out and count jets with values that no jet has, instead of refusing the file.
    """

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)

    columns: dict[str, str | pydantic.FiniteFloat] = {}
    unit: Literal["GeV", "MeV"] | None = None
    tree: str | None = None
    event: str | None = None
    trust_unit: bool = False
    skip_bad: bool = False

    @pydantic.field_validator("columns")
    @classmethod
    def _known(cls, columns: dict[str, str | float]) -> dict[str, str | float]:
        unknown = next((name for name in columns if name not in CANONICAL), None)
        if unknown is not None:
            near = difflib.get_close_matches(
                unknown.lower(), {name.lower(): name for name in CANONICAL}, n=1, cutoff=0.5
            )
            names = [name for name in CANONICAL if name.lower() in near] or ["pt", "eta", "phi", "m", "E"]
            raise ValueError(f"{unknown} is no variable of a jet (did you mean {', '.join(names)}?)")
        return columns

    @classmethod
    def from_pairs(cls, pairs: Mapping[str, Any]) -> JetFileSettings:
        """Settings from `--set key=value`: unit, tree, event, trust_unit and skip_bad; any other key is a variable.

        Raises:
            InputError: an unknown variable, or a value that cannot be.
        """
        own = {name: value for name, value in pairs.items() if name in cls.model_fields and name != "columns"}
        columns = {name: value for name, value in pairs.items() if name not in own}
        keys = f"{', '.join(name for name in cls.model_fields if name != 'columns')} or a variable such as pt"
        return cls._checked({**own, "columns": columns}, "--set KEY=VALUE", f"KEY is {keys}")

    @classmethod
    def of(cls, path: Path) -> JetFileSettings:
        """Settings of a JSON file.

        Raises:
            InputError: no JSON, an unknown key or variable, or a value that cannot be.
        """
        may = f"it may set {', '.join(cls.model_fields)}"
        return cls._checked(read_json(path, what="reading settings"), str(path), may)

    @classmethod
    def _checked(cls, settings: dict[str, Any], source: str, may: str) -> JetFileSettings:
        try:
            return cls(**settings)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"][:2]) or "settings"
            said = first["msg"].removeprefix("Value error, ")
            raise InputError(f"{source}: {place}: {said}; {may}") from error


DEFAULTS = JetFileSettings()


def iter_jets(
    path: str | Path,
    want: Sequence[str],
    settings: JetFileSettings = DEFAULTS,
    *,
    keep: Sequence[str] = (),
    counts: JetCounts | None = None,
) -> Iterator[tuple[Jets, pd.DataFrame]]:
    """Yield the jets of a file in chunks, and other columns of it as they are.

    Args:
        path: parquet, HDF5, CSV (.csv, .csv.gz) or ROOT.
        want: variables, canonical names; energies in GeV. E and m are computed from each other where the file has one.
        settings: which column is which, the unit, and whether bad jets are left out.
        keep: columns of the file to give beside the jets; those of an event are repeated for each of its jets.
        counts: jets that were left out or are odd are added to them.

    Yields:
        Jets with the columns `want`, with `events` where the file or `settings.event` tells them, and a DataFrame of the
        columns `keep` with one row a jet; its index is the number of the jet in the file, from 0. m is 0 where it is below
        that by no more than rounding. E may be below the momentum where no mass is computed from it, and in files that
        `particle_zoo.decompress` wrote: there such a mass is 0.

    Raises:
        InputError: no such file, damaged, empty, columns that are missing, no numbers, values that no jet has (NaN,
            pt <= 0, m < 0, E below the momentum where the mass is computed or of most jets), or a median pt below 0.5 GeV
            or above 5 TeV in the unit.
    """
    path, counts = Path(path), JetCounts() if counts is None else counts
    with open_table(path, settings.tree) as table:
        sources = find_columns(table, want, settings.columns)
        if settings.event is not None:
            check_column(table, settings.event, "event")
        for name in keep:
            check_column(table, name, "the output")
        given = [source for source in sources.values() if isinstance(source, str)]
        if not given:
            raise InputError(f"{path}: every variable is a number in the settings; name the column of one at least")
        unit = _unit(table, settings)
        columns = list(dict.fromkeys([*given, *([settings.event] if settings.event else []), *keep]))
        kinds: pd.Series | None = None
        before, start = counts.skipped, 0
        for block in table.blocks(columns, ROWS):
            if block.frame.empty:
                continue
            jets, rows = jets_of(
                path,
                block,
                sources,
                want,
                unit=unit,
                event=settings.event,
                decoded=table.decoded,
                skip_bad=settings.skip_bad,
                counts=counts,
            )
            kept = block.frame[list(keep)].iloc[rows].set_axis(start + rows)
            start += len(block.frame)
            if not len(jets):
                continue
            kept = _like(path, block, kept, kinds)
            if kinds is None:
                kinds = kept.dtypes
                if not settings.trust_unit:
                    check_scale(path, jets, unit)
            yield jets, kept
        if kinds is None and counts.skipped > before:
            raise InputError(
                f"{path} has only jets that had to be left out, {start:,} of them; the first: {counts.reason}"
            )
        if kinds is None:
            raise InputError(f"{path} holds no jets; give a file with one at least")


def find(folder: str | Path) -> list[Path]:
    """The files of jets in a folder, in the order of their names.

    Raises:
        InputError: no folder, or none in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; name the folder with your files of jets")
    found = sorted(path for path in folder.iterdir() if path.is_file() and _named(path))
    if not found:
        raise InputError(f"{folder} holds no file of jets; expected one of {', '.join(SUFFIXES)}")
    return found


def settings_of(folder: str | Path) -> JetFileSettings:
    """How to read the files of a folder: its `jets.json` where there is one, else the defaults.

    Raises:
        InputError: the file holds something else.
    """
    path = Path(folder) / SETTINGS_FILE
    return JetFileSettings.of(path) if path.exists() else DEFAULTS


def _named(path: Path) -> bool:
    # ATLAS numbers its files behind the ending: DAOD.1234._000001.pool.root.1.
    name = re.sub(r"\.root\.\d+$", ".root", path.name.lower())
    return name.endswith(SUFFIXES) and not name.startswith(".")


def _unit(table: JetTable, settings: JetFileSettings) -> str:
    if table.unit is None:
        return settings.unit or "GeV"
    if table.unit not in ("GeV", "MeV"):
        raise InputError(f"{table.path} states its energies in {table.unit!r}; expected GeV or MeV")
    if settings.unit not in (None, table.unit):
        raise InputError(f"{table.path} states its energies in {table.unit}; leave out unit={settings.unit}")
    return table.unit


def _like(path: Path, block: Block, kept: pd.DataFrame, kinds: pd.Series | None) -> pd.DataFrame:
    """The types of the first chunk: those of a CSV file are guessed anew in each."""
    if kinds is None:
        return kept
    for name, kind in kinds.items():
        found = kept[name].dtype
        if found.kind == kind.kind:
            continue
        if kind.kind == "O":
            kept = kept.assign(**{str(name): kept[name].astype(str)})
        elif kind.kind == "f" and found.kind in "iu":
            kept = kept.assign(**{str(name): kept[name].astype(kind)})
        else:
            raise InputError(
                f"{path}: {name} is {found} from {block.place(0)} on, before it is {kind}; write it alike in all rows"
            )
    return kept
