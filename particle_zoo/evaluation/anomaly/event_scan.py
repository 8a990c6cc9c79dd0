"""The light of every event that is kept, at all thresholds in one pass."""

from __future__ import annotations

import numpy as np
import pandas as pd

from particle_zoo.errors import InputError
from particle_zoo.evaluation.anomaly.events import owners
from particle_zoo.evaluation.anomaly.scan import BITS, first_bin
from particle_zoo.evaluation.anomaly.score_bins import bin_of


class EventScan:
    """What `ThresholdScan` is for frames, for single events: a histogram of each one's light over `Finder.reach`.

    Widening gives whole patches of pixels one reach, so an event takes some hundred numbers.
    """

    def __init__(self) -> None:
        self._events: list[pd.DataFrame] = []
        self._bins: list[np.ndarray] = []
        self._light: list[np.ndarray] = []
        self._owner: list[np.ndarray] = []
        self._count = 0

    def add(self, reach: np.ndarray, signal: np.ndarray, instance: np.ndarray, events: pd.DataFrame) -> None:
        """Add a frame.

        Args:
            reach: (rows, cols) of `Finder.reach`.
            signal: see `events.event_light`.
            instance: see there.
            events: see there.

        Raises:
            InputError: see there.
        """
        pixel, owner = owners(events, signal, instance, reach)
        cell = owner.astype(np.int64) << BITS | bin_of(reach.ravel()[pixel], BITS)
        cell, place = np.unique(cell, return_inverse=True)
        light = np.bincount(place, signal.ravel()[pixel], len(cell))
        self._bins.append(cell & (1 << BITS) - 1)
        self._owner.append((cell >> BITS) + self._count)
        self._light.append(light)
        total = np.bincount(owner, signal.ravel()[pixel], len(events))
        self._events.append(events.assign(position=len(self._events), light=total))
        self._count += len(events)

    def events(self) -> pd.DataFrame:
        """One row an event: its columns, `position` of the frame, `light`.

        Raises:
            InputError: no frame.
        """
        if not self._events:
            raise InputError("there are no events; add frames with them first")
        return pd.concat(self._events, ignore_index=True)

    def kept(self, threshold: float) -> np.ndarray:
        """(n,) counts of each event's light that are in regions; thresholds are those of `ThresholdScan`.

        Raises:
            InputError: no frame, or a threshold that is NaN.
        """
        if not self._events:
            raise InputError("there are no events; add frames with them first")
        inside = np.concatenate(self._bins) >= first_bin(threshold)
        return np.bincount(np.concatenate(self._owner), np.concatenate(self._light) * inside, self._count)
