"""What a trial trains on: data that are loaded once a process, and a training on them; no test split is ever loaded."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from particle_zoo.errors import InputError
from particle_zoo.registry import ModelCard

Part = tuple[Any, Any]
"""What a model learns from, and what it is judged on."""

FAMILIES = {
    "anomaly": "tuning.families.frames.Frames",
    "deep_clustering": "tuning.families.patches.PatchImages",
    "compression": "tuning.families.jets.JetRecords",
}
"""Classes of the tasks that do not learn from clusters."""


class TrialData(ABC):
    """Training and validation data of one search, and how a model of its task learns from them.

    Args:
        card: the model.
        dataset: NAME[/CONFIG]; the card's default without it.
        data_dir: where prepared data are kept.
        manual_dir: the user's files.
        classes: names, comma-separated; see `particle_zoo.training.session.parse_classes`.
        limit: the first so many for training.
        seed: of weights, order and folds, the same for all trials.
        precision: dtype policy.

    Raises:
        InputError: unknown names, or classes for a model that learns without.
    """

    ALWAYS: ClassVar[bool] = False
    """Whether measures are taken even where they are not asked for: `refusal` looks at them."""

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
        self.where: dict[str, Any] = {"data_dir": data_dir, "manual_dir": manual_dir}
        self.limit, self.seed, self.precision = limit, seed, precision
        self.classes = self.chosen_classes(classes)

    def chosen_classes(self, text: str | None) -> tuple[str, ...] | None:
        """Class names to train on.

        Raises:
            InputError: see the class.
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
        """Training and validation data of every fold; those of the two splits with 0 folds.

        Raises:
            InputError: unusable data, or folds that cannot be.
        """

    @abstractmethod
    def build(self, settings: dict[str, Any], train: Any) -> Any:
        """A fresh model whose preprocessing was fitted on the training data.

        Raises:
            InputError: settings that cannot be.
        """

    @abstractmethod
    def fit(self, model: Any, part: Part, callbacks: Sequence[Any]) -> None:
        """Train a model; afterwards it has the weights of its last epoch.

        Raises:
            InputError: the training diverged.
        """

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the metrics that `measure` gives beside the logs of an epoch."""
        return ()

    def measure(self, model: Any, part: Part) -> dict[str, float]:
        """The measures of a trained model, by name."""
        return {}

    def refusal(self, measures: dict[str, float]) -> str | None:
        """Why a model with these measures is of no use, in a sentence; None where it is of use."""
        return None


def open_data(card: ModelCard, **choice: Any) -> TrialData:
    """The data of a search, to be loaded when they are asked for; arguments as `TrialData`."""
    module, _, name = FAMILIES.get(card.task, "tuning.families.clusters.ClusterImages").rpartition(".")
    return getattr(importlib.import_module(module), name)(card, **choice)


def by_id(
    ids: np.ndarray, folds: int, seed: int, *, labels: np.ndarray | None = None, groups: np.ndarray | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Folds that depend on nothing but names, labels and groups: not on the order of the examples.

    Args:
        ids: (n,) different names.
        folds: 2 or more.
        seed: of the folds.
        labels: (n,) names whose shares are alike in all folds; none are all alike.
        groups: (n,) examples of one group, such as clusters of a primary, stay together.

    Returns:
        One pair a fold: positions to learn from and positions held out, ascending.

    Raises:
        InputError: fewer examples of a class, or fewer groups, than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    order = np.argsort(ids, kind="stable")
    kinds = np.zeros(len(order), int) if labels is None else np.asarray(labels)
    names, count = np.unique(kinds, return_counts=True)
    if not len(count) or count.min() < folds:
        received = f"{len(order)}" if labels is None else dict(zip(names.tolist(), count.tolist(), strict=True))
        raise InputError(
            f"{folds} folds need at least {folds} examples{'' if labels is None else ' of every class'}; received {received}"
        )
    if groups is None:
        split = StratifiedKFold(folds, shuffle=True, random_state=seed).split(order, kinds[order])
    else:
        apart, number = np.unique(np.asarray(groups)[order], return_inverse=True)
        if len(apart) < folds:
            raise InputError(
                f"{folds} folds need at least {folds} primaries or events; received {len(apart)}; take fewer --folds"
            )
        split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(order, kinds[order], number)
    return [(np.sort(order[learn]), np.sort(order[held])) for learn, held in split]


def joined(parts: Part, concat: Callable[[list[Any]], Any]) -> Any:
    """Training and validation data as one set, for folds."""
    return concat([part for part in parts if len(part)])
