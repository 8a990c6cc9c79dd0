"""Anomalies in camera frames: what a model of dark frames cannot draw.

One artefact a run: `config.json` and `model.weights.h5` (the model), `pedestal.npz` (level and noise of each pixel),
`calibration.json` (the finder and its thresholds) and `card.json`. Another rate of false regions takes no training and no
frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from particle_zoo import registry
from particle_zoo.detectors.camera import (
    Calibration,
    CameraFrames,
    Finder,
    PedestalModel,
    Regions,
    calibrate,
    finder_from_dict,
)
from particle_zoo.errors import InputError
from particle_zoo.weights import PEDESTAL

if TYPE_CHECKING:
    from particle_zoo.models.pedestal_ae import PedestalAE

CALIBRATION = "calibration.json"
"""Name of the thresholds in a run folder."""

RATES = (0.1, 1.0)
"""False regions a frame that thresholds are calibrated for."""


@dataclass(frozen=True, eq=False)
class AnomalyDetector:
    """A model of dark frames with the pedestal of its camera, a search for regions, and its thresholds.

    Frames are (rows, cols) uint16 counts.

    Args:
        model: a trained model of the task "anomaly".
        pedestal: of the camera, as the model was trained with.
        finder: from residuals to regions.
        calibration: thresholds of that finder on residuals of this model; None before `calibrate`.
        config: what config.json of its run says; empty where there is none.

    Raises:
        InputError: thresholds of another finder.
    """

    model: PedestalAE
    pedestal: PedestalModel
    finder: Finder
    calibration: Calibration | None = None
    config: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.calibration is not None:
            self.calibration.check(self.finder)

    def reconstruct(self, frame: npt.ArrayLike) -> np.ndarray:
        """(rows, cols) float32 counts above the pedestal that the model expects of a dark frame.

        Raises:
            InputError: a frame of another size than the pedestal.
        """
        return self._draw(self._subtracted(frame))

    def residual(self, frame: npt.ArrayLike) -> np.ndarray:
        """(rows, cols) float32 counts: the frame minus pedestal, common mode (where the model has it) and reconstruction."""
        return self._maps(frame)[1]

    def score(self, frame: npt.ArrayLike) -> np.ndarray:
        """Map of the finder's scores; see `Finder.score`."""
        return self._score(self.residual(frame))

    def regions(self, frame: npt.ArrayLike, *, rate: float = 1.0) -> Regions:
        """Regions of a frame; their integrals are sums of counts above pedestal and common mode.

        Args:
            frame: counts.
            rate: false regions a dark frame, on average.

        Raises:
            InputError: not calibrated, or not for such a rate.
        """
        threshold = self.threshold(rate)
        subtracted, residual = self._maps(frame)
        return self.finder.regions(self._score(residual), threshold, subtracted)

    def threshold(self, rate: float) -> float:
        """Score from which dark frames have this many regions each, on average.

        Raises:
            InputError: not calibrated, or not for such a rate.
        """
        if self.calibration is None:
            raise InputError(
                "this detector has no thresholds; call calibrate with dark frames that it was not trained on"
            )
        return self.calibration.threshold(rate)

    def calibrate(
        self, frames: CameraFrames | Iterable[npt.ArrayLike], rates: Sequence[float] = RATES
    ) -> AnomalyDetector:
        """A copy with thresholds from dark frames that nothing was fitted to.

        Raises:
            InputError: as `particle_zoo.detectors.camera.calibrate`.
        """
        return replace(self, calibration=calibrate(self.finder, (self.score(frame) for frame in frames), rates))

    def save(self, folder: str | Path) -> Path:
        """Write the artefact: one folder that `load`, `particle_zoo.load` and the commands take.

        Raises:
            InputError: not calibrated, or a folder with the run of another model.
        """
        from particle_zoo.cli import read_json, write_json
        from particle_zoo.weights import WEIGHTS, save, write_card

        folder = Path(folder)
        if self.calibration is None:
            raise InputError("a detector without thresholds is not saved; call calibrate first")
        about = folder / "config.json"
        name = self.model.zoo_name
        if about.exists() and (found := read_json(about, what="run configuration").get("model")) != name:
            raise InputError(f"{folder} holds a {found}; choose another folder for this {name}")
        dataset = self.config.get("dataset", registry.info(name).default_dataset)
        write_json(
            about,
            {
                **self.config,
                "model": name,
                "config": self.model.zoo_config.model_dump(mode="json"),
                "preprocessing": self.model.preprocessor.to_dict(),
                "classes": None,
                "dataset": dataset,
            },
        )
        self.pedestal.save(folder / PEDESTAL)
        self.calibration.save(folder / CALIBRATION)
        save(self.model, folder / WEIGHTS)
        write_card(folder, self.model, {"dataset": dataset})
        return folder

    @classmethod
    def load(cls, source: str | Path) -> AnomalyDetector:
        """Read an artefact.

        Args:
            source: run folder of a model of the task "anomaly", or the name of a published one.

        Raises:
            InputError: a part is missing, damaged, or does not belong to the rest.
            UnknownModelError, WeightsNotFoundError: a name without model or weights.
        """
        from particle_zoo.weights import load_run, locate

        folder = locate(source)
        model, config = load_run(folder)
        task = registry.info(model.zoo_name).task
        if task != "anomaly":
            raise InputError(f"{folder} holds a {model.zoo_name} for the task {task}; give a run of an anomaly model")
        if not (folder / CALIBRATION).is_file():
            raise InputError(f"{folder} holds no {CALIBRATION}: its training did not end; continue it with --resume")
        calibration = Calibration.load(folder / CALIBRATION)
        return cls(model, model.preprocessor.pedestal, finder_from_dict(calibration.finder), calibration, config)

    def _subtracted(self, frame: npt.ArrayLike) -> np.ndarray:
        image = np.asarray(frame)
        if image.ndim != 2:
            raise InputError(f"a frame has rows and columns; received an array of shape {image.shape}")
        return self.pedestal.subtract(image)

    def _draw(self, subtracted: np.ndarray) -> np.ndarray:
        inputs = self.pedestal.in_sigmas(subtracted, clip=self.model.preprocessor.clip)
        drawn = np.asarray(self.model.predict_on_batch(inputs[None, ..., None]))[0, ..., 0]
        return np.multiply(drawn, self.pedestal.scale, dtype=np.float32)

    def _maps(self, frame: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Counts above pedestal and common mode, and what the reconstruction leaves of them."""
        subtracted = self._subtracted(frame)
        return subtracted, subtracted - self._draw(subtracted)

    def _score(self, residual: np.ndarray) -> np.ndarray:
        return self.finder.score(residual, sigma=self.pedestal.sigma, veto=self.pedestal.masked)


__all__ = ["CALIBRATION", "PEDESTAL", "RATES", "AnomalyDetector"]
