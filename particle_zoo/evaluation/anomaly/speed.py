"""Milliseconds a camera frame from counts to regions, stage by stage, beside what one would use instead."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from particle_zoo.anomaly import AnomalyDetector
from particle_zoo.cli import table
from particle_zoo.detectors.camera import OnlineTrigger, Regions, calibrate
from particle_zoo.detectors.camera.bands import cores
from particle_zoo.detectors.camera.common_mode import by_numpy, remove_common_mode
from particle_zoo.detectors.camera.smoothing import correlated, gaussian_kernel
from particle_zoo.detectors.camera.source import size
from particle_zoo.detectors.camera.trigger import THRESHOLD
from particle_zoo.errors import InputError
from particle_zoo.evaluation.anomaly import long_run, torch_network
from particle_zoo.evaluation.anomaly.speed_setup import RATE, detector_for
from particle_zoo.evaluation.network_speed import device

SHAPES = ((2304, 2304), (2304, 4096))
"""Rows and columns of the ORCA-Fusion and of the ORCA-Quest."""

WIDTH = 6.0
"""Sigma of the Gaussian whose smoothing is compared, px."""

PUBLISHED = (
    "published, not measured here: about 25 ms a frame on a consumer GPU for the autoencoder of arXiv:2512.24290 (the network "
    "alone, as far as known); 5.5 to 7.5 ms for the experiment's CUDA trigger at 2304 x 4096 px on an RTX PRO 6000, 420 to 530 ms "
    "on a processor"
)


def measure(
    *, run: str | Path | None, shapes: Sequence[tuple[int, int]], frames: int, long: int, seed: int
) -> dict[str, Any]:
    """Time single frames of every size and print tables.

    Pre- and post-processing count: pedestal and common mode, units of noise, the network from NumPy to NumPy (so that a device
    is waited for), the residual, its score, threshold and regions. The first frame of a size, for which the backend compiles,
    is told apart.

    Args:
        run: run folder or published name; None for an untrained model.
        shapes: rows and columns.
        frames: timed frames of each size.
        long: frames of a run whose memory is looked at, at the first size; 0 for none.
        seed: of frames and weights.

    Returns:
        The numbers of the tables.

    Raises:
        InputError: a run of another task, or a size that no simulated camera has.
    """
    result: dict[str, Any] = {**_machine(), "frames": frames, "sizes": {}, "long": None}
    where = f"Keras {result['keras']} on {result['backend']} {result['backend_version']}, {result['device']}, {result['cores']} cores"
    for shape in shapes:
        detector, dark, lit = detector_for(run, shape, seed)
        started = time.perf_counter()
        detector.score(dark[0])
        first = 1e3 * (time.perf_counter() - started)
        detector = detector.calibrate(dark, (RATE,))
        found = result["sizes"]["x".join(map(str, shape))] = {
            "parameters": detector.model.count_params(),
            "first_ms": first,
            **_detector(detector, lit, frames),
            "trigger": _trigger(detector, dark, lit, frames),
            "plain": _plain(detector, lit),
            "torch": _torch(detector, lit, frames),
        }
        _print(f"{size(shape)}, {detector.model.zoo_name}, {found['parameters']:,} parameters; {where}", found)
        if long and result["long"] is None:
            result["long"] = watched = {"shape": shape, **long_run.measure(detector, lit, long)}
            _print_long(watched)
    if torch_network.version() is None:
        click.echo("torch is not installed, so there is no comparison with PyTorch")
    weights = f"the model of {run}" if run else "an untrained model"
    click.echo(
        f"{weights}, with pedestal and threshold of simulated frames; speed depends neither on weights nor on those"
    )
    click.echo(PUBLISHED)
    if result["load"] > result["cores"] / 2:
        click.echo(
            f"the machine was busy when this began (load {result['load']:.1f} on {result['cores']} cores), so times are too long"
        )
    return result


def staged(detector: AnomalyDetector, frame: np.ndarray, threshold: float) -> tuple[dict[str, float], Regions]:
    """What `AnomalyDetector.regions` does, with the milliseconds of each stage."""
    pedestal, finder, model = detector.pedestal, detector.finder, detector.model
    ms: dict[str, float] = {}
    last = time.perf_counter()

    def done(stage: str) -> None:
        nonlocal last
        now = time.perf_counter()
        ms[stage], last = 1e3 * (now - last), now

    counts = pedestal.subtract(frame)
    done("pedestal" + " and common mode" * pedestal.common_mode)
    inputs = pedestal.in_sigmas(counts, clip=model.preprocessor.clip)
    done("units of noise")
    drawn = np.asarray(model.predict_on_batch(inputs[None, ..., None]))[0, ..., 0]
    done("network")
    residual = counts - np.multiply(drawn, pedestal.scale, dtype=np.float32)
    done("residual")
    score = finder.score(residual, sigma=pedestal.sigma, veto=pedestal.masked)
    done(f"score, {type(finder).__name__}")
    regions = finder.regions(score, threshold, counts)
    done("threshold and regions")
    return ms, regions


def _detector(detector: AnomalyDetector, frames: list[np.ndarray], n: int) -> dict[str, Any]:
    threshold = detector.threshold(RATE)
    detector.regions(frames[0], rate=RATE)
    stages: dict[str, list[float]] = {}
    regions = []
    for i in range(n):
        ms, found = staged(detector, frames[i % len(frames)], threshold)
        regions.append(len(found))
        for name, value in ms.items():
            stages.setdefault(name, []).append(value)
    whole = _times(lambda frame: detector.regions(frame, rate=RATE), frames, n)
    return {
        "stages": {name: summary(values) for name, values in stages.items()},
        "whole": summary(whole),
        "regions": float(np.mean(regions)),
    }


def _trigger(detector: AnomalyDetector, dark: list[np.ndarray], frames: list[np.ndarray], n: int) -> dict[str, float]:
    """The experiment's online trigger with a threshold of the same rate, from counts to regions.

    Where a few dark frames give no such threshold, because their levels differ too much, it is the experiment's own.
    """
    finder, pedestal = OnlineTrigger(), detector.pedestal
    # It takes no common mode out: that would be most of its time.
    scores = (finder.score(pedestal.subtract(frame, common_mode=False)) for frame in dark)
    try:
        threshold = calibrate(finder, scores, (RATE,)).threshold(RATE)
    except InputError:
        threshold = THRESHOLD

    def search(frame: np.ndarray) -> Regions:
        counts = pedestal.subtract(frame, common_mode=False)
        return finder.regions(finder.score(counts), threshold, counts)

    search(frames[0])
    return summary(_times(search, frames, n))


def _plain(detector: AnomalyDetector, frames: list[np.ndarray]) -> dict[str, Any]:
    """The two slowest steps of NumPy and SciPy beside their replacements, and whether the results are the same."""
    from scipy.ndimage import gaussian_filter

    counts = detector.pedestal.subtract(frames[0], common_mode=False)
    kernel = gaussian_kernel(WIDTH)
    pairs: dict[str, tuple[Callable[[np.ndarray], np.ndarray], ...]] = {
        "common mode, numpy.median": (remove_common_mode, by_numpy),
        f"Gaussian of {WIDTH:g} px, scipy.ndimage": (
            partial(correlated, kernel=kernel),
            partial(gaussian_filter, sigma=WIDTH, mode="constant"),
        ),
    }
    found = {}
    for name, (ours, theirs) in pairs.items():
        equal = bool(np.array_equal(ours(counts), theirs(counts)))
        # Three of each: they take the most of all.
        ms, plain = (float(np.median(_times(method, [counts], 3))) for method in (ours, theirs))
        found[name] = {"ms": ms, "plain_ms": plain, "equal": equal}
    return found


def _torch(detector: AnomalyDetector, frames: list[np.ndarray], n: int) -> dict[str, Any] | None:
    if torch_network.version() is None:
        return None
    model, pedestal = detector.model, detector.pedestal
    inputs = [pedestal.normalise(frame, clip=model.preprocessor.clip)[None, ..., None] for frame in frames]
    try:
        found = torch_network.measure(
            model, inputs, np.asarray(model.predict_on_batch(inputs[0])), n, accelerated=device() != platform.machine()
        )
    except InputError as error:
        click.echo(str(error))
        return None
    return {**found, "version": torch_network.version(), **summary(found.pop("ms"))}


def _times(work: Callable[[np.ndarray], Any], frames: list[np.ndarray], n: int) -> list[float]:
    """Milliseconds of each call."""
    ms = []
    for i in range(n):
        started = time.perf_counter()
        work(frames[i % len(frames)])
        ms.append(1e3 * (time.perf_counter() - started))
    return ms


def summary(ms: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile of milliseconds."""
    return {"median_ms": float(np.median(ms)), "p95_ms": float(np.percentile(ms, 95))}


