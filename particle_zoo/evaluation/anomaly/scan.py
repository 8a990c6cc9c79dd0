"""Light, area and events at all thresholds in one pass, so that methods can be compared at equal area."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from particle_zoo.errors import InputError
from particle_zoo.evaluation.anomaly.events import SHARE, owners
from particle_zoo.evaluation.anomaly.light import SUMS
from particle_zoo.evaluation.anomaly.score_bins import bin_of, lower_edge

BITS = 20
"""Of the bins of thresholds; 0.02 to 0.05 % of the threshold."""

WEIGHTS = ("pixels", "signal", "truth_pixels", "redpix", "redpix_clipped")
KEPT = ("region_pixels", "signal_kept", "truth_kept", "redpix_kept", "redpix_clipped_kept")


class ThresholdScan:
    """What is kept of frames as a function of the threshold.

    A pixel is in a region at every threshold up to its `Finder.reach`, so histograms of it, weighted by light, hold all
    masks at once; memory is some kilobytes a frame. Thresholds are edges of `score_bins`: at them every sum is exact, others
    count as the next edge. Boxes and numbers of regions are not known; those take `Finder.regions`.
    """

    def __init__(self) -> None:
        self._bins: list[np.ndarray] = []
        self._sums: list[np.ndarray] = []
        self._given: list[np.ndarray] = []
        self._events: list[pd.DataFrame] = []

    def __len__(self) -> int:
        return len(self._bins)

    def add(
        self,
        reach: np.ndarray,
        *,
        signal: np.ndarray | None = None,
        truth: np.ndarray | None = None,
        redpix: np.ndarray | None = None,
        instance: np.ndarray | None = None,
        events: pd.DataFrame | None = None,
    ) -> None:
        """Add a frame.

        Args:
            reach: (rows, cols) of `Finder.reach`.
            signal: see `light.frame_sums`.
            truth: see there.
            redpix: see there.
            instance: see `events.event_light`.
            events: see there; with signal and instance.

        Raises:
            InputError: different shapes, NaN, or events without signal and instance.
        """
        images = {"signal": signal, "truth": truth, "redpix": redpix, "instance": instance}
        for name, image in images.items():
            if image is not None and image.shape != reach.shape:
                raise InputError(f"{name} must have the shape of the reach, {reach.shape}; received {image.shape}")
        number = bin_of(reach, BITS).ravel()
        clipped = None if redpix is None else np.maximum(redpix, 0)
        given = (np.ones(()), signal, truth, redpix, clipped)
        counts = np.bincount(number, minlength=2**BITS)
        used = np.flatnonzero(counts)
        sums = np.zeros((len(WEIGHTS), len(used)))
        sums[0] = counts[used]
        for row, weight in zip(sums[1:], given[1:], strict=True):
            if weight is not None:
                row[:] = np.bincount(number, weight.ravel(), 2**BITS)[used]
        position = len(self)
        if events is not None:
            if signal is None or instance is None:
                raise InputError("events take the signal and the instances of their frame; give both")
            self._events.append(_reached(events, signal, instance, reach).assign(position=position))
        self._bins.append(used)
        self._sums.append(sums)
        self._given.append(np.array([weight is not None for weight in given]))

    def threshold(self, discarded: float) -> float:
        """The lowest threshold at which at least a share of the area is outside of regions, in all frames together.

        Args:
            discarded: share of the pixels, 0..1.

        Returns:
            A float32 number; what is discarded exceeds the share by less than a bin holds.

        Raises:
            InputError: no frame, a share that is none, or one that no threshold reaches.
        """
        if not 0 <= discarded <= 1:
            raise InputError(f"what is discarded is a share of the area, 0..1; received {discarded!r}")
        self._filled()
        bins, owner = np.unique(np.concatenate(self._bins), return_inverse=True)
        pixels = np.bincount(owner, np.concatenate([sums[0] for sums in self._sums]))
        kept = np.cumsum(pixels[::-1])[::-1]
        enough = np.flatnonzero(kept <= (1 - discarded) * pixels.sum() + 1e-9)
        edges = lower_edge(np.append(bins[enough], bins[-1] + 1), BITS)
        edges = edges[np.isfinite(edges)]
        if not len(edges):
            raise InputError(f"no threshold discards {discarded:g} of the area; ask for less")
        return float(edges[0])

    def frames(self, threshold: float) -> pd.DataFrame:
        """One row a frame, `light.SUMS` at a threshold; `box_pixels`, `regions` and `true_regions` are NaN.

        Raises:
            InputError: no frame, or a threshold that is NaN.
        """
        self._filled()
        first = first_bin(threshold)
        table = pd.DataFrame(np.nan, index=range(len(self)), columns=list(SUMS))
        table["frames"] = 1.0
        for i, (bins, sums, given) in enumerate(zip(self._bins, self._sums, self._given, strict=True)):
            inside = sums[:, np.searchsorted(bins, first) :].sum(axis=1)
            table.loc[i, list(WEIGHTS)] = np.where(given, sums.sum(axis=1), np.nan)
            table.loc[i, list(KEPT)] = np.where(given, inside, np.nan)
        return table

    def events(self, threshold: float) -> pd.DataFrame:
        """One row an event, as `events.event_light` at a threshold, without `kept`; `reached` is the highest threshold at which it is found.

        Raises:
            InputError: no events, or a threshold that is NaN.
        """
        if not self._events:
            raise InputError("there are no events; add frames with them first")
        table = pd.concat(self._events, ignore_index=True)
        found = bin_of(table["reached"].to_numpy(), BITS) >= first_bin(threshold)
        return table.assign(found=found & (table["light"] > 0))

    def curve(self) -> pd.DataFrame:
        """Sums over all frames at every threshold that changes them: `threshold` and the kept of `light.SUMS`, ascending."""
        self._filled()
        bins, owner = np.unique(np.concatenate(self._bins), return_inverse=True)
        sums = np.concatenate(self._sums, axis=1)
        row = np.repeat(np.arange(len(WEIGHTS)), sums.shape[1])
        total = csr_array((sums.ravel(), (row, np.tile(owner, len(WEIGHTS)))), (len(WEIGHTS), len(bins))).toarray()
        kept = np.cumsum(total[:, ::-1], axis=1)[:, ::-1]
        known = np.all(self._given, axis=0)
        table = pd.DataFrame({"threshold": lower_edge(bins, BITS).astype(np.float64)})
        for name, values, given in zip(KEPT, kept, known, strict=True):
            table[name] = values if given else np.nan
        return table[np.isfinite(table["threshold"])].reset_index(drop=True)

    def _filled(self) -> None:
        if not len(self):
            raise InputError("there is nothing to scan; add frames first")


def first_bin(threshold: float) -> int:
    """The first bin at or above a threshold."""
    number = int(bin_of(threshold, BITS))
    return number if lower_edge(number, BITS) >= np.float32(threshold) else number + 1


def _reached(events: pd.DataFrame, signal: np.ndarray, instance: np.ndarray, reach: np.ndarray) -> pd.DataFrame:
    """The light of each event, and the highest threshold at which half of it is in regions; -infinity without light."""
    pixel, owner = owners(events, signal, instance, reach)
    light, height = signal.ravel()[pixel].astype(np.float64), reach.ravel()[pixel]
    order = np.lexsort((-height, owner))
    light, height, owner = light[order], height[order], owner[order]
    total = np.bincount(owner, light, len(events))
    running = np.cumsum(light)
    first = np.searchsorted(owner, np.arange(len(events)))
    before = np.append(0.0, running)[first]
    half = np.searchsorted(running, before + SHARE * total)
    reached = np.where(total > 0, np.append(height, -np.inf)[np.minimum(half, len(height))], -np.inf)
    return events.assign(light=total, reached=reached)
