"""What a trial trains on: the data of a search, loaded once a process, and a training of each kind of model on them.

No test split is ever loaded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.errors import InputError
from particle_zoo.registry import ModelCard

Part = tuple[Any, Any]
"""What a model learns from, and what it is judged on."""


class TrialData(ABC):
    """Training and validation data of one search, and how a model of its task learns from them.

    Args:
        card: the model.
        dataset: NAME[/CONFIG]; the card's default without it.
        data_dir: where prepared data are kept.
        manual_dir: the user's files.
        classes: names, comma-separated; see `particle_zoo.training.session.parse_classes`.
        limit: the first so many for training.
        seed: of weights and order, the same for all trials.
        precision: dtype policy.
    """

    def __init__(
        self,
        card: ModelCard,
        *,
        dataset: str | None = None,
        data_dir: Path | None = None,
        manual_dir: Path | None = None,
        classes: str | None = None,
        limit: int | None = None,
        seed: int = 0,
        precision: str = "float32",
    ) -> None:
        self.card, self.dataset = card, dataset or card.default_dataset
        self.where = {"data_dir": data_dir, "manual_dir": manual_dir}
        self.limit, self.seed, self.precision = limit, seed, precision
        self.classes: tuple[str, ...] | None = self.choose_classes(classes)

    def choose_classes(self, text: str | None) -> tuple[str, ...] | None:
        """Class names to train on.

        Raises:
            InputError: classes for a model that learns without.
        """
        if text is not None:
            raise InputError(f"{self.card.name} learns without classes; leave --classes out")
        return None

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Of the source of the data."""

    @abstractmethod
    def parts(self, folds: int) -> Iterable[Part]:
        """Training and validation data of every fold; those of the two splits without folds."""

    @abstractmethod
    def build(self, settings: dict[str, Any], train: Any) -> Any:
        """A fresh model whose preprocessing was fitted on training data.

        Raises:
            InputError: settings that cannot be.
        """

    @abstractmethod
    def fit(self, model: Any, part: Part, callbacks: Sequence[Any]) -> None:
        """Train a model.

        Raises:
            InputError: the training diverged.
        """


class _Clusters(TrialData):
    """Classifiers and autoencoders of clusters."""

    def choose_classes(self, text: str | None) -> tuple[str, ...] | None:
        from particle_zoo.training.session import is_classifier, parse_classes

        if not is_classifier(self.card) and not text:
            return None
        return parse_classes(text, self.dataset, self.where["manual_dir"])

    @cached_property
    def fingerprint(self) -> str:
        from particle_zoo import data

        return data.fingerprint(self.dataset, **self.where)

    @cached_property
    def splits(self) -> Part:
        """Clusters of the training and the validation split."""
        from particle_zoo import data

        train = data.load(self.dataset, "train", classes=self.classes, limit=self.limit, **self.where)
        return train, data.load(self.dataset, "validation", classes=self.classes, **self.where)

    def parts(self, folds: int) -> Iterable[Part]:
        if not folds:
            return [self.splits]
        from particle_zoo.clusters import Clusters

        both = Clusters.concat(list(self.splits))
        labels = both.labels if self.classes else np.zeros(len(both))
        return [(both[train], both[held]) for train, held in stratified(both.ids, labels, folds, self.seed)]

    def build(self, settings: dict[str, Any], train: Any) -> Any:
        from particle_zoo.training.pretrain import settle
        from particle_zoo.training.session import build, is_classifier

        known = self.classes if is_classifier(self.card) else None
        values = settle(self.card, settings, self.dataset, known, "none").model_dump()
        return build(self.card, values, train, known, seed=self.seed, precision=self.precision)

    def fit(self, model: Any, part: Part, callbacks: Sequence[Any]) -> None:
        from particle_zoo.training.fit import fit
        from particle_zoo.training.pretrain import pretrained_weights
        from particle_zoo.training.session import is_classifier

        known = self.classes if is_classifier(self.card) else None
        settings = model.zoo_config.model_dump()
        if known and settings.get("pretrain_epochs"):
            recipe: dict[str, Any] = {"seed": self.seed, "precision": self.precision}
            model.set_weights(pretrained_weights(self.card, settings, known, **recipe))
        fit(model, *part, classes=known, seed=self.seed, callbacks=callbacks)


def stratified(ids: np.ndarray, labels: np.ndarray, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions to train on and positions held out, of every fold; the same whatever the order of the examples.

    Args:
        ids: (n,) different names.
        labels: (n,) whose shares are alike in all folds.
        folds: 2 or more.
        seed: of the folds.

    Raises:
        InputError: fewer examples of a class than folds.
    """
    from sklearn.model_selection import StratifiedKFold

    order = np.argsort(ids, kind="stable")
    names, count = np.unique(labels, return_counts=True)
    if count.min() < folds:
        raise InputError(
            f"every class needs at least {folds} examples for as many folds; "
            f"received {dict(zip(names.tolist(), count.tolist(), strict=True))}"
        )
    split = StratifiedKFold(folds, shuffle=True, random_state=seed).split(order, labels[order])
    return [(np.sort(order[train]), np.sort(order[held])) for train, held in split]


def open_data(card: ModelCard, **choice: Any) -> TrialData:
    """The data of a search, to be loaded with the first trial; arguments as `TrialData`."""
    return _Clusters(card, **choice)
