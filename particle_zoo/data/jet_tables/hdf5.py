"""Tables in HDF5: data sets of one dimension, fields of compound ones, and columns of those with two dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.data.jet_tables.table import ORIGIN, UNIT, Block, JetTable, damaged, shortened
from particle_zoo.errors import InputError

WIDEST = 4096
"""Columns of a data set of two dimensions: wider ones are images or damaged."""

Place = tuple[str, str | None, int | None]
"""Data set, field of a compound one, column of two dimensions."""


@contextmanager
def opened(path: Path) -> Iterator[JetTable]:
    """The table of a file, closed at the end of the block. Its columns are named GROUP/SET, SET/FIELD and SET:NUMBER.

    Raises:
        InputError: a damaged file, also when its blocks are read.
    """
    import h5py

    with damaged(path, "HDF5"):
        file = h5py.File(path, "r")
    with file:
        sets: dict[str, Any] = {}
        with damaged(path, "HDF5"):
            file.visititems(
                lambda name, item: sets.update({_text(name): item} if isinstance(item, h5py.Dataset) else {})
            )
            places = {column: place for name, found in sets.items() for column, place in _columns(name, found)}
            unit = file.attrs.get(UNIT)
            decoded = ORIGIN in file.attrs
        yield JetTable(
            path,
            tuple(places),
            partial(_blocks, path, sets, places),
            None if unit is None else str(unit),
            partial(_explain, path, file, sets),
            decoded,
        )


def _text(name: str | bytes) -> str:
    """h5py gives the bytes of a name that is no UTF-8."""
    return name if isinstance(name, str) else name.decode("utf-8", "backslashreplace")


def _columns(name: str, found: Any) -> Iterator[tuple[str, Place]]:
    fields = found.dtype.fields
    kinds = {None: found.dtype} if fields is None else {field: dtype for field, (dtype, *_) in fields.items()}
    for field, dtype in kinds.items():
        shape = (*(found.shape or ()), *dtype.shape)
        column = name if field is None else f"{name}/{field}"
        if len(shape) == 1 and found.shape:
            yield column, (name, field, None)
        elif len(shape) == 2 and found.shape and shape[1] <= WIDEST:
            yield from ((f"{column}:{i}", (name, field, i)) for i in range(shape[1]))


def _blocks(
    path: Path, sets: dict[str, Any], places: dict[str, Place], columns: Sequence[str], rows: int
) -> Iterator[Block]:
    lengths = {name: sets[places[name][0]].shape[0] for name in columns}
    (name, length), *others = lengths.items()
    for other, own in others:
        if own != length:
            raise InputError(f"{path}: {name} has {length} rows, {other} has {own}; name columns of the same jets")
    with damaged(path, "HDF5"):
        for first in range(0, length, rows):
            chosen = slice(first, min(first + rows, length))
            yield Block(pd.DataFrame({name: _values(sets, places[name], chosen) for name in columns}), first)


def _values(sets: dict[str, Any], place: Place, rows: slice) -> np.ndarray:
    import h5py

    name, field, column = place
    found = sets[name]
    if field is not None:
        values = found.fields(field)[rows]
        values = values if column is None else values[:, column]
    else:
        text = h5py.check_string_dtype(found.dtype) is not None
        view = found.asstr() if text else found
        values = view[rows] if column is None else view[rows, column]
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8")
    # pandas takes numbers in the order of bytes of the machine only.
    return np.asarray(values, values.dtype.newbyteorder("="))


def _explain(path: Path, file: Any, sets: dict[str, Any], column: str) -> str | None:
    import h5py

    name, _, number = column.rpartition(":")
    found = sets.get(column)
    if found is None and name in sets and len(sets[name].shape or ()) == 2:
        return f"{name} has {sets[name].shape[1]} columns, numbered from 0; received {number!r}"
    if found is not None and found.dtype.fields is not None:
        return f"{column} has fields; name one, e.g. {column}/{next(iter(found.dtype.fields))}"
    if found is not None and len(found.shape or ()) == 2:
        return f"{column} has {found.shape[1]} columns; name one, e.g. {column}:0"
    if found is not None:
        return f"{column} has the shape {found.shape}; expected one value, or one row of values, a jet"
    with damaged(path, "HDF5"):
        if isinstance(file.get(column), h5py.Group):
            return f"{column} is a group; name a data set in it: {shortened(list(map(_text, file[column])))}"
    return None
