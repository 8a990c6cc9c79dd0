"""A detector of anomalies and frames of any size, for measurements of speed and memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from particle_zoo.anomaly import AnomalyDetector
from particle_zoo.detectors.camera import finder_from_dict
from particle_zoo.errors import InputError
from particle_zoo.simulation import optical_tpc
from particle_zoo.simulation.optical_tpc import presets

MODEL = "pedestal_ae"

FITTED, CALIBRATED, LIT = 10, 8, 5
"""Frames for the pedestal, for the threshold, and with light: few, as speed does not depend on what is learnt from them."""

RATE = 1.0
"""False regions a frame."""

EVENTS = 8
"""Nuclear recoils in a frame of 2304 x 2304 px; fewer in small ones."""

ENERGIES_KEV = (1.0, 5.9, 20.0)


def detector_for(
    run: str | Path | None, shape: tuple[int, int], seed: int
) -> tuple[AnomalyDetector, list[np.ndarray], list[np.ndarray]]:
    """A detector for frames of a size, without thresholds, and simulated frames of its camera.

    Args:
        run: run folder or published name, whose model and finder are taken; None for an untrained `pedestal_ae`.
        shape: rows and columns.
        seed: of frames and weights.

    Returns:
        The detector, dark frames to calibrate with, and frames with light; (rows, cols) uint16.

    Raises:
        InputError: a run of another task, or a size that no simulated camera has.
    """
    if run is None:
        import keras

        from particle_zoo import registry
        from particle_zoo.training.anomaly import FINDERS

        keras.utils.set_random_seed(seed)
        model = registry.create(MODEL)
        settings = model.zoo_config
        finder = finder_from_dict({"kind": FINDERS[settings.finder], **settings.finder_settings})
    else:
        known = AnomalyDetector.load(run)
        model, finder = known.model, known.finder
    preset = _preset(shape)
    dark = list(optical_tpc.pedestals(preset, n=FITTED + CALIBRATED, seed=seed, shape=shape))
    model.preprocessor = model.preprocessor.fit(dark[:FITTED])
    events = max(1, EVENTS * shape[0] * shape[1] // 2304**2)
    lit = optical_tpc.frames(
        preset, n=LIT, seed=seed, shape=shape, start=len(dark), events_per_frame=events, energies_kev=ENERGIES_KEV,
        classes=("nr",),
    )  # fmt: skip
    return AnomalyDetector(model, model.preprocessor.pedestal, finder), dark[FITTED:], [frame.counts for frame in lit]


def _preset(shape: tuple[int, int]) -> str:
    """The first camera that such frames fit into."""
    cameras = {name: presets.camera(presets.chain(name).camera).shape for name in ("lime", "quest")}
    for name, (rows, cols) in cameras.items():
        if shape[0] <= rows and shape[1] <= cols:
            return name
    sizes = " and ".join(f"{rows} x {cols}" for rows, cols in cameras.values())
    raise InputError(
        f"simulated cameras have {sizes} px; received {shape[0]} x {shape[1]}, give --shape of one of them or less"
    )
