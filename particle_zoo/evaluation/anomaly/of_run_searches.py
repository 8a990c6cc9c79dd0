"""What one trained detector is compared with: methods that need no network, on the same pedestal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from particle_zoo.detectors.camera import Finder, OnlineTrigger, PedestalModel, RegionFinder, Regions
from particle_zoo.evaluation.anomaly.methods import BASELINE, PLAIN

if TYPE_CHECKING:
    from particle_zoo.anomaly import AnomalyDetector

NO_NETWORK = "no network"


@dataclass(frozen=True)
class Search:
    """A score of frames and the finder that turns it into regions.

    Args:
        name: of the method.
        finder: of the regions.
        score: from a frame to the finder's map of scores.
        pedestal: of the camera.
        threshold: from pedestal frames; None for methods that are compared at equal area only.
    """

    name: str
    finder: Finder
    score: Callable[[np.ndarray], np.ndarray]
    pedestal: PedestalModel
    threshold: float | None = None

    def regions(self, frame: np.ndarray, threshold: float, score: np.ndarray | None = None) -> Regions:
        """Regions of a frame at a threshold; the score if it is there already."""
        score = self.score(frame) if score is None else score
        return self.finder.regions(score, threshold, self.pedestal.subtract(frame))


def of_detector(name: str, detector: AnomalyDetector, rate: float) -> Search:
    """A detector at its threshold for a rate of false regions.

    Raises:
        InputError: a rate it was not calibrated for.
    """
    return Search(name, detector.finder, detector.score, detector.pedestal, detector.threshold(rate))


def rivals(detector: AnomalyDetector) -> list[Search]:
    """Methods without a network, with the pedestal of a detector.

    - "no network": its finder, on the frame without pedestal and common mode; shows what the reconstruction adds.
    - "pedestal subtraction": a smoothed frame minus its pedestal.
    - "online trigger (G)": that of the CYGNO experiment.
    """
    pedestal = detector.pedestal

    def search(name: str, finder: Finder, common_mode: bool, veto: np.ndarray | None) -> Search:
        def score(frame: np.ndarray) -> np.ndarray:
            return finder.score(pedestal.subtract(frame, common_mode=common_mode), sigma=pedestal.sigma, veto=veto)

        return Search(name, finder, score, pedestal)

    return [
        search(NO_NETWORK, detector.finder, pedestal.common_mode, pedestal.masked),
        search(PLAIN, RegionFinder(mode="positive"), False, pedestal.masked),
        search(BASELINE, OnlineTrigger(), False, None),
    ]
