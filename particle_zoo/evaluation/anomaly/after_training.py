"""The metrics and figures that end the training of an anomaly model."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from particle_zoo.anomaly import CALIBRATION, AnomalyDetector
from particle_zoo.cli import progress
from particle_zoo.evaluation.anomaly.leak import ENERGY_KEV, LIMIT, leak, spots
from particle_zoo.plots import history
from particle_zoo.plots.residual import residual_panels
from particle_zoo.weights import write_card

if TYPE_CHECKING:
    from particle_zoo.training.anomaly import AnomalyJob

LEAK_FRAMES = 2
"""Test frames with spots."""

SHOWN_WIDTH = 4.5
"""Sigma of the spots in the figure, px."""


def finish(
    detector: AnomalyDetector, job: AnomalyJob, folder: Path, metrics: dict[str, Any], *, quiet: bool
) -> dict[str, Any]:
    """Measure a calibrated detector on test frames; writes calibration, card and figures, returns the metrics.

    Args:
        detector: with thresholds.
        job: its training.
        folder: of the run.
        metrics: what is known already.
        quiet: no progress.
    """
    assert detector.calibration is not None
    test = job.frames["test"]
    table = pd.read_csv(folder / "history.csv")
    best = table.iloc[int(table["val_loss"].argmin())]
    found = {
        **metrics,
        "epochs": len(table),
        "parameters": detector.model.count_params(),
        **{f"{name}_frames": len(frames) for name, frames in job.frames.items()},
        "loss": float(best["loss"]),
        "val_loss": float(best["val_loss"]),
        "noise": detector.pedestal.noise,
        "masked": float(detector.pedestal.masked.mean()),
        "thresholds": {f"{rate:g}": threshold for rate, threshold in detector.calibration.thresholds.items()},
        "false_regions": false_regions(detector, progress(test, "frames", quiet=quiet)),
    }
    counts = ENERGY_KEV * job.model.zoo_config.counts_per_kev
    found |= leak(detector.reconstruct, test[:LEAK_FRAMES], counts=counts, seed=job.seed)
    found["leak_passed"] = found["leak"] <= LIMIT
    detector.calibration.save(folder / CALIBRATION)
    history.curves(table, folder / "plots" / "history.png")
    light = spots(detector.pedestal.shape, SHOWN_WIDTH, counts, np.random.default_rng(job.seed))
    title = f"test frame with spots of {ENERGY_KEV} keV, sigma {SHOWN_WIDTH:g} px"
    residual_panels(detector, np.rint(test[0] + light), folder / "plots" / "residual.png", title=title)
    write_card(folder, detector.model, {"metrics": found, "dataset": job.dataset})
    return found


def false_regions(detector: AnomalyDetector, frames: Iterable[np.ndarray]) -> dict[str, float]:
    """Mean number of regions a dark frame at the threshold of each rate."""
    assert detector.calibration is not None
    thresholds = detector.calibration.thresholds
    numbers = []
    for frame in frames:
        score = detector.score(frame)
        numbers.append([len(detector.finder.regions(score, t, np.zeros(frame.shape))) for t in thresholds.values()])
    return {f"{rate:g}": float(mean) for rate, mean in zip(thresholds, np.mean(numbers, axis=0), strict=True)}
