"""What every search for regions shares: from a map of scores to regions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from particle_zoo.detectors.camera.area_opening import opened
from particle_zoo.detectors.camera.region_search import enlarged, measured, search, widened
from particle_zoo.detectors.camera.regions import Regions
from particle_zoo.detectors.camera.source import size
from particle_zoo.errors import InputError

LARGEST = 1e38
"""Scores are float32."""

DEPTH = 0.1
"""Share of the pixels that `Finder.reach` looks at where small components are dropped: more are never kept."""


@dataclass(frozen=True, kw_only=True)
class Finder(ABC):
    """Settings that lead from a map of scores to regions; the score is that of the class.

    Pixels with `score >= threshold` that touch (8 neighbours) are components. Small ones are dropped, the others are
    widened by a square, and those that are close become one region.

    Args:
        min_area: smallest component, px.
        dilation: half the side of the square by which components are widened, px.
        merge: largest gap, px, across which widened components are one region; the pixels between them are no part of it.
        binning: side of the blocks of pixels whose scores are looked at; 1 for single pixels. A block counts as binning^2
            px, also at the border, and all other lengths are those of pixels of the frame.

    Raises:
        InputError: a setting that is no whole number, or too small a one.
    """

    min_area: int = 1
    dilation: int = 0
    merge: int = 0
    binning: int = 1

    def __post_init__(self) -> None:
        for name, least in (("min_area", 1), ("dilation", 0), ("merge", 0), ("binning", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name} must be a whole number of {least} or more px; received {value!r}")

    @abstractmethod
    def score(
        self, residual: npt.ArrayLike, sigma: np.ndarray | None = None, veto: np.ndarray | None = None
    ) -> np.ndarray:
        """How much each pixel, or block of pixels, looks like signal.

        Args:
            residual: (rows, cols) counts above what is expected without signal.
            sigma: (rows, cols) noise of each pixel, counts.
            veto: (rows, cols) bool, pixels that do not count.

        Returns:
            float32, (rows, cols) divided by the binning and rounded up.

        Raises:
            InputError: another shape, or values that are no numbers.
        """

    def regions(self, score: np.ndarray, threshold: float, intensity: npt.ArrayLike) -> Regions:
        """The regions of one frame.

        Args:
            score: map of `score`.
            threshold: least score of a component; counts as float32.
            intensity: (rows, cols) counts above the pedestal, that are summed up.

        Raises:
            InputError: a map that does not belong to the intensity, or a threshold that is no number.
        """
        image = np.asarray(intensity)
        score = self._map(score, image.shape)
        if not is_number(threshold):
            raise InputError(f"threshold must be a number, in units of the score; received {threshold!r}")
        found = search(
            score,
            score >= np.float32(threshold),
            image.shape,
            min_blocks=self.min_blocks,
            dilation=self.dilation,
            merge=self.merge,
            binning=self.binning,
            link=self.link,
        )
        return measured(found, image, self.binning)

    def reach(self, score: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """The highest threshold at which each pixel belongs to a region: what `regions` gives at all thresholds at once.

        Exact where it is above that of a tenth of the pixels, or where all components are large enough (`min_area` 1).

        Args:
            score: map of `score`.
            shape: rows and columns of the frame.

        Returns:
            (rows, cols) float32; a pixel is in a region where it is at or above the threshold. -infinity below what is exact.

        Raises:
            InputError: a map that does not belong to the shape.
        """
        found, _ = opened(self._map(score, shape), self.min_blocks, DEPTH)
        return widened(enlarged(found, self.binning, shape), 2 * self.dilation + 1)

    @property
    def min_blocks(self) -> int:
        """Smallest component, in blocks."""
        return -(-self.min_area // self.binning**2)

    @property
    def link(self) -> int:
        """Rows or columns, in blocks, up to which two parts of components belong to one region."""
        return 1 + (2 * self.dilation + self.merge) // self.binning

    def _map(self, score: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        score = np.ascontiguousarray(score, np.float32)
        if len(shape) != 2:
            raise InputError(f"a frame has rows and columns; received an array of shape {shape}")
        expected = tuple(-(-side // self.binning) for side in shape)
        if score.shape != expected:
            raise InputError(
                f"the scores of a frame of {size(shape)} at binning {self.binning} have the shape {expected}; received "
                f"{score.shape}"
            )
        # The smallest of numbers is NaN if one of them is.
        if np.isnan(score.min()):
            raise InputError("the scores hold NaN; give residuals that are numbers")
        return score

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            InputError: a setting that does not exist, or a value that cannot be.
        """
        known = [field.name for field in fields(cls)]
        unknown = [name for name in values if name not in known]
        if unknown:
            raise InputError(f"{cls.__name__} has no setting {unknown[0]!r}; it takes {', '.join(known)}")
        return cls(**values)


def is_number(value: object) -> bool:
    """Whether a value is a finite number; True and False are none."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return number and bool(abs(value) < LARGEST)  # type: ignore[arg-type]
