"""Ionisation in the gas: one row a hit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from particle_zoo.errors import InputError


@dataclass(frozen=True, eq=False)
class Deposits:
    """n energy deposits of one event.

    Args:
        x: (n,) mm from the middle of the field, along columns.
        y: (n,) mm from the middle of the field, along rows.
        z: (n,) mm of drift to the GEMs.
        energy: (n,) keV of ionisation, as electrons would deposit it (quenching of recoils is done).

    Raises:
        InputError: no hits, columns of different lengths, or a value that is no finite number, or an energy not above 0.
    """

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    energy: np.ndarray

    def __post_init__(self) -> None:
        columns = {name: np.array(getattr(self, name), np.float64, ndmin=1) for name in ("x", "y", "z", "energy")}
        if len({column.shape for column in columns.values()}) != 1 or columns["x"].ndim != 1:
            shapes = ", ".join(f"{name} {column.shape}" for name, column in columns.items())
            raise InputError(f"deposits have one x, y, z and energy a hit; received {shapes}")
        if not columns["x"].size:
            raise InputError("deposits need one hit or more; received none; leave the event out")
        for name, column in columns.items():
            bad = ~np.isfinite(column) | ((name == "energy") & (column <= 0))
            if bad.any():
                rule = "above 0 keV" if name == "energy" else "a finite number of mm"
                raise InputError(
                    f"{name} of a deposit must be {rule}; received {column[bad.argmax()]} at hit {bad.argmax()}"
                )
            column.flags.writeable = False
            object.__setattr__(self, name, column)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def total_kev(self) -> float:
        """Energy of all hits."""
        return float(self.energy.sum())

    @property
    def position(self) -> np.ndarray:
        """(3, n) mm."""
        return np.stack([self.x, self.y, self.z])

    @property
    def centre(self) -> np.ndarray:
        """(3,) mean position, weighted by energy."""
        return (self.position * self.energy).sum(1) / self.energy.sum()

    def shifted(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Deposits:
        """The same hits elsewhere, mm."""
        return Deposits(self.x + x, self.y + y, self.z + z, self.energy)

    def centred(self, x: float, y: float, z: float) -> Deposits:
        """The same hits with their mean position, weighted by energy, at a point (mm)."""
        return self.shifted(*(np.array([x, y, z]) - self.centre))

    def rotated(self, rotation: npt.ArrayLike) -> Deposits:
        """The same hits turned about the origin.

        Args:
            rotation: (3, 3) rotation matrix.

        Raises:
            InputError: a matrix that is no rotation.
        """
        matrix = np.asarray(rotation, np.float64)
        if (
            matrix.shape != (3, 3)
            or not np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-6)
            or np.linalg.det(matrix) < 0
        ):
            raise InputError(f"a rotation is an orthogonal 3 x 3 matrix of determinant 1; received {rotation!r}")
        x, y, z = matrix @ self.position
        return Deposits(x, y, z, self.energy)
