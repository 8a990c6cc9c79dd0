"""What is compared: searches for light that all know the same pedestal run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from particle_zoo.detectors.camera import Finder, MatchedFilter, OnlineTrigger, PedestalModel, RegionFinder
from particle_zoo.detectors.camera.trigger import THRESHOLD

if TYPE_CHECKING:
    from particle_zoo.anomaly import AnomalyDetector

PEDESTAL, COMMON = "pedestal", "common mode"
"""Residuals of methods without a network: the frame minus its pedestal, and that without level, rows and columns."""

PLAIN, BASELINE, MATCHED = "pedestal subtraction", "online trigger (G)", "matched filter"


@dataclass(frozen=True)
class Method:
    """A search for regions in a residual.

    Args:
        name: in tables.
        residual: which one.
        finder: of the regions.
        veto: whether it leaves out the pixels that the pedestal run showed to be hot or to have telegraph noise.
        own: threshold that its authors use; None without.
    """

    name: str
    residual: str
    finder: Finder
    veto: bool = True
    own: float | None = None

    def score(self, residual: np.ndarray, pedestal: PedestalModel) -> np.ndarray:
        """Map of scores of a frame's residual."""
        return self.finder.score(residual, sigma=pedestal.sigma, veto=pedestal.masked if self.veto else None)


@dataclass(frozen=True)
class Source:
    """Residuals of a frame that are made together, and the methods that search them.

    Args:
        name: of the step of a study.
        residuals: from a frame to its residuals by name, (rows, cols) float32 counts.
        pedestals: of each residual.
        methods: on any of them.
        slow: residuals take longer than to read them from a disk.
        digest: of what the residuals depend on besides the pedestal run.
    """

    name: str
    residuals: Callable[[np.ndarray], dict[str, np.ndarray]]
    pedestals: Mapping[str, PedestalModel]
    methods: Sequence[Method]
    slow: bool = False
    digest: str = ""


def classical(plain: PedestalModel, common: PedestalModel) -> Source:
    """Everything that needs no network.

    Args:
        plain: pedestal of frames as they are.
        common: pedestal of the same frames after `remove_common_mode`, so that its noise is that of single pixels.
    """

    def residuals(frame: np.ndarray) -> dict[str, np.ndarray]:
        return {
            PEDESTAL: plain.subtract(frame, common_mode=False),
            COMMON: common.subtract(frame, common_mode=True),
        }

    methods = (
        Method(PLAIN, PEDESTAL, RegionFinder(mode="positive")),
        Method(BASELINE, PEDESTAL, OnlineTrigger(), veto=False, own=THRESHOLD),
        Method("G, hot pixels left out", PEDESTAL, OnlineTrigger()),
        Method("G, margin of 10 px", PEDESTAL, OnlineTrigger(dilation=10, merge=10)),
        Method("G, no common mode", COMMON, OnlineTrigger()),
        Method("z-score, no common mode", COMMON, RegionFinder()),
        Method(MATCHED, COMMON, MatchedFilter()),
        Method("matched filter, 4 widths", COMMON, MatchedFilter(widths=(2.5, 4.0, 6.0, 9.0))),
    )
    return Source("classical", residuals, {PEDESTAL: plain, COMMON: common}, methods)


def of_network(name: str, detector: AnomalyDetector, digest: str, *, smoothed: bool = True) -> Source:
    """A trained network: the search of its run in its residual, and plain smoothing in the same one.

    Args:
        name: of the network.
        detector: of the run.
        digest: of its weights.
        smoothed: with the plain smoothing.
    """
    methods = [Method(name, name, detector.finder)]
    if smoothed:
        methods.append(Method(f"{name}, smoothed", name, RegionFinder()))
    return Source(
        name, lambda frame: {name: detector.residual(frame)}, {name: detector.pedestal}, methods, True, digest
    )
