"""Trials of classifiers and autoencoders of clusters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from particle_zoo import data
from particle_zoo.clusters import Clusters
from particle_zoo.errors import InputError
from particle_zoo.evaluation import classifier
from particle_zoo.pipelines.examples import class_index
from particle_zoo.training.fit import fit
from particle_zoo.training.pretrain import pretrained_weights, settle
from particle_zoo.training.session import build, is_classifier, parse_classes
from tuning.trial_data import Part, TrialData, by_id, joined


class ClusterImages(TrialData):
    """Clusters of the training and the validation split; arguments as `TrialData`.

    A classifier learns the chosen classes. Another model takes all clusters, or those of the classes.
    """

    def chosen_classes(self, text: str | None) -> tuple[str, ...] | None:
        if not is_classifier(self.card) and not text:
            return None
        return parse_classes(text, self.dataset, self.where["manual_dir"])

    @property
    def targets(self) -> tuple[str, ...] | None:
        """Class names in target order; None for models without targets."""
        return self.classes if is_classifier(self.card) else None

    @cached_property
    def fingerprint(self) -> str:
        return data.fingerprint(self.dataset, **self.where)

    @cached_property
    def splits(self) -> Part:
        """Clusters of the two splits."""
        train = data.load(self.dataset, "train", classes=self.classes, limit=self.limit, **self.where)
        return train, data.load(self.dataset, "validation", classes=self.classes, allow_empty=True, **self.where)

    def parts(self, folds: int) -> Iterable[Part]:
        if not folds:
            if not len(self.splits[1]):
                raise InputError(
                    f"{self.dataset} has no validation clusters to judge trials on; give --folds or more files"
                )
            return [self.splits]
        both = joined(self.splits, Clusters.concat)
        # Several clusters of one primary are no independent examples.
        groups = both.table["primary"].to_numpy() if "primary" in both.table else None
        labels = both.labels if self.targets else None
        found = by_id(both.ids, folds, self.seed, labels=labels, groups=groups)
        return [(both[learn], both[held]) for learn, held in found]

    def build(self, settings: dict[str, Any], train: Any) -> Any:
        values = settle(self.card, settings, self.dataset, self.targets, "none").model_dump()
        return build(self.card, values, train, self.targets, seed=self.seed, precision=self.precision)

    def fit(self, model: Any, part: Part, callbacks: Sequence[Any]) -> None:
        settings = model.zoo_config.model_dump()
        if settings.get("pretrain_epochs"):
            recipe: dict[str, Any] = {"seed": self.seed, "precision": self.precision}
            model.set_weights(pretrained_weights(self.card, settings, self.targets or (), **recipe))
        fit(model, *part, classes=self.targets, seed=self.seed, callbacks=callbacks)

    @property
    def measures(self) -> tuple[str, ...]:
        return ("accuracy", "balanced_accuracy") if self.targets else ()

    def measure(self, model: Any, part: Part) -> dict[str, float]:
        targets = self.targets or ()
        truth = class_index(part[1], targets)
        found = classifier.scores(truth, classifier.probabilities(model, part[1]).argmax(1), targets)
        return {name: found[name] for name in self.measures}
