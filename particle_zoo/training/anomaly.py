"""Training of anomaly models: a pedestal, an autoencoder of dark frames, and thresholds, each from frames of its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from particle_zoo import registry
from particle_zoo.anomaly import RATES, AnomalyDetector
from particle_zoo.cli import progress
from particle_zoo.detectors.camera import CameraFrames, Finder, PedestalModel, check_pedestals, finder_from_dict
from particle_zoo.detectors.camera.region_calibration import FEWEST
from particle_zoo.detectors.camera.source import size
from particle_zoo.errors import InputError
from particle_zoo.evaluation.anomaly.leak import ENERGY_KEV, LIMIT, check_room
from particle_zoo.registry import ModelCard
from particle_zoo.training import devices, fit, run_folder
from particle_zoo.training.checkpoint import earlier_seconds
from particle_zoo.training.frame_crops import FrameCrops
from particle_zoo.training.injection import EventBank
from particle_zoo.training.session import digest
from particle_zoo.weights import PEDESTAL

SPLITS = {"train": "pedestal_train", "calibration": "pedestal_calibration", "test": "pedestal_test"}

HELD_OUT = 0.1
"""Share of the training frames, the last of them, whose loss chooses the best epoch."""

WATCHED = 128
"""Crops of these frames, about."""

FEWEST_FRAMES = 10
"""A pedestal of fewer says little about the noise of a pixel."""

FINDERS = {"matched": "MatchedFilter", "region": "RegionFinder"}


@dataclass(frozen=True)
class AnomalyJob:
    """A model with the pedestal of its camera, and the dark frames of each purpose."""

    card: ModelCard
    model: Any
    finder: Finder
    dataset: str
    frames: dict[str, CameraFrames]
    """By the names of `SPLITS`; nothing is ever fitted to two of them."""
    rates: tuple[float, ...]
    seed: int
    precision: str
    limit: int | None
    init: str
    fingerprint: str
    gentle: dict[str, Any] = field(default_factory=dict)
    """Settings that fine-tuning, not the user, chose."""

    def config(self) -> dict[str, Any]:
        """What config.json says: everything needed to rebuild the model and to repeat the run."""
        table = self.frames["train"].table
        return {
            "model": self.card.name,
            "config": self.model.zoo_config.model_dump(mode="json"),
            "preprocessing": self.model.preprocessor.to_dict(),
            "classes": None,
            "dataset": self.dataset,
            "fingerprint": self.fingerprint,
            "init": self.init,
            "seed": self.seed,
            "precision": self.precision,
            "limit": self.limit,
            "train_ids": digest((table["source"] + " " + table["frame"].astype(str)).to_numpy()),
            "backend": keras.backend.backend(),
            "versions": run_folder.versions(),
        }

    def describe(self) -> str:
        """What is trained on what, and what could not be as asked for."""
        recipe = ", ".join(f"{k} {v:g}" for k, v in self.gentle.items())
        lines = [f"fine-tuning recipe, since --init is given: {recipe}"] if recipe else []
        lines += [
            f"{len(self.frames['calibration'])} calibration frames are too few for {rate:g} false regions a frame, "
            f"which takes {int(np.ceil(FEWEST / rate - 1e-9))}; thresholds are for {', '.join(f'{r:g}' for r in self.rates)}"
            for rate in RATES
            if rate not in self.rates
        ]
        counts = ", ".join(f"{len(frames)} {name}" for name, frames in self.frames.items())
        shape = size(self.frames["train"].shape[1:])
        return "\n".join([
            *lines,
            f"{self.card.name}: {self.model.count_params():,} parameters, frames of {shape} of {self.dataset} ({counts})",
        ])  # fmt: skip

    def initialise(self) -> None:
        """Start from the weights of another run of the same architecture, of any camera.

        Raises:
            InputError: weights that do not fit.
        """
        if self.init == "none":
            return
        from particle_zoo.weights import load_run, locate

        self.model.start_from(load_run(locate(self.init))[0])

    def train(
        self, folder: Path, quiet: bool = False, callbacks: Sequence[keras.callbacks.Callback] = ()
    ) -> dict[str, Any]:
        """Fit, calibrate, measure; writes the artefact, card and figures, and returns the metrics.

        A checkpoint in the folder is continued. The callbacks are called in the fit.

        Raises:
            InputError: the training diverged, or these frames give no thresholds; the folder then has neither metrics nor
                card.
        """
        from particle_zoo.evaluation.anomaly.after_training import finish

        pedestal: PedestalModel = self.model.preprocessor.pedestal
        if devices.current().chief:
            pedestal.save(folder / PEDESTAL)
        started = time.perf_counter() - earlier_seconds(folder)
        self.fit(folder, 0 if quiet else (1 if sys.stdout.isatty() else 2), callbacks)
        devices.current().dismiss()
        seconds = time.perf_counter() - started
        detector = self.detector()
        try:
            detector = detector.calibrate(progress(self.frames["calibration"], "frames", quiet=quiet), self.rates)
        except InputError as error:
            raise InputError(
                f"the weights in {folder} are trained, but these calibration frames give no thresholds, so the run is not "
                f"finished: {error}"
            ) from error
        return finish(detector, self, folder, {"training_seconds": round(seconds, 1)}, quiet=quiet)

    def fit(
        self,
        folder: Path | None = None,
        verbose: int | str = 0,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> dict[str, list[float]]:
        """Train the network on crops; see `particle_zoo.training.fit.run_epochs`."""
        config, pedestal = self.model.zoo_config, self.model.preprocessor.pedestal
        frames = self.frames["train"]
        held = max(1, round(HELD_OUT * len(frames)))
        bank = EventBank(self.seed) if config.monte_carlo else None
        crops = FrameCrops(frames[:-held], pedestal, config, seed=self.seed, bank=bank)
        watched = FrameCrops(
            frames[-held:], pedestal, config, seed=self.seed + 1, bank=bank, crops=max(1, WATCHED // held)
        )
        fit.compile_model(self.model, len(crops))
        batches = list(watched.between(0, 1))
        inputs, targets = (np.concatenate([batch[i] for batch in batches]) for i in (0, 1))
        return fit.run_epochs(
            self.model,
            crops.between,
            steps=len(crops),
            epochs=config.epochs,
            watched=(inputs, targets),
            callbacks=callbacks,
            folder=folder,
            verbose=verbose,
        )

    def detector(self) -> AnomalyDetector:
        """The model as it is now, without thresholds."""
        return AnomalyDetector(self.model, self.model.preprocessor.pedestal, self.finder, None, self.config())

    def check(self, metrics: dict[str, Any], folder: Path) -> None:
        """Judge a finished run.

        Raises:
            InputError: its reconstruction copies light.
        """
        if not metrics["leak_passed"]:
            raise InputError(
                f"the run in {folder} copies light: {metrics['leak']:.0%} of a spot of {ENERGY_KEV} keV is in the "
                f"reconstruction and missing in the residual, {LIMIT:.0%} are allowed; train pedestal_ae_denoise, or with a "
                f"smaller bottleneck"
            )


def prepare(
    card: ModelCard,
    overrides: dict[str, Any],
    *,
    seed: int = 0,
    dataset: str | None = None,
    data_dir: Path | None = None,
    manual_dir: Path | None = None,
    limit: int | None = None,
    precision: str = "float32",
    init: str = "none",
    data_seed: int | None = None,
    **data_overrides: Any,
) -> AnomalyJob:
    """Open the dark frames, fit the pedestal on the training ones alone, and build the model.

    Args:
        card: an anomaly model.
        overrides: settings.
        seed: of everything random.
        dataset: NAME[/CONFIG]; that of the card by default.
        data_dir: where prepared data are kept.
        manual_dir: the user's files.
        limit: the first so many training frames.
        precision: dtype policy.
        init: "none", or a run folder or published name whose weights to start from.
        data_seed: of simulated frames; that of the published set by default.
        data_overrides: of `particle_zoo.data.camera.load_frames`.

    Raises:
        InputError: unusable settings or files, too few frames, frames that are no pedestals, or frames too small for the spots
            whose light the metrics follow.
    """
    from particle_zoo.data import camera
    from particle_zoo.weights import locate

    settings, gentle = settle(card, overrides, init)
    if init != "none":
        # Before minutes of reading frames.
        locate(init)
    finder = finder_from_dict({"kind": FINDERS[settings.finder], **settings.finder_settings})
    dataset = dataset or card.default_dataset
    source = {"data_dir": data_dir, "manual_dir": manual_dir, **data_overrides}
    if data_seed is not None:
        source["seed"] = data_seed
    # The whole splits first: that prepares the set, of which a limit then takes a part without making frames again.
    parts = {
        name: camera.load_frames(dataset, SPLITS[name], limit=limit if name == "train" else None, **source)
        for name in reversed(SPLITS)
    }
    frames = {name: parts[name] for name in SPLITS}
    rates = _check(frames)
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(seed)
    model = registry.create(card.name, **settings.model_dump())
    model.preprocessor = model.preprocessor.fit(progress(frames["train"], "frames", quiet=False))
    # The test frames, too: what cannot be read of them would be found after hours of training.
    for part in frames.values():
        check_pedestals(model.preprocessor.pedestal, part)
    check_room(frames["test"].shape[1:])
    found = camera.fingerprint(dataset, **source)
    return AnomalyJob(card, model, finder, dataset, frames, rates, seed, precision, limit, init, found, gentle)


def settle(card: ModelCard, overrides: dict[str, Any], init: str) -> tuple[Any, dict[str, Any]]:
    """The configuration of a training, and what of it fine-tuning chose.

    Raises:
        InputError: unusable settings.
    """
    config = registry.config_class(card.name)
    gentle = {} if init == "none" else {k: v for k, v in config.fine_tuning.items() if k not in overrides}
    return config.from_settings({**gentle, **overrides}), gentle


def _check(frames: dict[str, CameraFrames]) -> tuple[float, ...]:
    """The rates that there are enough calibration frames for.

    Raises:
        InputError: too few frames.
    """
    n = len(frames["train"])
    if n < FEWEST_FRAMES:
        raise InputError(f"a pedestal takes {FEWEST_FRAMES} training frames or more; received {n}")
    n = len(frames["calibration"])
    rates = tuple(rate for rate in RATES if rate * n + 1e-9 >= FEWEST)
    if not rates:
        raise InputError(
            f"thresholds for {max(RATES):g} false regions a frame take {int(np.ceil(FEWEST / max(RATES)))} calibration frames; "
            f"received {n}"
        )
    return rates
