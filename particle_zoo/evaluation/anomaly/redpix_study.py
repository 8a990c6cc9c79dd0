"""Is the pixel list of the reconstruction a good benchmark? Its light and purity against truth, beside other masks'."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.cli import replacing
from particle_zoo.detectors.camera import PedestalModel, RedPixels, emulate
from particle_zoo.errors import InputError
from particle_zoo.evaluation.anomaly.bootstrap import Interval, intervals, ratio
from particle_zoo.evaluation.anomaly.events import SHARE, owners, visible
from particle_zoo.simulation.optical_tpc import SimulatedFrame

TRUTH, ANY = "truth: above half the noise", "truth: any photon"
REDPIX, REDPIX_DATA = "redpix", "redpix, settings for data"

SETTINGS: dict[str, dict[str, float]] = {REDPIX: {"nsigma": 0.9, "neighbours": 1.1}, REDPIX_DATA: {}}
"""Of the emulation, see `emulate`; the reconstruction's own for simulated frames first, as these are."""


def attributed(frame: SimulatedFrame, labels: np.ndarray, truth: np.ndarray) -> tuple[pd.DataFrame, int]:
    """What a mask keeps of each event, and what it costs.

    A region belongs to the event that has most of the light in it.

    Args:
        frame: with its truth.
        labels: (rows, cols) number of the region, from 1 on, 0 for none.
        truth: (rows, cols) bool, pixels that count as signal.

    Returns:
        One row an event: `light` and `kept` (counts), `pixels` of its regions, `hits` (those in the truth mask); and the number of
        pixels of regions without light.
    """
    pixel, owner = owners(frame.events, frame.signal, frame.instance, labels)
    n, regions = len(frame.events), int(labels.max()) + 1
    light, region = frame.signal.ravel()[pixel].astype(np.float64), labels.ravel()[pixel]
    shared = np.bincount(region * n + owner, light, regions * n).reshape(regions, n)
    shared[0] = 0
    whose = np.where(shared.sum(axis=1) > 0, shared.argmax(axis=1), n)
    size, hits = (np.bincount(part, minlength=regions) for part in (labels.ravel(), labels[truth]))
    size[0] = hits[0] = 0
    pixels = np.bincount(whose, size, n + 1)
    table = pd.DataFrame({
        "light": np.bincount(owner, light, n),
        "kept": np.bincount(owner, np.where(region > 0, light, 0), n),
        "pixels": pixels[:n],
        "hits": np.bincount(whose, hits, n + 1)[:n],
    })  # fmt: skip
    return table, int(pixels[n])


def masks(frame: SimulatedFrame, truth: np.ndarray, found: dict[str, RedPixels]) -> dict[str, np.ndarray]:
    """Labels of truth, by two rules, and of pixel lists, one number an event or cluster."""
    labels = {TRUTH: np.where(truth, frame.instance, 0), ANY: np.where(frame.any_count(), frame.instance, 0)}
    for name, pixels in found.items():
        labels[name] = np.zeros(frame.shape, np.int32)
        labels[name][pixels.row, pixels.col] = pixels.cluster + 1
    return labels


