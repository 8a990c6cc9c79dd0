"""Jets from the columns of a file, checked: finite, in GeV, possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from particle_zoo.data.jet_columns import Source
from particle_zoo.data.jet_tables.table import Block
from particle_zoo.errors import InputError
from particle_zoo.jets import ANGLES, ENERGIES, ROUNDING, Jets

LOWEST_MEDIAN_PT, HIGHEST_MEDIAN_PT = 0.5, 5000.0
"""GeV. Beyond them no experiment has its jets: the unit is another one."""


def jets_of(
    path: Path, block: Block, sources: Mapping[str, Source], want: Sequence[str], *, unit: str, event: str | None
) -> Jets:
    """The jets of a block.

    Args:
        path: the file, for errors.
        block: rows of it.
        sources: column or constant of each variable.
        want: variables of the jets, of `sources` or computed from them.
        unit: GeV or MeV, of the energies in the file.
        event: column of the event.

    Raises:
        InputError: no numbers, not finite, or values that no jet has.
    """
    single = next((source for source in sources.values() if source in block.repeated), None)
    if single is not None:
        raise InputError(
            f"{path}: {single} has one value an event, other columns a list of jets; name columns of the same jets"
        )
    values = np.empty((len(block.frame), len(sources)))
    for i, (variable, source) in enumerate(sources.items()):
        values[:, i] = _numbers(path, block, source) if isinstance(source, str) else source
        if unit == "MeV" and variable in ENERGIES:
            values[:, i] /= 1000
    jets = Jets(values, tuple(sources), block.entries if event is None else _events(path, block, event))
    _check(path, block, jets)
    with np.errstate(over="ignore", invalid="ignore"):
        chosen = jets.select(want)
    bad = ~np.isfinite(chosen.values).all(axis=1)
    _refuse(path, block, bad, "E or m", "is not finite; check which column is which")
    return chosen


def check_scale(path: Path, jets: Jets, unit: str) -> None:
    """Check the unit by the median transverse momentum.

    Raises:
        InputError: a median that no experiment has.
    """
    if "pt" not in jets.columns:
        return
    median = float(np.median(jets.column("pt")))
    if LOWEST_MEDIAN_PT <= median <= HIGHEST_MEDIAN_PT:
        return
    other, factor = ("MeV", 1e-3) if unit == "GeV" else ("GeV", 1e3)
    fits = LOWEST_MEDIAN_PT <= median * factor <= HIGHEST_MEDIAN_PT
    advice = f"give unit={other} (--set unit={other})" if fits else "write the file in GeV or MeV"
    raise InputError(
        f"{path}: read as {unit}, the median pt is {median:,.4g} GeV; {advice}, or trust_unit=true if it is right"
    )


def _refuse(path: Path, block: Block, bad: np.ndarray, name: str, said: str, *values: np.ndarray) -> None:
    if bad.any():
        i = int(bad.argmax())
        raise InputError(f"{path}, {block.place(i)}: {name} {said.format(*(value[i] for value in values))}")


def _numbers(path: Path, block: Block, column: str) -> np.ndarray:
    series = block.frame[column]
    if series.dtype.kind not in "iuf":
        odd = pd.to_numeric(series.astype(object), errors="coerce").isna().to_numpy()
        i = int(odd.argmax())
        raise InputError(
            f"{path}, {block.place(i)}: {column} is {str(series.iloc[i])[:40]!r} ({series.dtype}); expected a number"
        )
    values = series.to_numpy(np.float64, na_value=np.nan)
    _refuse(path, block, ~np.isfinite(values), column, "is {}; remove such jets or repair the file", values)
    return values


def _events(path: Path, block: Block, column: str) -> np.ndarray:
    series = block.frame[column]
    if series.dtype.kind in "iu" and series.notna().all() and series.max() <= np.iinfo(np.int64).max:
        return series.to_numpy(np.int64)
    values = _numbers(path, block, column)
    # Above 2^53 floats leave out whole numbers: two events would be one.
    bad = (values != np.round(values)) | (np.abs(values) > 2**53)
    _refuse(path, block, bad, column, "is {}; expected the number of an event, whole and below 2^63", series.to_numpy())
    return values.astype(np.int64)


def _check(path: Path, block: Block, jets: Jets) -> None:
    values = dict(zip(jets.columns, jets.values.T, strict=True))
    if "pt" in values:
        pt = values["pt"]
        _refuse(path, block, pt <= 0, "pt", "is {:g} GeV, expected more than 0; remove such jets", pt)
    if "m" in values:
        m = values["m"]
        _refuse(path, block, m < 0, "m", "is {:g} GeV, expected 0 or more; remove such jets", m)
    for name in sorted(ANGLES & set(values)):
        # Nothing else tells degrees.
        beyond = np.abs(values[name]) > 2 * np.pi * (1 + ROUNDING)
        _refuse(path, block, beyond, name, "is {:g}; expected an angle in rad", values[name])
    if {"pt", "eta", "E"} <= set(values):
        e = values["E"]
        with np.errstate(over="ignore"):
            momentum = values["pt"] * np.cosh(values["eta"])
        said = "is {:g} GeV, below the momentum of {:g} GeV; check which column is which"
        _refuse(path, block, e < momentum * (1 - ROUNDING), "E", said, e, momentum)