def _machine() -> dict[str, Any]:
    import keras

    backend = keras.backend.backend()
    return {
        "keras": keras.version(),
        "backend": backend,
        "backend_version": importlib.metadata.version(backend),
        "device": device(),
        "cores": cores(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
        "versions": {name: importlib.metadata.version(name) for name in ("numpy", "scipy", "numba")},
    }


def _print(title: str, found: dict[str, Any]) -> None:
    def row(name: str, times: dict[str, float]) -> tuple[str, str, str]:
        return name, f"{times['median_ms']:.1f}", f"{times['p95_ms']:.1f}"

    rows = [row(name, times) for name, times in found["stages"].items()]
    rows.append(row(f"whole frame, {found['regions']:.1f} regions", found["whole"]))
    rows.append(("first frame to its score, with compilation", f"{found['first_ms']:.0f}", ""))
    if found["torch"]:
        torch = found["torch"]
        rows.append(row(f"beside: the same network in PyTorch {torch['version']} on {torch['device']}", torch))
    rows.append(row("beside: the experiment's online trigger, whole frame", found["trigger"]))
    for name, pair in found["plain"].items():
        same = "the same" if pair["equal"] else "another"
        rows.append((f"beside: {name}; here {pair['ms']:.1f} ms for {same} result", f"{pair['plain_ms']:.1f}", ""))
    table(title, ("one frame at a time", "median ms", "95 % ms"), rows)
    if found["torch"]:
        click.echo(f"PyTorch and Keras differ by {found['torch']['difference']:.0e} of the largest output at most")


def _print_long(found: dict[str, Any]) -> None:
    from particle_zoo.evaluation.anomaly.long_run import SETTLED

    table(
        f"Memory of a run of {found['frames']:,} frames of {size(found['shape'])}, read one by one, in a process of its own",
        ("frames", f"peak MB after {SETTLED}", "peak MB at the end", "regions", "frames/s"),
        [(
            f"{found['frames']:,}", f"{found['settled_mb']:.0f}", f"{found['end_mb']:.0f}", f"{found['regions']:,}",
            f"{found['frames'] / found['seconds']:.2f}",
        )],
    )  # fmt: skip
