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

PLAIN, BASELINE, NARROW = "pedestal subtraction", "online trigger (G)", "G, margin of 10 px"
MATCHED = "matched filter"


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


def of_pedestal(plain: PedestalModel) -> Source:
    """What searches the frame minus its pedestal; leaving out hot pixels changes nothing for G, which removes sparks itself.

    Args:
        plain: pedestal of frames as they are.
    """
    methods = (
        Method(PLAIN, PEDESTAL, RegionFinder(mode="positive")),
        Method(BASELINE, PEDESTAL, OnlineTrigger(), veto=False, own=THRESHOLD),
        Method(NARROW, PEDESTAL, OnlineTrigger(dilation=10, merge=10), veto=False),
    )
    return Source(
        PEDESTAL, lambda frame: {PEDESTAL: plain.subtract(frame, common_mode=False)}, {PEDESTAL: plain}, methods
    )


def of_common_mode(common: PedestalModel) -> Source:
    """What searches a frame without pedestal, level, rows and columns.

    Args:
        common: pedestal of frames after `remove_common_mode`, so that its noise is that of single pixels.
    """
    methods = (
        Method("G, no common mode", COMMON, OnlineTrigger()),
        Method("z-score, no common mode", COMMON, RegionFinder()),
        Method(MATCHED, COMMON, MatchedFilter()),
    )
    return Source(COMMON, lambda frame: {COMMON: common.subtract(frame, common_mode=True)}, {COMMON: common}, methods)


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
