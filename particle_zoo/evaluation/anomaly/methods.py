"""What is compared: searches for light that all know the same pedestal run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from particle_zoo.detectors.camera import Finder, MatchedFilter, OnlineTrigger, PedestalModel, RegionFinder, describe
from particle_zoo.detectors.camera.trigger import THRESHOLD
from particle_zoo.weights import sha256

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
        files: that the residuals are made with.
        leak: `leak` and `leak_passed` of a network, where its training has measured them.
    """

    name: str
    residuals: Callable[[np.ndarray], dict[str, np.ndarray]]
    pedestals: Mapping[str, PedestalModel]
    methods: Sequence[Method]
    slow: bool = False
    files: Sequence[Path] = ()
    leak: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Of the contents of the files, and of the methods with the settings of their finders."""
        methods = [[one.name, one.residual, describe(one.finder), one.veto, one.own] for one in self.methods]
        text = json.dumps([[sha256(path) for path in self.files], methods], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def of_pedestal(plain: PedestalModel, files: Sequence[Path] = ()) -> Source:
    """What searches the frame minus its pedestal; leaving out hot pixels changes nothing for G, which removes sparks itself.

    Args:
        plain: pedestal of frames as they are.
        files: it is read from.
    """
    methods = (
        Method(PLAIN, PEDESTAL, RegionFinder(mode="positive")),
        Method(BASELINE, PEDESTAL, OnlineTrigger(), veto=False, own=THRESHOLD),
        Method(NARROW, PEDESTAL, OnlineTrigger(dilation=10, merge=10), veto=False),
    )
    return Source(
        PEDESTAL,
        lambda frame: {PEDESTAL: plain.subtract(frame, common_mode=False)},
        {PEDESTAL: plain},
        methods,
        files=files,
    )


def of_common_mode(common: PedestalModel, files: Sequence[Path] = ()) -> Source:
    """What searches a frame without pedestal, level, rows and columns.

    Args:
        common: pedestal of frames after `remove_common_mode`, so that its noise is that of single pixels.
        files: it is read from.
    """
    methods = (
        Method("G, no common mode", COMMON, OnlineTrigger()),
        Method("z-score, no common mode", COMMON, RegionFinder()),
        Method(MATCHED, COMMON, MatchedFilter()),
    )
    return Source(
        COMMON,
        lambda frame: {COMMON: common.subtract(frame, common_mode=True)},
        {COMMON: common},
        methods,
        files=files,
    )


def of_network(
    name: str,
    detector: AnomalyDetector,
    files: Sequence[Path],
    *,
    step: str = "network",
    smoothed: bool = True,
    leak: Mapping[str, Any] | None = None,
) -> Source:
    """A trained network: the search of its run in its residual, and plain smoothing in the same one.

    Args:
        name: of the network.
        detector: of the run.
        files: of the run, those that its residual depends on.
        step: what the name of the step begins with, so that no two sources have one name.
        smoothed: with the plain smoothing.
        leak: see `Source`.
    """
    methods = [Method(name, name, detector.finder)]
    if smoothed:
        methods.append(Method(f"{name}, smoothed", name, RegionFinder()))
    return Source(
        f"{step} {name}",
        lambda frame: {name: detector.residual(frame)},
        {name: detector.pedestal},
        methods,
        slow=True,
        files=files,
        leak=leak or {},
    )