@dataclass(frozen=True)
class Lists:
    """Pixel lists of f frames.

    Args:
        row: (n,) rows, pixels in the order of frames.
        col: (n,) columns.
        value: (n,) counts above the pedestal.
        ends: (f,) number of pixels up to the end of each frame.
    """

    row: np.ndarray
    col: np.ndarray
    value: np.ndarray
    ends: np.ndarray

    def image(self, i: int, shape: tuple[int, int]) -> np.ndarray:
        """(rows, cols) float32 counts of frame i, 0 where no pixel is listed."""
        part = slice(self.ends[i - 1] if i else 0, self.ends[i])
        counts = np.zeros(shape, np.float32)
        counts[self.row[part], self.col[part]] = self.value[part]
        return counts

    def save(self, path: Path) -> None:
        """Write .npz."""
        with replacing(path) as temporary:
            np.savez_compressed(temporary, **{each.name: getattr(self, each.name) for each in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Lists:
        """Read what `save` wrote.

        Raises:
            InputError: a damaged file.
        """
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                return cls(**{each.name: file[each.name] for each in fields(cls)})
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} is damaged ({error}); remove it and start again") from error


def measure(
    frames: Iterable[SimulatedFrame], pedestal: PedestalModel, sigma: np.ndarray
) -> tuple[dict[str, Any], Lists]:
    """Masks of truth and pixel lists on frames with light.

    Args:
        frames: with their truth; each is taken once.
        pedestal: what the reconstruction subtracts.
        sigma: (rows, cols) noise of each pixel, for the rule of truth.

    Returns:
        JSON-ready, by mask: `events` (columns of `attributed`, and what is known of each event), `loose` and `area` (share of the
        pixels) of each frame; and the lists of the reconstruction with its settings for simulation.
    """
    events: dict[str, list[pd.DataFrame]] = {}
    found: dict[str, dict[str, list[float]]] = {}
    kept: list[RedPixels] = []
    for position, frame in enumerate(frames):
        listed = {name: emulate(frame.counts, pedestal, **options) for name, options in SETTINGS.items()}
        kept.append(listed[REDPIX])
        truth = frame.mask(sigma)
        for name, labels in masks(frame, truth, listed).items():
            own, loose = attributed(frame, labels, truth)
            known = frame.events[["class", "energy_kev", "cut"]].reset_index(drop=True)
            events.setdefault(name, []).append(known.assign(position=position).join(own))
            numbers = found.setdefault(name, {"loose": [], "area": []})
            numbers["loose"].append(loose)
            numbers["area"].append(float((labels > 0).mean()))
    tables = {name: {"events": pd.concat(parts).to_dict("list"), **found[name]} for name, parts in events.items()}
    row, col, value = (np.concatenate([getattr(one, name) for one in kept]) for name in ("row", "col", "value"))
    return tables, Lists(row, col, value, np.cumsum([len(one.row) for one in kept]))


def by_energy(events: pd.DataFrame, n_frames: int, *, resamples: int = 1000, seed: int = 0) -> list[dict[str, Any]]:
    """Retention, efficiency and purity of events of each energy, with intervals over frames.

    Args:
        events: rows of `attributed` with `position`, `class` and `energy_kev`; tracks that cross the frame are one group.
        n_frames: number of frames.
        resamples: how many.
        seed: of the resamples.

    Returns:
        One entry an energy: `energy`, `events`, and the three as intervals; purity is NaN where nothing is kept.
    """
    seen = visible(events)
    names = np.where(seen["class"] == "mip", "mip", seen["energy_kev"].map("{:g} keV".format))
    found = []
    for name in sorted(set(names), key=_order):
        own = seen[names == name]
        kept, light, pixels, hits, half, count = (
            np.bincount(own["position"], values, n_frames)
            for values in (
                own["kept"], own["light"], own["pixels"], own["hits"], own["kept"] >= SHARE * own["light"], np.ones(len(own)),
            )
        )  # fmt: skip
        above, below = np.column_stack([kept, half, hits]), np.column_stack([light, count, pixels])
        each = intervals(ratio(above, below), n_frames, resamples=resamples, seed=seed)
        numbers = dict(zip(("retention", "efficiency", "purity"), each, strict=True))
        found.append({"energy": name, "events": len(own), **numbers})
    return found


def overall(
    events: pd.DataFrame, loose: Iterable[float], n_frames: int, *, resamples: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Retention and purity of all events together; regions without light count against the purity.

    Args:
        events: as in `by_energy`.
        loose: (n_frames,) pixels of regions without light.
        n_frames: number of frames.
        resamples: how many.
        seed: of the resamples.
    """
    sums = {
        name: np.bincount(events["position"], events[name], n_frames) for name in ("kept", "light", "pixels", "hits")
    }
    above = np.column_stack([sums["kept"], sums["hits"]])
    below = np.column_stack([sums["light"], sums["pixels"] + np.asarray(list(loose), np.float64)])
    each = intervals(ratio(above, below), n_frames, resamples=resamples, seed=seed)
    return dict(zip(("retention", "purity"), each, strict=True))


def _order(name: str) -> float:
    return float("inf") if name == "mip" else float(name.split()[0])
