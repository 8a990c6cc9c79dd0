"""Preprocessing of camera frames: counts above the pedestal in units of each pixel's noise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from particle_zoo.detectors.camera import CameraFrames, PedestalModel
from particle_zoo.errors import InputError
from particle_zoo.weights import PEDESTAL


@dataclass(frozen=True)
class FramePreprocessor:
    """Turn frames into model inputs; travels with the weights, its pedestal in a file beside them.

    Args:
        clip: values end at plus and minus this, in units of the noise.
        common_mode: remove the common level of each frame and the medians of its rows and columns.
        pedestal: of the camera; None before `fit`.
    """

    LEARNED: ClassVar[frozenset[str]] = frozenset()
    FIXED_SHAPE: ClassVar[bool] = True

    clip: float = 50.0
    common_mode: bool = True
    pedestal: PedestalModel | None = field(default=None, repr=False, compare=False)

    def fit(self, frames: CameraFrames | Iterable[npt.ArrayLike]) -> FramePreprocessor:
        """A copy with the pedestal of these frames, and of no others.

        Raises:
            InputError: as `PedestalModel.fit`.
        """
        return replace(self, pedestal=PedestalModel.fit(frames, common_mode=self.common_mode))

    def __call__(self, frames: CameraFrames | npt.ArrayLike) -> np.ndarray:
        """Model inputs of n frames.

        Args:
            frames: n frames, or (n, rows, cols) or (rows, cols) counts.

        Returns:
            (n, rows, cols, 1) float32 in units of each pixel's noise; 0 where a pixel is hot or has telegraph noise.

        Raises:
            InputError: no pedestal yet, or frames of another size.
        """
        if self.pedestal is None:
            raise InputError(
                "frames need the pedestal of their camera; load a trained run, or call fit with dark frames"
            )
        images: Any = frames if isinstance(frames, CameraFrames) else np.asarray(frames)
        images = images[None] if isinstance(images, np.ndarray) and images.ndim == 2 else images
        if not len(images):
            raise InputError("no frames to look at: received an empty batch")
        return np.stack([self.pedestal.normalise(image, clip=self.clip) for image in images])[..., None]

    def with_parts(self, folder: Path) -> FramePreprocessor:
        """A copy with the pedestal of a run folder.

        Raises:
            InputError: it is missing or damaged, or was fitted with another `common_mode`.
        """
        pedestal = PedestalModel.load(folder / PEDESTAL)
        if pedestal.common_mode != self.common_mode:
            raise InputError(
                f"{folder / PEDESTAL} was fitted with common_mode {pedestal.common_mode}, the model needs "
                f"{self.common_mode}; copy the folder again or train anew"
            )
        return replace(self, pedestal=pedestal)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields, without the pedestal."""
        return {"clip": self.clip, "common_mode": self.common_mode}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FramePreprocessor:
        """The inverse of `to_dict`."""
        return cls(**values)
