"""Trials of autoencoders of jets."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import keras
import numpy as np

from particle_zoo import registry
from particle_zoo.errors import InputError
from particle_zoo.jets import Jets
from particle_zoo.training import session
from tuning.trial_data import Part, TrialData, by_id, joined


class JetRecords(TrialData):
    """Jets of the training and the validation split; arguments as `TrialData`."""

    @cached_property
    def job(self) -> Any:
        """The training of the model as it is by default, for its jets."""
        options = {"seed": self.seed, "dataset": self.dataset, "limit": self.limit, "precision": self.precision}
        return self._trainer.prepare(self.card, {}, **options, **self.where)

    @property
    def _trainer(self) -> Any:
        return importlib.import_module(session.TRAINERS[self.card.task])

    @cached_property
    def fingerprint(self) -> str:
        # Without making or reading a jet.
        return importlib.import_module("particle_zoo.data.jets").fingerprint(self.dataset, **self.where)

    def parts(self, folds: int) -> Iterable[Part]:
        splits = self.job.training, self.job.validation
        if not folds:
            if not len(splits[1]):
                raise InputError(
                    f"{self.dataset} has no validation jets to judge trials on; give --folds or more files"
                )
            return [splits]
        both = joined(splits, Jets.concat)
        # Jets have no names; their places in the order of their values serve as well.
        names = np.argsort(np.lexsort(both.values.T))
        return [(both[learn], both[held]) for learn, held in by_id(names, folds, self.seed, groups=both.events)]

    def build(self, settings: dict[str, Any], train: Any) -> Any:
        keras.config.set_dtype_policy(self.precision)
        keras.utils.set_random_seed(self.seed)
        model = registry.create(self.card.name, **settings)
        model.preprocessor = model.preprocessor.fit(train)
        return model

    def fit(self, model: Any, part: Part, callbacks: Sequence[Any]) -> None:
        self._trainer.train_model(model, *part, seed=self.seed, callbacks=tuple(callbacks))
