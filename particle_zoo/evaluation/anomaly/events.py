"""Which events are found: those with half of their light in regions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from particle_zoo.errors import InputError
from particle_zoo.evaluation.anomaly.bootstrap import Interval, Statistic, interval, intervals, ratio

SHARE = 0.5
"""Of an event's light, in regions, from which on it is found."""


def event_light(
    events: pd.DataFrame, signal: np.ndarray, instance: np.ndarray, region: np.ndarray, *, position: int = 0
) -> pd.DataFrame:
    """How much of each event's light is in regions.

    Args:
        events: one row an event, `id` from 1 on and whatever else is known, such as `SimulatedFrame.events`.
        signal: (rows, cols) true light, counts of 0 or more.
        instance: (rows, cols) id of the event a pixel belongs to, 0 for none.
        region: (rows, cols) bool, pixels that are kept.
        position: index of the frame; what is resampled.

    Returns:
        The events with `position`, `light` and `kept` (counts), and `found` (bool), which says that at least half of the light is
        kept. An event of which the shutter left nothing has no light, is not found, and does not count.

    Raises:
        InputError: different shapes, or a pixel of an event that is not listed.
    """
    pixel, owner = owners(events, signal, instance, region)
    light = np.bincount(owner, signal.ravel()[pixel], len(events))
    kept = np.bincount(owner, np.where(region.ravel()[pixel], signal.ravel()[pixel], 0), len(events))
    return events.assign(position=position, light=light, kept=kept, found=(light > 0) & (kept >= SHARE * light))


def owners(
    events: pd.DataFrame, signal: np.ndarray, instance: np.ndarray, region: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the pixels that belong to events, and the row of each one's event.

    Raises:
        InputError: see `event_light`.
    """
    if not signal.shape == instance.shape == region.shape:
        raise InputError(
            f"signal, instances and regions must have one shape; received {signal.shape}, {instance.shape} and {region.shape}"
        )
    pixel = np.flatnonzero(instance)
    order = np.argsort(events["id"].to_numpy())
    ids = events["id"].to_numpy()[order]
    place = np.searchsorted(ids, instance.ravel()[pixel])
    known = place < len(ids)
    known[known] = ids[place[known]] == instance.ravel()[pixel][known]
    if not known.all():
        raise InputError(
            f"a pixel belongs to event {instance.ravel()[pixel][~known][0]}, which is not among the {len(ids)} events"
        )
    return pixel, order[place]


def visible(events: pd.DataFrame, *, whole: bool = False) -> pd.DataFrame:
    """Events that leave light.

    Args:
        events: rows of `event_light`.
        whole: leave out events of which the shutter took a part, too (column `cut`).
    """
    seen = events["light"] > 0
    return events[seen & ~events["cut"].astype(bool)] if whole else events[seen]


def efficiency(
    events: pd.DataFrame, by: Sequence[str] = ("energy_kev",), *, n_frames: int, resamples: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Share of events that are found, by what is known of them, with intervals over frames.

    Args:
        events: rows of `event_light`, of any number of frames; those without light do not count.
        by: columns to group by, such as `energy_kev`, `z_mm` and `class`; equal values are one group, so cut what is
            continuous, as the energy of a mip, with `pandas.cut` first. Unknown values are left out. No column gives one row
            for all events.
        n_frames: number of frames, also of those without events.
        resamples: how many.
        seed: of the resamples.

    Returns:
        One row a group: the columns of `by`, `events`, `efficiency`, `low`, `high`.

    Raises:
        InputError: a column that is missing, or a position beyond the frames.
    """
    seen = visible(events)
    missing = [name for name in by if name not in seen]
    if missing:
        raise InputError(f"events have no column {missing[0]!r}; there are {', '.join(map(str, seen.columns))}")
    seen = seen.dropna(subset=list(by))
    group = seen.groupby(list(by), observed=True).ngroup().to_numpy() if by else np.zeros(len(seen), np.int64)
    count = int(group.max()) + 1 if len(group) else 0
    found, total = _by_frame(seen, group, count, n_frames)
    table = seen.iloc[np.unique(group, return_index=True)[1]][list(by)].reset_index(drop=True)
    table["events"] = total.sum(0).astype(np.int64)
    each = intervals(ratio(found, total), n_frames, resamples=resamples, seed=seed) if count else []
    for name, field in (("efficiency", "value"), ("low", "low"), ("high", "high")):
        table[name] = [getattr(one, field) for one in each]
    return table


def half_efficiency(
    events: pd.DataFrame, column: str = "energy_kev", *, n_frames: int, resamples: int = 1000, seed: int = 0
) -> Interval:
    """E50, the energy at which half of the events are found.

    Of the events that leave light, whose energies are a few values; choose their class first. By interpolation, see
    `crossing`: with two or three energies between nothing and everything a logistic curve has no more to go on, and none at
    all in resamples where one energy is always missed and the next always found.

    Args:
        events: rows of `event_light`.
        column: of the energies, keV.
        n_frames: number of frames.
        resamples: how many.
        seed: of the resamples.

    Returns:
        keV; 0 where half or more are found at the lowest energy, infinity where they are at none.

    Raises:
        InputError: no event, or energies that are not above 0.
    """
    seen = visible(events)
    energies, group = np.unique(seen[column].to_numpy(float), return_inverse=True)
    if not len(energies) or energies[0] <= 0:
        raise InputError(
            f"E50 takes events with energies above 0; received {len(energies)} energies of {len(seen)} events"
        )
    found, total = _by_frame(seen, group, len(energies), n_frames)

    def statistic(weights: np.ndarray) -> np.ndarray:
        return np.array([crossing(energies, f, t) for f, t in zip(weights @ found, weights @ total, strict=True)])

    typed: Statistic = statistic
    return interval(typed, n_frames, resamples=resamples, seed=seed)


def crossing(energies: np.ndarray, found: np.ndarray, total: np.ndarray, share: float = 0.5) -> float:
    """Energy at which an efficiency reaches a share.

    The efficiencies are made to rise (isotonic regression, weighted by events) and interpolated linearly in the logarithm of
    the energy.

    Args:
        energies: (k,) ascending, above 0.
        found: (k,) events that are found.
        total: (k,) events; energies without any are left out.
        share: of the events.

    Returns:
        In units of the energies; 0 where the share is reached at the lowest one, infinity where at none, NaN without events.
    """
    some = total > 0
    if not some.any():
        return float("nan")
    rising = isotonic_regression(found[some] / total[some], weights=total[some]).x
    log = np.log(energies[some])
    first = int(np.searchsorted(rising >= share, True))
    if first == 0:
        return 0.0
    if first == len(rising):
        return float("inf")
    low, high = rising[first - 1], rising[first]
    return float(np.exp(log[first - 1] + (share - low) / (high - low) * (log[first] - log[first - 1])))


def _by_frame(seen: pd.DataFrame, group: np.ndarray, count: int, n_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """(n_frames, count) found and all events."""
    position = seen["position"].to_numpy(np.int64)
    if len(position) and not 0 <= position.min() <= position.max() < n_frames:
        raise InputError(f"events are of frames {position.min()}..{position.max()}; expected 0..{n_frames - 1}")
    cell = position * count + group
    total = np.bincount(cell, minlength=n_frames * count).reshape(n_frames, count)
    found = np.bincount(cell, seen["found"].to_numpy(float), n_frames * count).reshape(n_frames, count)
    return found, total.astype(np.float64)
