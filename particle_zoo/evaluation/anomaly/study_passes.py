"""One source of residuals on all frames of a study: thresholds, light, false regions; one frame in memory at a time."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.cli import progress
from particle_zoo.detectors.camera import Calibration, calibrate, describe
from particle_zoo.detectors.camera.region_calibration import FEWEST, TooFewRegionsError
from particle_zoo.detectors.camera.region_search import enlarged
from particle_zoo.errors import InputError
from particle_zoo.evaluation.anomaly import redpix_study
from particle_zoo.evaluation.anomaly.event_scan import EventScan
from particle_zoo.evaluation.anomaly.light import frame_sums
from particle_zoo.evaluation.anomaly.methods import Method, Source
from particle_zoo.evaluation.anomaly.pixels import PixelScores
from particle_zoo.evaluation.anomaly.scan import ThresholdScan
from particle_zoo.evaluation.anomaly.study_settings import SPLIT_OF, Settings
from particle_zoo.simulation.optical_tpc import BenchmarkSet, SimulatedFrame

RATE, AREA, GATE, OWN = "rate", "area", "gate", "own"
"""Thresholds at which methods are looked at.

`rate` has the false regions a frame that are asked for, in the calibration frames; `area` discards the share of the area
that is asked for, in the frames with light that are judged; `gate` has half of the false regions, so that they stay within
what is allowed in other frames, and knows nothing of the frames that are judged; `own` is that of the method's authors.
"""

EVENTS = ("position", "id", "class", "energy_kev", "z_mm", "cut", "light")
"""Columns of the table of events that are kept."""

CURVE = 200
"""Points of the curve of light against area."""

Residuals = Iterator[dict[str, np.ndarray]]


@dataclass(frozen=True)
class CellFrames:
    """Frames of one noise and what all methods know of them.

    Args:
        settings: of the study.
        benchmark: the frames.
        sigma: (rows, cols) noise of each pixel, as the simulation has it: what decides which light stands out.
        redpix: pixel lists of each frame with light.
        folder: where residuals may be kept for a while.
    """

    settings: Settings
    benchmark: BenchmarkSet
    sigma: np.ndarray
    redpix: redpix_study.Lists
    folder: Path

    def frames(self, split: str) -> Iterator[Any]:
        """Frames of a split, by the names of `SPLIT_OF`."""
        return self.benchmark.split(SPLIT_OF[split], self.settings.count(split))


@dataclass
class Judged:
    """What one method makes of frames with light."""

    method: Method
    thresholds: dict[str, float | None]
    scan: ThresholdScan = field(default_factory=ThresholdScan)
    events: EventScan = field(default_factory=EventScan)
    pixels: PixelScores = field(default_factory=PixelScores)
    sums: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    parts: dict[str, list[pd.DataFrame]] = field(default_factory=dict)
    loose: list[int] = field(default_factory=list)

    def add(self, frame: SimulatedFrame, score: np.ndarray, truth: np.ndarray, redpix: np.ndarray) -> None:
        """Add a frame with light and its scores."""
        finder = self.method.finder
        known: dict[str, Any] = {"signal": frame.signal, "truth": truth, "redpix": redpix}
        reach = finder.reach(score, frame.shape)
        self.scan.add(reach, **known)
        self.events.add(reach, frame.signal, frame.instance, frame.events)
        wide = enlarged(score, finder.binning, frame.shape)
        self.pixels.add(wide, truth, frame.instance, ignore=(frame.signal > 0) & ~truth)
        for point, threshold in self.thresholds.items():
            if threshold is None:
                continue
            regions = finder.regions(score, threshold, frame.signal)
            self.sums.setdefault(point, []).append(frame_sums(regions, **known))
            part, loose = redpix_study.attributed(frame, regions.labels, truth)
            self.parts.setdefault(point, []).append(part)
            if point == RATE:
                self.loose.append(loose)


def measure(source: Source, cell: CellFrames, *, quiet: bool = False) -> dict[str, Any]:
    """All methods of a source on the frames of a cell.

    Args:
        source: residuals and methods.
        cell: frames.
        quiet: no progress.

    Returns:
        JSON-ready, by method: `thresholds` by point (None where the calibration frames have none), `sums` by point (columns of
        `light.SUMS`), `events` (columns), `kept` by point (light of each event), `pixels` (measures with intervals), `false` by
        point (regions of each dark frame), `attributed` (of `redpix_study.attributed`, at `rate`), `curve`.
    """
    settings = cell.settings
    calibrations = _calibrations(source, cell, quiet)
    judged = []
    for method in source.methods:
        found = calibrations[method.name]
        thresholds = {RATE: None if found is None else found.threshold(settings.rate)}
        judged.append(Judged(method, thresholds | ({} if method.own is None else {OWN: method.own})))
    for i, frame in enumerate(progress(cell.frames("signal"), "frames with light", quiet=quiet)):
        truth, redpix = frame.mask(cell.sigma), cell.redpix.image(i, frame.shape)
        residuals = source.residuals(frame.counts)
        for one in judged:
            name = one.method.residual
            one.add(frame, one.method.score(residuals[name], source.pedestals[name]), truth, redpix)
    for one in judged:
        one.thresholds[AREA] = one.scan.threshold(settings.area(cell.benchmark.noise))
        found = calibrations[one.method.name]
        one.thresholds[GATE] = None if found is None else found.threshold(settings.rate / 2)
    false = _false(source, cell, judged, quiet)
    return {one.method.name: _told(one, false[one.method.name], settings) for one in judged}


def rates(settings: Settings) -> tuple[float, ...]:
    """Rates that thresholds are calibrated for."""
    enough = settings.rate / 2 * settings.calibration + 1e-9 >= FEWEST
    if not enough:
        raise InputError(
            f"{settings.rate / 2:g} false regions a frame take {int(np.ceil(2 * FEWEST / settings.rate))} calibration frames; "
            f"received {settings.calibration}"
        )
    return settings.rate / 2, settings.rate


def _calibrations(source: Source, cell: CellFrames, quiet: bool) -> dict[str, Calibration | None]:
    found: dict[str, Calibration | None] = {}
    with _residuals(source, cell, "calibration", quiet) as take:
        for method in source.methods:
            pedestal = source.pedestals[method.residual]
            scores = (method.score(residuals[method.residual], pedestal) for residuals in take())
            try:
                found[method.name] = calibrate(method.finder, scores, rates(cell.settings))
            except TooFewRegionsError:
                # It never has as many regions: small frames, or a drift that lifts all of a frame over any threshold.
                found[method.name] = None
    return found


@contextlib.contextmanager
def _residuals(source: Source, cell: CellFrames, split: str, quiet: bool) -> Iterator[Callable[[], Residuals]]:
    """Something that gives the residuals of a split once more each time; slow ones are kept on disk."""
    if not source.slow:
        yield lambda: map(source.residuals, cell.frames(split))
        return
    cell.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cell.folder) as spool:
        count = cell.settings.count(split)
        kept: dict[str, np.ndarray] = {}
        for i, frame in enumerate(progress(cell.frames(split), f"{split} frames", quiet=quiet)):
            for name, residual in source.residuals(frame).items():
                if name not in kept:
                    path = Path(spool) / f"{len(kept)}.npy"
                    kept[name] = np.lib.format.open_memmap(path, "w+", np.float32, (count, *residual.shape))
                kept[name][i] = residual
        yield lambda: ({name: array[i] for name, array in kept.items()} for i in range(count))
        kept.clear()


def _false(source: Source, cell: CellFrames, judged: list[Judged], quiet: bool) -> dict[str, dict[str, list[int]]]:
    """Regions of each dark frame, by method and point."""
    found: dict[str, dict[str, list[int]]] = {one.method.name: {} for one in judged}
    for frame in progress(cell.frames("test"), "dark frames", quiet=quiet):
        residuals = source.residuals(frame)
        for one in judged:
            name, finder = one.method.residual, one.method.finder
            score = one.method.score(residuals[name], source.pedestals[name])
            counts: dict[float, int] = {}
            for point, threshold in one.thresholds.items():
                if threshold is None:
                    continue
                if threshold not in counts:
                    counts[threshold] = len(finder.regions(score, threshold, residuals[name]))
                found[one.method.name].setdefault(point, []).append(counts[threshold])
    return found


def _told(one: Judged, false: dict[str, list[int]], settings: Settings) -> dict[str, Any]:
    events = one.events.events()
    sums = {point: pd.DataFrame(rows) for point, rows in one.sums.items()}
    kept = {point: pd.concat(parts)["kept"].to_numpy() for point, parts in one.parts.items()}
    for point in (AREA, GATE):
        threshold = one.thresholds[point]
        if threshold is not None:
            sums[point], kept[point] = one.scan.frames(threshold), one.events.kept(threshold)
    attributed = pd.concat(one.parts[RATE]) if RATE in one.parts else pd.DataFrame({"pixels": [], "hits": []})
    pixels = one.pixels.summary(resamples=settings.resamples, seed=settings.seed)
    return {
        "finder": describe(one.method.finder),
        "thresholds": one.thresholds,
        "sums": {point: table.to_dict("list") for point, table in sums.items()},
        "events": events[list(EVENTS)].to_dict("list"),
        "kept": {point: values.tolist() for point, values in kept.items()},
        "pixels": {name: asdict(value) for name, value in pixels.items()},
        "false": false,
        "attributed": {**attributed[["pixels", "hits"]].to_dict("list"), "loose": one.loose},
        "curve": _curve(one.scan),
    }


def _curve(scan: ThresholdScan) -> dict[str, list[float]]:
    """Area and light that are kept at some thresholds, as shares."""
    table = scan.curve()
    total = scan.frames(-np.inf)[["pixels", "signal"]].sum()
    area, light = table["region_pixels"] / total["pixels"], table["signal_kept"] / total["signal"]
    shown = np.unique(np.searchsorted(-area.to_numpy(), -np.geomspace(1e-4, 1, CURVE)).clip(0, len(area) - 1))
    return {"area": area.iloc[shown].tolist(), "light": light.iloc[shown].tolist()}
