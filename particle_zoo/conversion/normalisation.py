"""Means and standard deviations of the jets a net was trained on, from a small file: no state dict has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.cli import read_json
from particle_zoo.data.jet_values import HIGHEST_MEDIAN_PT
from particle_zoo.errors import InputError
from particle_zoo.jets import ENERGIES
from particle_zoo.pipelines.jets import MEV, JetPreprocessor

NONE = "none"
"""In the place of a file: the inputs are standardised already."""

SCALES = ("scale", "std")

SHAPE = '{"mean": {"pt": 65.1, ...}, "std": {"pt": 71.6, ...}}, or a CSV with the columns variable, mean and std'


def with_statistics(preprocessor: JetPreprocessor, source: str | None, unit: str = "GeV") -> JetPreprocessor:
    """The preprocessing with the statistics of the jets that a net was trained on.

    Args:
        preprocessor: of the model, without statistics.
        source: JSON or CSV file; NONE for mean 0 and scale 1; None for models that learn nothing from the jets.
        unit: of energies in the file, GeV or MeV.

    Raises:
        InputError: a standardised model without statistics, others with, or a file that does not give one finite mean and
            one scale above 0 for each variable.
    """
    if preprocessor.normalisation == "custom":
        if source is not None:
            raise InputError(
                f"this model normalises with fixed constants (custom), so --normalisation {source} has no place in it; leave it "
                "out, or give --set normalisation=standardised if the net was trained so"
            )
        return preprocessor
    if source is None:
        raise InputError(
            f"this model takes standardised {', '.join(preprocessor.columns)}, and a state dict does not say by which means and "
            "scales; give those of the training jets with --normalisation FILE.json, or --normalisation none if your inputs are "
            "standardised already"
        )
    if source == NONE:
        return preprocessor
    mean, scale = _read(Path(source), preprocessor.columns)
    if unit == "MeV":
        factor = np.array([MEV if name in ENERGIES else 1.0 for name in preprocessor.columns])
        mean, scale = mean / factor, scale / factor
    momentum = mean[preprocessor.columns.index("pt")]
    if momentum > HIGHEST_MEDIAN_PT:
        raise InputError(
            f"{source}: read as {unit}, the mean pt is {momentum:,.4g} GeV, more than any jet has; give the unit with --unit MeV"
        )
    return replace(preprocessor, mean=tuple(mean.tolist()), scale=tuple(scale.tolist()))


def _read(path: Path, columns: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    table = _csv(path) if path.suffix.lower() == ".csv" else read_json(path, what="--normalisation")
    name = next((name for name in SCALES if name in table), None)
    if "mean" not in table or name is None:
        raise InputError(f"{path} has {', '.join(table) or 'nothing'}, no mean and std; write {SHAPE}")
    mean, scale = (_values(path, what, table[what], columns) for what in ("mean", name))
    if (scale <= 0).any():
        worst = int(np.argmin(scale))
        raise InputError(
            f"{path}: the {name} of {columns[worst]} is {scale[worst]:g}; give standard deviations, which are above 0"
        )
    return mean, scale


def _csv(path: Path) -> dict[str, Any]:
    import pandas as pd

    try:
        table = pd.read_csv(path)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise InputError(f"{path} cannot be read as CSV ({error}); write {SHAPE}") from error
    if len(table.columns) < 3:
        raise InputError(f"{path} has the columns {', '.join(map(str, table.columns))}; write {SHAPE}")
    names = table.iloc[:, 0].astype(str)
    return {str(name): dict(zip(names, table[name], strict=True)) for name in table.columns[1:]}


def _values(path: Path, what: str, given: Any, columns: Sequence[str]) -> np.ndarray:
    """(variables,) float64 in the order of the model, from a dict by variable or from a list in that order."""
    if isinstance(given, Mapping):
        # pT, Pt and pt are one; m and M, E and e are the variables of no set together.
        by_name = {str(name).casefold(): value for name, value in given.items()}
        missing = [name for name in columns if name.casefold() not in by_name]
        if missing:
            raise InputError(
                f"{path}: {what} lacks {', '.join(missing)}; it has {', '.join(map(str, given)) or 'nothing'}, and the model takes "
                f"{', '.join(columns)}"
            )
        given = [by_name[name.casefold()] for name in columns]
    numbers = isinstance(given, list) and all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in given)
    if not numbers or len(given) != len(columns) or not np.isfinite(given).all():
        raise InputError(
            f"{path}: {what} must be one finite number for each of {', '.join(columns)}; received {str(given)[:60]}"
        )
    return np.array(given, np.float64)
