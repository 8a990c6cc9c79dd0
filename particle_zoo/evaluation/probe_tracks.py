"""What a linear probe reads off a latent vector: the length and the angle of a track."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.holy import classify
from particle_zoo.errors import InputError

FOLDS = 5

FEWEST = 20
"""Tracks below which nothing is probed: four a fold."""

ALPHAS = np.logspace(-3, 5, 9)
"""Strengths of the ridge that are chosen from, inside each training fold."""

TRUSTED = 30.0
"""Standard deviation of the columns of the enlargement, which the ridge then hardly shrinks."""

TRACKS = ("heavy track", "straight track", "curly track")


def tracks(clusters: Clusters, truth: pd.DataFrame, longer_px: int) -> np.ndarray:
    """(n,) bool: clusters of more than `longer_px` pixels whose morphological class is a track.

    Args:
        clusters: n clusters.
        truth: with their `size`.
        longer_px: largest size that is no track.
    """
    return np.isin(classify(clusters), TRACKS) & (truth["size"].to_numpy() > longer_px)


def probe(vectors: np.ndarray, truth: pd.DataFrame, factors: np.ndarray, *, seed: int = 0) -> dict[str, float]:
    """Ridge regression of length and angle on standardised columns, every track predicted by the folds without it.

    The angle is regressed as cosine and sine of twice itself, so that 0 and 180 degrees are the same; what has none is
    left out of it. A latent vector describes the enlarged image, so the enlargement factor and its inverse are columns
    too, hardly penalised, so that many latent values add to what these know; that is the probe of `vectors` without
    columns.

    Args:
        vectors: (n, k) latent vectors of tracks; k may be 0.
        truth: (n, ...) with `length` (px) and `angle` (degrees, NaN where there is none).
        factors: (n,) enlargement of each.
        seed: of the folds.

    Returns:
        `length_r2` (1 perfect, 0 as good as the mean), `length_n`, `angle_median` and `angle_mean` absolute error in
        degrees (45 by chance, both for a uniform angle), `angle_n`; NaN for the angle where too few tracks have one.

    Raises:
        InputError: fewer than `FEWEST` tracks.
    """
    from sklearn.metrics import r2_score

    if len(vectors) < FEWEST:
        raise InputError(
            f"a probe needs at least {FEWEST} tracks; received {len(vectors)}; choose a larger --split or --limit"
        )
    columns = np.column_stack([vectors.astype(float), factors, 1 / factors])
    length = truth["length"].to_numpy(float)
    guess = _predicted(columns, length[:, None], seed)[:, 0]
    found: dict[str, float] = {"length_r2": float(r2_score(length, guess)), "length_n": len(length)}
    angle = truth["angle"].to_numpy(float)
    directed = np.isfinite(angle)
    found |= {"angle_median": np.nan, "angle_mean": np.nan, "angle_n": int(directed.sum())}
    if directed.sum() >= FEWEST:
        doubled = np.radians(2 * angle[directed])
        guess = _predicted(columns[directed], np.column_stack([np.cos(doubled), np.sin(doubled)]), seed)
        error = angle_error(angle[directed], np.degrees(np.arctan2(guess[:, 1], guess[:, 0])) / 2)
        found |= {"angle_median": float(np.median(error)), "angle_mean": float(error.mean())}
    return found


def angle_error(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Absolute difference of directions in degrees, modulo 180: 0..90."""
    return np.asarray(np.abs((one - other + 90) % 180 - 90))


def _predicted(columns: np.ndarray, target: np.ndarray, seed: int) -> np.ndarray:
    """(n, m) target values, each predicted from the other folds; the last two columns are those of the enlargement."""
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    trusted = make_pipeline(StandardScaler(), FunctionTransformer(_trusted))
    index = list(range(columns.shape[1]))
    scaled = ColumnTransformer([("latent", StandardScaler(), index[:-2]), ("enlargement", trusted, index[-2:])])
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    ridge = make_pipeline(scaled, RidgeCV(ALPHAS, alpha_per_target=True))
    return np.asarray(cross_val_predict(ridge, columns, target, cv=folds)).reshape(target.shape)


def _trusted(columns: np.ndarray) -> np.ndarray:
    return TRUSTED * columns


def compare(
    representations: dict[str, np.ndarray], truth: pd.DataFrame, factors: np.ndarray, seed: int = 0
) -> dict[str, Any]:
    """`probe` of each representation, after that of the enlargement alone.

    Each also has `length_beyond`, the share of the variance of the length that the enlargement leaves open and the
    representation explains: 1 all of it, 0 or less none.

    Args:
        representations: (n, k) by name.
        truth: as in `probe`.
        factors: as in `probe`.
        seed: of the folds.
    """
    named = {"enlargement alone": np.empty((len(truth), 0)), **representations}
    found = {name: probe(vectors, truth, factors, seed=seed) for name, vectors in named.items()}
    left = max(1 - found["enlargement alone"]["length_r2"], np.finfo(float).tiny)
    return {name: row | {"length_beyond": 1 - (1 - row["length_r2"]) / left} for name, row in found.items()}
