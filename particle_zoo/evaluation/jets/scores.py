"""Errors of reconstructed jets: the mean square that was trained on, and residuals in physical units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from particle_zoo.errors import InputError
from particle_zoo.jets import ANGLES, Jets, mass, wrapped

if TYPE_CHECKING:
    import pandas as pd

DIFFERENCES = frozenset(
    (
        "eta", "DetectorEta", "ActiveArea4vec_eta", "NegativeE", "Timing", "EMFrac", "HECFrac", "HECQuality", "LArQuality",
        "AverageLArQF", "OotFracClusters10", "OotFracClusters5",
    )
)  # fmt: skip
"""Variables that are 0 in many jets, or change their sign: their residual is a difference, since a ratio would blow up."""

PERCENTILES = (16.0, 84.0)
"""Ends of the central 68 %."""

CLIP = 5.0
"""Residuals are clipped so many half widths from the median: their tails are long, and moments would tell of nothing else."""


def normalised(model: Any, jets: Jets) -> tuple[np.ndarray, np.ndarray]:
    """(n, k) float64 normalised variables of jets and what a model makes of them."""
    values = model.preprocessor.normalise(jets.select(model.preprocessor.columns).values)
    return values, np.asarray(model.decode(model.encode(values.astype(np.float32))), np.float64)


def reconstruct(model: Any, jets: Jets) -> Jets:
    """The jets as a model draws them from their latent vectors, in physical units.

    Args:
        model: with `encode`, `decode` and a fitted `preprocessor`.
        jets: with the variables of the model, or what they follow from.

    Raises:
        InputError: jets that cannot be normalised.
    """
    return found_jets(model.preprocessor, normalised(model, jets)[1], jets)


def found_jets(preprocessor: Any, outputs: np.ndarray, jets: Jets) -> Jets:
    """Jets of (n, k) normalised outputs, of the same events as those they were drawn from."""
    return Jets(preprocessor.unnormalise(outputs), preprocessor.columns, jets.events)


def mse(model: Any, jets: Jets) -> float:
    """Mean square error of normalised variables, over jets and variables; in float64.

    Values of two sets of variables, or of two normalisations, cannot be compared.

    Raises:
        InputError: no jets, or jets that cannot be normalised.
    """
    return mean_square(*normalised(model, jets))


def mean_square(true: np.ndarray, found: np.ndarray) -> float:
    """Mean square of the difference of two arrays.

    Raises:
        InputError: empty arrays.
    """
    if not len(true):
        raise InputError("no jets to score: received an empty set")
    return float(np.mean((found - true) ** 2))


def residual_name(variable: str) -> str:
    """Name of the residual of a variable, which says where it is no ratio to the true value."""
    if variable in ANGLES:
        return f"{variable} (wrapped difference)"
    return f"{variable} (difference)" if variable in DIFFERENCES else variable


def residuals(true: Jets, found: Jets) -> pd.DataFrame:
    """How far found jets are from the true ones.

    Args:
        true: n jets.
        found: as many, with the same variables.

    Returns:
        One row a jet, one column a variable: (found - true) / true, "eta (difference)" and the like of variables around 0, and
        "phi (wrapped difference)" in (-pi, pi]. A ratio to a true value of 0 is NaN.

    Raises:
        InputError: jets that do not belong together.
    """
    import pandas as pd

    if true.columns != found.columns or len(true) != len(found):
        raise InputError(
            f"residuals need the same variables of the same jets; received {len(true)} with {', '.join(true.columns)} and "
            f"{len(found)} with {', '.join(found.columns)}"
        )
    columns = {}
    for name in true.columns:
        expected = true.column(name)
        difference = found.column(name) - expected
        if name in ANGLES:
            difference = wrapped(difference)
        elif name not in DIFFERENCES:
            difference = _ratio(difference, expected)
        columns[residual_name(name)] = difference
    return pd.DataFrame(columns)


def mass_residuals(true: Jets, found: Jets) -> np.ndarray | None:
    """(n,) residuals of the mass that follows from pt, eta and E, relative; None without these three.

    The square of the found mass may be negative; then so is the mass, and the residual is below -1.
    """
    if not {"pt", "eta", "E"} <= set(true.columns):
        return None
    momentum, e = found.column("pt") * np.cosh(found.column("eta")), found.column("E")
    # (E - p)(E + p) keeps the digits that E^2 - p^2 loses.
    squared = (e - momentum) * (e + momentum)
    expected = mass(true.column("pt"), true.column("eta"), true.column("E"), lenient=True)
    return _ratio(np.sign(squared) * np.sqrt(np.abs(squared)) - expected, expected)


def _ratio(difference: np.ndarray, true: np.ndarray) -> np.ndarray:
    return np.divide(difference, true, out=np.full(len(true), np.nan), where=true != 0)


def summary(residuals: pd.DataFrame) -> pd.DataFrame:
    """Location and width of residuals by quantiles, which tails do not move.

    Args:
        residuals: one column a variable, of at least one jet; NaN is left out.

    Returns:
        One row a variable: `median`, `half_width` (half of the central 68 %), `clipped` (share of jets beyond the limits),
        `low` and `high` (these limits: `CLIP` half widths from the median; the least and greatest residual where the
        width is 0) and `undefined` (share of NaN). All but the last are NaN where no residual is defined.

    Raises:
        InputError: no jets.
    """
    import pandas as pd

    if not len(residuals):
        raise InputError("no jets to score: received an empty set")
    rows = {}
    for name, column in residuals.items():
        values = column.to_numpy()
        known = values[np.isfinite(values)]
        row = dict.fromkeys(("median", "half_width", "clipped", "low", "high"), np.nan)
        if len(known):
            low, middle, high = np.percentile(known, (PERCENTILES[0], 50.0, PERCENTILES[1]))
            half = (high - low) / 2
            ends = (middle - CLIP * half, middle + CLIP * half) if half > 0 else (known.min(), known.max())
            beyond = np.mean((known < ends[0]) | (known > ends[1]))
            row = {"median": middle, "half_width": half, "clipped": beyond, "low": ends[0], "high": ends[1]}
        rows[name] = {**row, "undefined": 1 - len(known) / len(values)}
    return pd.DataFrame.from_dict(rows, orient="index")


def clipped(residuals: pd.DataFrame, limits: pd.DataFrame) -> pd.DataFrame:
    """Residuals with those beyond the limits of their `summary` put on them."""
    return residuals.clip(limits["low"], limits["high"], axis=1)


def correlations(residuals: pd.DataFrame, limits: pd.DataFrame) -> pd.DataFrame:
    """Pearson correlation of every pair of residuals, clipped as their `summary` says; NaN where one of them is constant."""
    return clipped(residuals, limits).corr()
