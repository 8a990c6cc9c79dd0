"""Measures of searches for light in camera frames: light kept, area discarded, events found, pixels told apart."""

from __future__ import annotations

from particle_zoo.evaluation.anomaly.bootstrap import Interval, difference, interval, intervals, ratio
from particle_zoo.evaluation.anomaly.events import efficiency, event_light, half_efficiency, visible
from particle_zoo.evaluation.anomaly.light import MEASURES, SUMS, frame_sums, measures, retained, statistic
from particle_zoo.evaluation.anomaly.pixels import PixelScores
from particle_zoo.evaluation.anomaly.scan import ThresholdScan

__all__ = [
    "MEASURES",
    "SUMS",
    "Interval",
    "PixelScores",
    "ThresholdScan",
    "difference",
    "efficiency",
    "event_light",
    "frame_sums",
    "half_efficiency",
    "interval",
    "intervals",
    "measures",
    "ratio",
    "retained",
    "statistic",
    "visible",
]
