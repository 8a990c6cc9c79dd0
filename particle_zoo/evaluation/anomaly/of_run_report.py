"""`particle_zoo.evaluate` of a detector of regions in camera frames: tables, figures and the numbers of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from particle_zoo.anomaly import AnomalyDetector
from particle_zoo.cli import progress
from particle_zoo.data import camera
from particle_zoo.data.camera_files import FILES
from particle_zoo.detectors.camera import CameraFrames
from particle_zoo.detectors.camera.pedestal import STEP
from particle_zoo.errors import InputError
from particle_zoo.evaluation.anomaly import of_run_tables as tables
from particle_zoo.evaluation.anomaly.leak import ENERGY_KEV, leak
from particle_zoo.evaluation.anomaly.of_run import counted, judge, numbers, per_frame
from particle_zoo.evaluation.anomaly.of_run_searches import Search, of_detector, rivals
from particle_zoo.plots import efficiency
from particle_zoo.plots.regions import Scale, counts, frame_with_regions
from particle_zoo.simulation.optical_tpc import SimulatedFrame
from particle_zoo.weights import results_dir

SIGNAL, DARK = "signal", "pedestal_test"

LEAK_FRAMES = 2
"""Dark frames with spots; each has some tens of them."""

Numbers = dict[str, Any]


def report(source: str, folder: Path, options: dict[str, Any], *, quiet: bool = False, **overrides: Any) -> Numbers:
    """Judge a run on frames with light and on dark ones that nothing was fitted to, and print what was found.

    Args:
        source: the run, as it was named.
        folder: of it.
        options: `dataset`, `data_dir`, `manual_dir`, `split` (signal or pedestal_test), `limit`, `compare`, `output`, `seed`,
            `rate`.
        quiet: no progress bar.
        overrides: of simulated frames, see `particle_zoo.data.camera.load_frames`.

    Returns:
        JSON-ready numbers.

    Raises:
        InputError: a run, rate, split or data set that cannot be, or frames of another size than the pedestal.
    """
    rate, seed, limit = options["rate"], options["seed"], options["limit"]
    first = AnomalyDetector.load(folder)
    detectors = {Path(source).name: first}
    if options["compare"] is not None:
        name = Path(options["compare"]).name
        detectors[name if name not in detectors else f"{name} (2)"] = _second(options["compare"], first)
    searches = [of_detector(name, detector, rate) for name, detector in detectors.items()]
    dataset = options["dataset"] or first.config["dataset"]
    where = {"data_dir": options["data_dir"], "manual_dir": options["manual_dir"], **overrides}
    known = camera.source(dataset, manual_dir=options["manual_dir"], **overrides)
    splits = _splits(options["split"], dataset, known.splits)
    try:
        first.pedestal.check(known.shape)
    except InputError as error:
        raise InputError(f"{dataset}: {error}") from error
    result: Numbers = {"model": first.model.zoo_name, "dataset": dataset, "rate": rate, "splits": list(splits)}
    equal: dict[str, float] = {}
    if SIGNAL in splits and camera.parse(dataset) != FILES:
        searches += rivals(first)
        light = camera.load_truth(dataset, limit=limit, **where)
        result |= numbers(judge(searches, progress(light, "frames", quiet=quiet), first.pedestal.sigma), seed=seed)
        equal = {name: own["threshold"] for name, own in result["equal_area"]["methods"].items()}
        tables.show_light(result)
        plots = Path(options["output"]) if options["output"] else results_dir(source, folder) / "plots"
        _figures(result, searches[0], next(camera.load_truth(dataset, limit=1, **where)), plots)
    elif SIGNAL in splits:
        frames = camera.load_frames(dataset, SIGNAL, limit=limit, **where)
        result["signal"] = {each.name: _regions(each, frames, seed, quiet) for each in searches}
        tables.show_unknown(result)
    if DARK in splits:
        frames = camera.load_frames(dataset, DARK, limit=limit, **where)
        result["false_regions"] = _false_regions(searches, detectors, frames, equal, rate, seed, quiet)
        result["leak"] = {name: _leak(detector, frames, seed) for name, detector in detectors.items()}
        tables.show_dark(result)
    return result


def _second(source: str, first: AnomalyDetector) -> AnomalyDetector:
    """The run of `--compare`.

    Raises:
        InputError: no run of such a model, or one of a camera of another size.
    """
    other = AnomalyDetector.load(source)
    try:
        other.pedestal.check(first.pedestal.shape)
    except InputError as error:
        raise InputError(f"--compare {source}: {error}") from error
    return other


def _leak(detector: AnomalyDetector, frames: CameraFrames, seed: int) -> Numbers:
    light = ENERGY_KEV * detector.model.zoo_config.counts_per_kev
    return leak(detector.reconstruct, frames[:LEAK_FRAMES], counts=light, seed=seed)


def _splits(asked: str, dataset: str, there: Sequence[str]) -> tuple[str, ...]:
    """What to evaluate on: dark frames, and with signal those with light.

    Raises:
        InputError: another split, or one without frames.
    """
    if asked not in (SIGNAL, DARK):
        raise InputError(
            f"frames are evaluated on {SIGNAL}, which includes {DARK}, or on {DARK}; received --split {asked}"
        )
    if asked == DARK and DARK not in there:
        raise InputError(f"{dataset} has no frames in {DARK}, only in {', '.join(there)}; add some")
    return tuple(name for name in (SIGNAL, DARK) if name in there and (asked == SIGNAL or name == DARK))


def _regions(search: Search, frames: CameraFrames, seed: int, quiet: bool) -> Numbers:
    """Regions and area of frames of which nothing else is known, at the threshold of the method."""
    assert search.threshold is not None
    found = counted(search, progress(frames, "frames", quiet=quiet), [search.threshold])
    (regions,), (kept,) = (per_frame(found, column, seed=seed) for column in ("regions", "kept"))
    return {"frames": len(frames), "regions": asdict(regions), "area_kept": asdict(kept)}


def _false_regions(
    searches: Sequence[Search],
    detectors: dict[str, AnomalyDetector],
    frames: CameraFrames,
    equal: dict[str, float],
    rate: float,
    seed: int,
    quiet: bool,
) -> Numbers:
    """Regions of dark frames: of detectors at the rates asked for, and of all methods where they discard the same area."""
    result: Numbers = {"frames": len(frames), "rates": [], "equal_area": {}}
    for search in searches:
        asked: dict[float, float] = {}
        if detector := detectors.get(search.name):
            assert detector.calibration is not None
            asked = {one: detector.threshold(one) for one in sorted({*detector.calibration.rates, rate})}
        own = [*asked.values(), *([equal[search.name]] if equal else [])]
        counted_at = counted(search, progress(frames, "frames", quiet=quiet), list(dict.fromkeys(own)))
        means = dict(zip(dict.fromkeys(own), per_frame(counted_at, "regions", seed=seed), strict=True))
        result["rates"] += [
            {"method": search.name, "asked": one, "threshold": threshold, **asdict(means[threshold])}
            for one, threshold in asked.items()
        ]
        if equal:
            result["equal_area"][search.name] = asdict(means[equal[search.name]])
    return result


def _figures(result: Numbers, search: Search, frame: SimulatedFrame, plots: Path) -> None:
    rows_of = {name: pd.DataFrame(rows) for name, rows in result["by_energy"].items() if rows}
    paths = [plots / "signal_frame.png"]
    if rows_of:
        paths.append(plots / "efficiency.png")
        discarded = result["equal_area"]["discarded"]
        efficiency.against_energy(paths[-1], rows_of, title=f"events found, {discarded:.2%} of the area discarded")
    assert search.threshold is not None
    score = search.score(frame.counts)
    regions, lit = (
        search.regions(frame.counts, search.threshold, score),
        int((frame.events["integral_after"] > 0).sum()),
    )
    frame_with_regions(
        paths[0],
        counts(search.pedestal, frame.counts),
        regions,
        Scale.of(search.pedestal, search.threshold),
        title=f"{result['dataset']}, frame {frame.number}: {len(regions)} regions, {lit} events with light",
        score=score,
        masks={"light": frame.mask(np.maximum(search.pedestal.sigma, np.float32(STEP)))},
    )
    for path in paths:
        click.echo(f"figure: {path}")
