"""Jets from the columns of a file, checked: finite, in GeV, possible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from particle_zoo.data.jet_columns import Source
from particle_zoo.data.jet_tables.table import Block
from particle_zoo.errors import InputError
from particle_zoo.jets import ANGLES, ENERGIES, ROUNDING, Jets, below_momentum, mass

LOWEST_MEDIAN_PT, HIGHEST_MEDIAN_PT = 0.5, 5000.0
"""GeV. Beyond them no experiment has its jets: the unit is another one."""

MOMENTUM = ("pt", "eta", "E")
"""What a mass is computed from."""

MOST_BELOW = 0.5
"""Largest share of jets in the first chunk whose E may be below the momentum."""


@dataclass
class JetCounts:
    """What was odd about the jets that were read.

    Args:
        jets: that were given.
        skipped: that no jet can be, and that were left out.
        reason: why the first of these was.
        below: given jets whose E is below the momentum.
        massless: of these, those whose mass was to be computed, and is 0.
    """

    jets: int = 0
    skipped: int = 0
    reason: str = ""
    below: int = 0
    massless: int = 0

    def lines(self) -> list[str]:
        """What to tell the user; nothing where nothing was odd."""
        found = []
        if self.skipped:
            found.append(f"left out: {self.skipped:,} of {self.jets + self.skipped:,} jets, the first: {self.reason}")
        if self.below:
            zero = f"; the mass of {self.massless:,} is taken as 0" if self.massless else ""
            found.append(f"{self.below:,} of {self.jets:,} jets have E below the momentum{zero}")
        return found


def jets_of(
    path: Path,
    block: Block,
    sources: Mapping[str, Source],
    want: Sequence[str],
    *,
    unit: str,
    event: str | None,
    decoded: bool,
    skip_bad: bool,
    counts: JetCounts,
) -> tuple[Jets, np.ndarray]:
    """The jets of a block, and which of its n rows they are.

    Args:
        path: the file, for errors.
        block: rows of it.
        sources: column or constant of each variable.
        want: variables of the jets, of `sources` or computed from them.
        unit: GeV or MeV, of the energies in the file.
        event: column of the event.
        decoded: an autoencoder made the jets: where E is below the momentum, a mass that is computed from it is 0.
        skip_bad: leave out what would be refused for its values.
        counts: what is counted is added to them.

    Returns:
        The jets, and the (m,) int64 positions of their rows.

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
    columns = {name: values[:, i] for i, name in enumerate(sources)}
    given = [columns[name] for name in MOMENTUM if name in columns]
    below = below_momentum(*given) if len(given) == len(MOMENTUM) else np.zeros(len(values), bool)
    # Only a mass needs an E above the momentum. Where most jets of a file have none, E is something else.
    derived = "m" in want and "m" not in sources
    sound = not decoded and (derived or (block.first == 0 and np.mean(below) > MOST_BELOW))
    good = np.ones(len(values), bool)
    for bad, name, said, advice, shown in _problems(columns, sources, sound=sound):
        if not (bad & good).any():
            continue
        i = int((bad & good).argmax())
        found = f"{path}, {block.place(i)}: {name} {said.format(*(value[i] for value in shown))}"
        if not skip_bad:
            raise InputError(f"{found}; {advice}")
        counts.reason = counts.reason or found
        good &= ~bad
    rows = np.flatnonzero(good)
    counts.skipped += len(values) - len(rows)
    counts.jets += len(rows)
    events = block.entries if event is None else _events(path, block, event)
    jets = Jets(values, tuple(sources), events)[rows]
    if "m" in sources:
        np.maximum(jets.column("m"), 0.0, out=jets.column("m"))
    counts.below += int(below[rows].sum())
    if derived:
        counts.massless += int(below[rows].sum())
        masses = mass(*(jets.column(name) for name in MOMENTUM), lenient=True)
        jets = Jets(np.column_stack([jets.values, masses]), (*jets.columns, "m"), jets.events)
    return jets.select(want), rows


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


def _numbers(path: Path, block: Block, column: str) -> np.ndarray:
    series = block.frame[column]
    if series.dtype.kind not in "iuf":
        odd = pd.to_numeric(series.astype(object), errors="coerce").isna().to_numpy()
        i = int(odd.argmax())
        raise InputError(
            f"{path}, {block.place(i)}: {column} is {str(series.iloc[i])[:40]!r} ({series.dtype}); expected a number"
        )
    return series.to_numpy(np.float64, na_value=np.nan)


def _events(path: Path, block: Block, column: str) -> np.ndarray:
    series = block.frame[column]
    if series.dtype.kind in "iu" and series.notna().all() and series.max() <= np.iinfo(np.int64).max:
        return series.to_numpy(np.int64)
    values = _numbers(path, block, column)
    # Above 2^53 floats leave out whole numbers: two events would be one.
    bad = ~np.isfinite(values) | (values != np.round(values)) | (np.abs(values) > 2**53)
    if bad.any():
        i = int(bad.argmax())
        raise InputError(
            f"{path}, {block.place(i)}: {column} is {series.iloc[i]}; expected the number of an event, whole and below 2^63"
        )
    return values.astype(np.int64)


REMOVE, WHICH = "remove such jets (skip_bad=true)", "check which column is which"

Problem = tuple[np.ndarray, str, str, str, tuple[np.ndarray, ...]]
"""Mask of the jets that have it, what of them, what is said of one (a format of the arrays), and what to do."""


def _problems(values: Mapping[str, np.ndarray], sources: Mapping[str, Source], *, sound: bool) -> Iterator[Problem]:
    """What no jet has; `sound` where E must not be below the momentum."""
    for name, found in values.items():
        yield ~np.isfinite(found), str(sources[name]), "is {}", f"{REMOVE} or repair the file", (found,)
    pt, m, e = (values.get(name) for name in ("pt", "m", "E"))
    with np.errstate(over="ignore", invalid="ignore"):
        momentum = None if pt is None else pt * np.cosh(values["eta"]) if "eta" in values else pt
        largest = np.sum([np.square(found) for found in (momentum, m, e) if found is not None], axis=0)
    if pt is not None:
        yield pt <= 0, "pt", "is {:g} GeV, expected more than 0", REMOVE, (pt,)
    if m is not None:
        # The same rounding as that of energies, as m^2 = E^2 - p^2.
        least = 0.0 if momentum is None else -np.sqrt(2 * ROUNDING) * momentum
        yield m < least, "m", "is {:g} GeV, expected 0 or more", REMOVE, (m,)
    for name in sorted(ANGLES & set(values)):
        # Nothing else tells degrees.
        beyond = np.abs(values[name]) > 2 * np.pi * (1 + ROUNDING)
        yield beyond, name, "is {:g}", "expected an angle in rad", (values[name],)
    if momentum is not None and (m is not None or e is not None):
        yield ~np.isfinite(largest), "E or m", "is not finite", WHICH, ()
    if sound and pt is not None and momentum is not None and e is not None:
        below = below_momentum(pt, values["eta"], e)
        yield below, "E", "is {:g} GeV, below the momentum of {:g} GeV", WHICH, (e, momentum)
