"""What a network has to beat: the majority, two cuts, and trees on shape features. All give a probability of the first class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.morphology import features
from particle_zoo.evaluation import baseline

FEATURES = (
    "energy_sum",
    "energy_mean",
    "energy_max",
    "energy_std",
    "let_kev_um",
    "size",
    "fill",
    "inner",
    "length_projected",
    "width_projected",
    "elongation",
    "linearity",
    "roundness",
    "skeleton_length",
    "tortuosity",
)
"""Columns of trees: the energy and how it is spread, the extent, and how straight and dense the cluster is.

None knows where on the chip the cluster lies or how it is turned: neither tells the particle. `let_kev_um` is the energy
over the path of a track that crosses the sensor.
"""

CUT_FEATURES = ("energy_sum", "size")

LEAST_TO_STOP = 500


def table(clusters: Clusters) -> pd.DataFrame:
    """`FEATURES` of n clusters, float64 (n, 15)."""
    return features(clusters, FEATURES)


def majority(train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame, seed: int) -> np.ndarray:
    """The share of the first class among the training clusters, for every cluster."""
    return np.full(len(test), np.mean(target == 0))


def energy_size_cut(train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame, seed: int) -> np.ndarray:
    """A decision tree of depth 2 on energy sum and size: at most one cut after another."""
    from sklearn.tree import DecisionTreeClassifier

    return _fitted(DecisionTreeClassifier(max_depth=2, random_state=0), train, target, test, CUT_FEATURES)


def random_forest(train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame, seed: int) -> np.ndarray:
    """The forest of every comparison in this package, on `FEATURES`."""
    return _fitted(baseline.forest(seed), train, target, test, FEATURES)


def gradient_boosting(train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame, seed: int) -> np.ndarray:
    """Histogram gradient boosting on `FEATURES`, stopped on a tenth of the training clusters that it holds back.

    With fewer than `LEAST_TO_STOP` clusters a tenth says nothing; then it takes 100 steps. With fewer than 200, leaves
    of scikit-learn's 20 clusters would leave no tree; then they take a tenth of the clusters.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    stops = len(target) >= LEAST_TO_STOP
    model = HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=2000 if stops else 100,
        early_stopping=stops,
        min_samples_leaf=min(20, max(1, len(target) // 10)),
        random_state=seed,
    )
    return _fitted(model, train, target, test, FEATURES)


Rival = Callable[[pd.DataFrame, np.ndarray, pd.DataFrame, int], np.ndarray]

RIVALS: dict[str, Rival] = {
    "majority": majority,
    "energy and size cut": energy_size_cut,
    "random forest": random_forest,
    "gradient boosting": gradient_boosting,
}
"""Functions of training features, class indices, test features and a seed."""

SAME_WITH_EVERY_SEED = ("majority", "energy and size cut")


def _fitted(
    model: Any, train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame, names: tuple[str, ...]
) -> np.ndarray:
    trained = model.fit(train[list(names)].to_numpy(), target)
    column = list(trained.classes_).index(0)
    return np.asarray(trained.predict_proba(test[list(names)].to_numpy())[:, column], np.float64)
