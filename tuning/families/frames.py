"""Trials of anomaly models: autoencoders of dark camera frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import keras

from particle_zoo import registry
from particle_zoo.data import camera
from particle_zoo.detectors.camera import CameraFrames, PedestalModel, finder_from_dict
from particle_zoo.errors import InputError
from particle_zoo.evaluation.anomaly.leak import ENERGY_KEV, LIMIT, leak
from particle_zoo.training.anomaly import FEWEST_FRAMES, FINDERS, HELD_OUT, SPLITS, AnomalyJob
from tuning.trial_data import Part, TrialData

LEAK_FRAMES = 2
"""Held-out frames with spots."""


class Frames(TrialData):
    """Dark frames of the training split, the last tenth of which is held out; arguments as `TrialData`.

    The reconstruction error alone would reward an autoencoder that copies everything, light too. So each trained one is shown
    spots on held-out dark frames: a model that copies more than a fifth of their light is of no use, as in `train`.
    """

    ALWAYS: ClassVar[bool] = True

    @cached_property
    def fingerprint(self) -> str:
        return camera.fingerprint(self.dataset, **self.where)

    @cached_property
    def frames(self) -> CameraFrames:
        """Of the training split; each is read when it is asked for."""
        frames = camera.load_frames(self.dataset, SPLITS["train"], limit=self.limit, **self.where)
        if len(frames) < FEWEST_FRAMES:
            raise InputError(f"a pedestal takes {FEWEST_FRAMES} training frames or more; received {len(frames)}")
        return frames

    @cached_property
    def pedestals(self) -> dict[bool, PedestalModel]:
        """Those already fitted, with and without common mode: no other setting changes them."""
        return {}

    def parts(self, folds: int) -> Iterable[Part]:
        if folds:
            raise InputError(
                f"{self.card.name} holds out the last tenth of its frames, a run in time; leave --folds out"
            )
        held = max(1, round(HELD_OUT * len(self.frames)))
        return [(self.frames, self.frames[-held:])]

    def build(self, settings: dict[str, Any], train: Any) -> Any:
        keras.config.set_dtype_policy(self.precision)
        keras.utils.set_random_seed(self.seed)
        model = registry.create(self.card.name, **settings)
        common_mode = model.zoo_config.common_mode
        if common_mode not in self.pedestals:
            pedestal = PedestalModel.fit(train, common_mode=common_mode)
            pedestal.check_pedestals(train)
            self.pedestals[common_mode] = pedestal
        model.preprocessor = replace(model.preprocessor, pedestal=self.pedestals[common_mode])
        return model

    def fit(self, model: Any, part: Part, callbacks: Sequence[Any]) -> None:
        self._job(model, part).fit(callbacks=callbacks)

    @property
    def measures(self) -> tuple[str, ...]:
        return ("leak",)

    def measure(self, model: Any, part: Part) -> dict[str, float]:
        counts = ENERGY_KEV * model.zoo_config.counts_per_kev
        detector = self._job(model, part).detector()
        return {"leak": leak(detector.reconstruct, part[1][:LEAK_FRAMES], counts=counts, seed=self.seed)["leak"]}

    def refusal(self, measures: dict[str, float]) -> str | None:
        share = measures["leak"]
        if share <= LIMIT:
            return None
        return f"the reconstruction copies {share:.0%} of a spot of {ENERGY_KEV} keV, {LIMIT:.0%} are allowed"

    def _job(self, model: Any, part: Part) -> AnomalyJob:
        """A training without calibration and test frames."""
        config = model.zoo_config
        finder = finder_from_dict({"kind": FINDERS[config.finder], **config.finder_settings})
        return AnomalyJob(
            self.card, model, finder, self.dataset, {"train": part[0]}, (), self.seed, self.precision, self.limit, "none",
            self.fingerprint,
        )  # fmt: skip
