"""Checks of what users pass, one sentence each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from particle_zoo.errors import InputError
from particle_zoo.simulation.sensor import is_number


def positive(name: str, value: object, most: float = 1e9) -> float:
    """A number above 0.

    Raises:
        InputError: another value.
    """
    if not (is_number(value) and 0 < value <= most):  # type: ignore[operator]
        raise InputError(f"{name} must be a number above 0, {most:g} at most; received {value!r}")
    return float(value)  # type: ignore[arg-type]


def whole(name: str, value: object, least: int = 0) -> int:
    """A whole number.

    Raises:
        InputError: another value, or one below the least.
    """
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise InputError(f"{name} must be a whole number of {least} or more; received {value!r}")
    return int(value)


def one_of(name: str, value: object, known: Iterable[str]) -> str:
    """A known name.

    Raises:
        InputError: another value.
    """
    known = tuple(known)
    if not isinstance(value, str) or value not in known:
        raise InputError(f"{name} must be one of {', '.join(known)}; received {value!r}")
    return value


def check_shape(shape: object, least: int) -> tuple[int, int]:
    """Rows and columns.

    Raises:
        InputError: not two whole numbers, or too few pixels.
    """
    if (
        not isinstance(shape, Sequence)
        or len(shape) != 2
        or not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= least for n in shape)
    ):
        raise InputError(f"shape must be rows and columns, whole numbers of {least} or more; received {shape!r}")
    return int(shape[0]), int(shape[1])


def numbers(name: str, values: object, most: float) -> tuple[float, ...]:
    """One or more numbers above 0.

    Raises:
        InputError: none, or one that is not.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise InputError(f"{name} must be a list of numbers above 0; received {values!r}")
    found = tuple(positive(name, value, most) for value in values)
    if not found:
        raise InputError(f"{name} must have one or more numbers; received none")
    return found
