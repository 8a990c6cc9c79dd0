"""`Jets`: four-momenta and other variables of reconstructed jets, the record that readers, simulation and models exchange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from particle_zoo.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

FOUR_MOMENTUM = ("pt", "eta", "phi", "E")
"""Of the AOD studies and seed 002: transverse momentum, pseudorapidity, azimuth, energy."""

MASS_MODE = ("m", "pt", "phi", "eta")
"""Of the trigger-level study: mass in the place of energy."""

AOD_27 = (
    "pt", "eta", "phi", "m",
    "ActiveArea", "ActiveArea4vec_eta", "ActiveArea4vec_m", "ActiveArea4vec_phi", "ActiveArea4vec_pt",
    "AverageLArQF", "NegativeE", "HECQuality", "LArQuality",
    "Width", "WidthPhi", "CentroidR", "DetectorEta",
    "LeadingClusterCenterLambda", "LeadingClusterPt", "LeadingClusterSecondLambda", "LeadingClusterSecondR",
    "N90Constituents", "EMFrac", "HECFrac", "Timing", "OotFracClusters10", "OotFracClusters5",
)  # fmt: skip
"""The 27 variables of a jet in the xAOD study (Wulff, LUP 9004751), in its order."""

AOD_25 = tuple(name for name in AOD_27 if name not in ("Width", "WidthPhi"))
"""Those without the two widths."""

VARIABLES = {"pt_eta_phi_e": FOUR_MOMENTUM, "m_pt_phi_eta": MASS_MODE, "aod_25": AOD_25, "aod_27": AOD_27}
"""Sets of variables that models take, by name. Scores of one set say nothing about another."""

ENERGIES = frozenset(
    ("pt", "E", "m", "NegativeE", "LeadingClusterPt", "LeadingClusterSecondLambda", "LeadingClusterSecondR")
)
"""Variables that files state in MeV or GeV and this record always in GeV. The group divides the second moments by 1000, too."""

ANGLES = frozenset(("phi", "ActiveArea4vec_phi"))
"""Azimuths, rad: differences of them are wrapped to (-pi, pi]."""


@dataclass(frozen=True, eq=False)
class Jets:
    """n jets of k variables.

    Args:
        values: (n, k) float64; energies and momenta in GeV, angles in rad, all else as xAOD has it.
        columns: names of the k variables.
        events: (n,) int64 event of each jet, of which none may be in two splits; each jet its own without it.

    Raises:
        InputError: arrays that do not belong together.
    """

    values: np.ndarray
    columns: tuple[str, ...]
    events: np.ndarray | None = None

    def __post_init__(self) -> None:
        values = np.asarray(self.values, np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.columns):
            raise InputError(
                f"jets need one column for each of {', '.join(self.columns)}; received values of shape {values.shape}"
            )
        if len(set(self.columns)) != len(self.columns):
            raise InputError(f"every variable once; received {', '.join(self.columns)}")
        if self.events is not None and np.shape(self.events) != (len(values),):
            raise InputError(f"one event a jet, {len(values)} of them; received {np.shape(self.events)}")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "columns", tuple(self.columns))

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, chosen: Any) -> Jets:
        """Some of them: a slice, numbers or a mask."""
        return Jets(self.values[chosen], self.columns, None if self.events is None else self.events[chosen])

    def column(self, name: str) -> np.ndarray:
        """(n,) float64 values of a variable; energy and mass are computed from one another where one of them is missing.

        Raises:
            InputError: a variable that these jets do not have, or energies below the momentum.
        """
        if name in self.columns:
            return self.values[:, self.columns.index(name)]
        momentum = ("pt", "eta")
        if name == "E" and {*momentum, "m"} <= set(self.columns):
            return energy(self.column("pt"), self.column("eta"), self.column("m"))
        if name == "m" and {*momentum, "E"} <= set(self.columns):
            return mass(self.column("pt"), self.column("eta"), self.column("E"))
        raise InputError(f"these jets have no {name}; they have {', '.join(self.columns)}")

    def select(self, columns: Sequence[str]) -> Jets:
        """The same jets with these variables, in this order.

        Raises:
            InputError: as `column`.
        """
        if tuple(columns) == self.columns:
            return self
        return Jets(np.stack([self.column(name) for name in columns], axis=1), tuple(columns), self.events)

    def to_frame(self) -> pd.DataFrame:
        """A DataFrame with one row a jet."""
        import pandas as pd

        return pd.DataFrame(self.values, columns=list(self.columns))

    @classmethod
    def concat(cls, parts: Sequence[Jets]) -> Jets:
        """All jets of parts with the same columns.

        Raises:
            InputError: no parts, or parts that differ in their columns.
        """
        if not parts:
            raise InputError("no jets to put together; give one part at least")
        if len({part.columns for part in parts}) > 1:
            raise InputError("parts of jets differ in their variables; select the same of each first")
        events = None
        if all(part.events is not None for part in parts):
            events = np.concatenate([part.events for part in parts if part.events is not None])
        return cls(np.concatenate([part.values for part in parts]), parts[0].columns, events)


def energy(pt: np.ndarray, eta: np.ndarray, m: np.ndarray) -> np.ndarray:
    """Energy of jets, GeV, from transverse momentum, pseudorapidity and mass."""
    return np.sqrt((pt * np.cosh(eta)) ** 2 + m**2)


ROUNDING = 1e-6
"""Energies may fall short of the momentum by this share of it: those of files are in single precision."""


def below_momentum(pt: np.ndarray, eta: np.ndarray, e: np.ndarray) -> np.ndarray:
    """Mask of jets whose energy is below the momentum by more than rounding."""
    with np.errstate(over="ignore", invalid="ignore"):
        return e < pt * np.cosh(eta) * (1 - ROUNDING)


def mass(pt: np.ndarray, eta: np.ndarray, e: np.ndarray, *, lenient: bool = False) -> np.ndarray:
    """Mass of jets, GeV; 0 where rounding leaves the energy just below the momentum.

    Args:
        pt: transverse momentum, GeV.
        eta: pseudorapidity.
        e: energy, GeV.
        lenient: 0 also where the energy is further below the momentum, as an autoencoder may leave it.

    Raises:
        InputError: an energy that is less than the momentum, unless that is allowed.
    """
    momentum = pt * np.cosh(eta)
    if not lenient and below_momentum(pt, eta, e).any():
        worst = int(np.argmin(e / momentum))
        raise InputError(
            f"jet {worst} has E {e[worst]:g} below its momentum {momentum[worst]:g}; check which column is which"
        )
    # (E - p)(E + p) keeps the digits that E^2 - p^2 loses.
    return np.sqrt(np.maximum((e - momentum) * (e + momentum), 0.0))


def wrapped(difference: np.ndarray) -> np.ndarray:
    """Differences of azimuths in (-pi, pi]."""
    return np.pi - np.mod(np.pi - difference, 2 * np.pi)
