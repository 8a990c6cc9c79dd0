"""Trees of ROOT files, TTree or RNTuple; where an entry has lists of jets it is an event. Reading needs uproot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.data.jet_tables.flat import flattened
from particle_zoo.data.jet_tables.table import Block, JetTable, damaged, shortened
from particle_zoo.errors import InputError

TREES = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple")


@contextmanager
def opened(path: Path, tree: str | None = None) -> Iterator[JetTable]:
    """The table of a file, closed at the end of the block.

    Args:
        path: the file.
        tree: its name; it may be left out where there is one only.

    Raises:
        InputError: no uproot, no such tree, several, or a damaged file, also when its blocks are read.
    """
    try:
        import uproot
    except ModuleNotFoundError as error:
        raise InputError(
            f"{path} is a ROOT file, which needs uproot; install it with: pip install 'particle-zoo[root]'"
        ) from error
    with damaged(path, "ROOT"):
        file = uproot.open(path, object_cache=None, array_cache=None)
    with file:
        if file.file.fEND > path.stat().st_size:
            raise InputError(
                f"{path} is a damaged ROOT file (it stops after {path.stat().st_size} of {file.file.fEND} bytes); copy it again"
            )
        with damaged(path, "ROOT"):
            found = file[_choose(path, file, tree)]
            columns = short_names(found.keys())
        yield JetTable(path, columns, partial(_blocks, path, found))


def short_names(keys: Sequence[str]) -> tuple[str, ...]:
    """Names of branches without those they are part of, where that leaves no doubt."""
    ends = [key.rsplit("/", 1)[-1] for key in keys]
    times = Counter(ends)
    return tuple(end if times[end] == 1 else key for end, key in zip(ends, keys, strict=True))


def _choose(path: Path, file: Any, tree: str | None) -> str:
    trees = [name for name, kind in file.classnames(cycle=False).items() if kind in TREES]
    if not trees:
        raise InputError(f"{path} holds no tree; it has {shortened(list(file.classnames(cycle=False)))}")
    if tree is None and len(trees) > 1:
        raise InputError(f"{path} holds the trees {shortened(trees)}; say which with tree=NAME (--set or jets.json)")
    chosen = trees[0] if tree is None else tree.split(";")[0]
    if chosen not in trees:
        raise InputError(f"{path} has no tree {tree!r}; there is {shortened(trees)}")
    return chosen


def _blocks(path: Path, tree: Any, columns: Sequence[str], rows: int) -> Iterator[Block]:
    first = 0
    with damaged(path, "ROOT"):
        for part in tree.iterate(list(columns), step_size=rows, library="ak"):
            yield flattened(path, {name: _values(path, name, _column(part, name)) for name in columns}, first)
            first += len(part)


def _column(part: Any, name: str) -> Any:
    if name in part.fields:
        return part[name]
    # uproot gives the parts of an RNTuple's record inside it.
    for field in name.split("."):
        part = part[field]
    return part


def _values(path: Path, name: str, array: Any) -> Any:
    import awkward as ak

    if array.fields or array.ndim > 2:
        raise InputError(
            f"{path}: {name} holds {array.type.content}; expected a number, or a list of numbers, an entry"
        )
    if array.ndim == 1:
        return _plain(array)
    counts = ak.to_numpy(ak.fill_none(ak.num(array, axis=1), 0)).astype(np.int64)
    return counts, _plain(ak.flatten(array, axis=1))


def _plain(array: Any) -> np.ndarray:
    import awkward as ak

    if ak.parameters(array).get("__array__") == "string":
        return np.array(ak.to_list(array), dtype=object)
    return np.asarray(ak.to_numpy(ak.fill_none(array, np.nan) if ak.any(ak.is_none(array)) else array))
