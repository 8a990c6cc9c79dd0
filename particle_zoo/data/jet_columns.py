"""Which column of a file is which variable of a jet."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from particle_zoo.cli import sentence
from particle_zoo.data.jet_tables.table import JetTable, shortened
from particle_zoo.errors import InputError
from particle_zoo.jets import AOD_27

CANONICAL = (*AOD_27, "E")
"""All variables of a jet that a file may give."""

ALIASES = {name.lower(): name for name in CANONICAL} | {"mass": "m", "energy": "E"}
"""What files call them, in lower case."""

NAME = re.compile(rf"(|.*?[_./:])({'|'.join(ALIASES)})", re.IGNORECASE)
"""A prefix that other variables share, and a variable. The prefix is as short as may be: ActiveArea4vec_pt is no pt."""

DERIVED = {"E": ("m", "pt", "eta"), "m": ("E", "pt", "eta")}
"""What energy and mass are computed from where a file lacks them."""

Source = str | float
"""A column, or the constant that stands for a variable."""

Names = tuple[str, ...]


def find_columns(table: JetTable, want: Sequence[str], given: Mapping[str, Source]) -> dict[str, Source]:
    """Sources of some variables: those given, else columns by name, all with the same prefix.

    Args:
        table: the file.
        want: variables.
        given: column or constant of some variables.

    Returns:
        Where to read each of `want`; in the place of energy or mass what it is computed from, where the file lacks it.

    Raises:
        InputError: a variable that is missing, or of which there are several.
    """
    for variable, source in given.items():
        if isinstance(source, str):
            check_column(table, source, variable)
    if None not in (read := _to_read(want, given, {})):
        return _sources(table, read, given, {})
    groups: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for column in table.columns:
        # uproot writes the length of every list beside it, nJet_pt of Jet_pt.
        counts = column.startswith("n") and column[1:] in table.columns
        if not counts and (match := NAME.fullmatch(column)):
            groups[match[1]][ALIASES[match[2].lower()]].append(column)
    # What is given says which jets are meant: the rest must not come from others. Names without a prefix are the plainest.
    named = [match[1] for source in given.values() if isinstance(source, str) and (match := NAME.fullmatch(source))]
    ways = {prefix: _to_read(want, given, groups[prefix]) for prefix in ([*named, ""] if named else ["", *groups])}
    whole = [prefix for prefix, read in ways.items() if None not in read]
    if not whole:
        nearest = min(ways, key=lambda prefix: ways[prefix].count(None))
        raise _missing(table, want[ways[nearest].index(None)])
    chosen = whole[0]
    if chosen and sum(map(bool, whole)) > 1:
        name = next(name for names in ways[chosen] for name in names or () if name not in given)
        some = [groups[prefix][name][0] for prefix in whole if groups[prefix][name]]
        raise InputError(
            f"{table.path} has several kinds of jets ({shortened(some)}); say which is meant, e.g. {name}={some[0]} "
            f"(--set, or columns in jets.json)"
        )
    return _sources(table, ways[chosen], given, groups[chosen])


def check_column(table: JetTable, column: str, use: str) -> None:
    """Check that a file has a column.

    Raises:
        InputError: it has none of this name.
    """
    times = table.columns.count(column)
    if times > 1:
        raise InputError(f"{table.path} has {times} columns {column!r}; rename all but one")
    if times:
        return
    if reason := table.explain(column):
        raise InputError(f"{table.path}: {sentence(reason)}")
    raise InputError(
        f"{table.path} has no column {column!r} for {use}{_close(table, column)}; it has {shortened(table.columns)}"
    )


def _to_read(want: Sequence[str], given: Mapping[str, Source], group: Mapping[str, object]) -> list[Names | None]:
    def names_of(variable: str) -> Names | None:
        options = ((variable,), *((DERIVED[variable],) if variable in DERIVED else ()))
        # What is given comes first: E from a given m is of the same jets, an E found by its name may be of others.
        for known in (set(given), {*given, *(name for name, columns in group.items() if columns)}):
            for option in options:
                if known.issuperset(option):
                    return option
        return None

    return [names_of(variable) for variable in want]


def _sources(
    table: JetTable, read: list[Names | None], given: Mapping[str, Source], group: Mapping[str, list[str]]
) -> dict[str, Source]:
    names = dict.fromkeys(name for names in read for name in names or ())
    return {name: given[name] if name in given else _only(table, name, group[name]) for name in names}


def _only(table: JetTable, variable: str, columns: list[str]) -> str:
    exact = [column for column in columns if column.endswith(variable)]
    chosen = exact if exact else columns
    if len(chosen) > 1:
        raise InputError(
            f"{table.path} has {shortened(chosen)} for {variable}; say which is meant with {variable}=COLUMN (--set, or "
            f"columns in jets.json)"
        )
    return chosen[0]


def _missing(table: JetTable, variable: str) -> InputError:
    return InputError(
        f"{table.path} has no column for {variable}{_close(table, variable)}; give {variable}=COLUMN, or "
        f"{variable}=NUMBER that stands for it (--set, or columns in jets.json), of {shortened(table.columns)}"
    )


def _close(table: JetTable, name: str) -> str:
    # The end of a name says more than a long prefix that all share.
    wholes = {column.lower(): column for column in reversed(table.columns)}
    ends = {_end(column): column for column in reversed(table.columns)}
    tried = ((name.lower(), wholes), (name.lower(), ends), (_end(name), ends))
    near = [names[match] for word, names in tried for match in difflib.get_close_matches(word, names, n=2)]
    return f" (did you mean {sentence(' or '.join(list(dict.fromkeys(near))[:3]))}?)" if near else ""


def _end(column: str) -> str:
    return re.split(r"[./_:]", re.sub(r":\d+$", "", column))[-1].lower()
