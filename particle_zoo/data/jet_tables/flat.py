"""One row a jet from columns that have one value, or one list of values, an event."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.data.jet_tables.table import Block
from particle_zoo.errors import InputError


def flattened(path: Path, columns: dict[str, Any], first: int) -> Block:
    """One row a jet: lists one after the other, values of an event repeated for each of its jets.

    Args:
        path: the file, for the error.
        columns: values, or, of lists, their lengths and all their values.
        first: number of the first row in the file.

    Raises:
        InputError: lists of different lengths in one event.
    """
    lists = {name: values for name, values in columns.items() if isinstance(values, tuple)}
    if not lists:
        return Block(pd.DataFrame(columns), first)
    (name, (counts, _)), *others = lists.items()
    for other, (own, _) in others:
        if (own != counts).any():
            i = int((own != counts).argmax())
            raise InputError(
                f"{path}, entry {first + i}: {name} has {counts[i]} jets, {other} has {own[i]}; name columns of one kind "
                f"of jets"
            )
    rows = np.repeat(np.arange(len(counts)), counts)
    frame = pd.DataFrame(
        {
            name: values[1] if isinstance(values, tuple) else pd.Series(values).iloc[rows].reset_index(drop=True)
            for name, values in columns.items()
        }
    )
    return Block(frame, first, first + rows, tuple(name for name in columns if name not in lists))
