"""Grids: all combinations of a few values, with everything else as in the baseline."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from optuna import TrialPruned
from optuna.distributions import BaseDistribution

from particle_zoo.errors import InputError
from tuning.walk import Space, Walk, distributions

LARGEST = 10_000
"""Trials of a grid."""


def parse_grid(texts: Sequence[str], space: Space) -> dict[str, list[Any]]:
    """Values by parameter, from NAME=VALUE,VALUE.

    Raises:
        InputError: no values, a parameter that the space does not have, or too many combinations.
    """
    known, grid = distributions(space), {}
    for text in texts:
        name, _, values = text.partition("=")
        if not values or name not in known or name in grid:
            raise InputError(
                f"--grid takes NAME=VALUE,VALUE once for each of {', '.join(known)} that is to vary; received {text!r}"
            )
        grid[name] = [_plain(value) for value in values.split(",")]
    if not grid:
        raise InputError(f"--sampler grid needs values; give --grid NAME=VALUE,VALUE for some of {', '.join(known)}")
    size = 1
    for values_of_one in grid.values():
        size *= len(values_of_one)
    if size > LARGEST:
        raise InputError(f"the grid has {size:,} points, more than {LARGEST:,}; give fewer values")
    return grid


def combinations(space: Space, baseline: Mapping[str, Any], grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Parameters of every point that differs from the others in what the space asks for.

    Raises:
        InputError: a value outside of its range, or a parameter that a point needs and nothing gives.
    """
    found: list[dict[str, Any]] = []
    for values in itertools.product(*grid.values()):
        point = {**baseline, **dict(zip(grid, values, strict=True))}

        def choose(name: str, distribution: BaseDistribution, point: dict[str, Any] = point) -> Any:
            if name not in point:
                raise InputError(
                    f"some points of the grid need {name}, which the baseline does not have; give --grid {name}=..."
                )
            if not _contains(distribution, point[name]):
                raise InputError(
                    f"--grid {name}={point[name]} is not in its range, {_range(distribution)}; take another value"
                )
            # 2.0 is 2.
            return distribution.to_external_repr(distribution.to_internal_repr(point[name]))

        walk = Walk(choose)
        # A combination that cannot be is found out when it is run, and reported as such.
        with contextlib.suppress(TrialPruned):
            space(walk)
        if walk.params not in found:
            found.append(walk.params)
    return found


def _plain(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text.strip()


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(value, bool) and not hasattr(distribution, "choices"):
        return False
    try:
        return distribution._contains(distribution.to_internal_repr(value))
    except (TypeError, ValueError):
        return False


def _range(distribution: BaseDistribution) -> str:
    if hasattr(distribution, "choices"):
        return " ".join(map(str, distribution.choices))
    return f"{distribution.low:g} to {distribution.high:g}"  # type: ignore[attr-defined]
