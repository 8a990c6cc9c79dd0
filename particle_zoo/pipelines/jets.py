"""Preprocessing of jets: named normalisations with exact inverses.

`standardised` subtracts the mean of the training jets and divides by their standard deviation. `custom` are the constants by
which the group of seed 002 brought its variables to about one; they are fixed and know nothing of the data.

References:
    Wulff, Deep autoencoders for compression in high energy physics, Lund 2020 (LUP 9004751), and the group's public code
    (HEPAutoencoders, `custom_normalization`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from particle_zoo.errors import InputError
from particle_zoo.jets import VARIABLES, Jets

NORMALISATIONS = ("standardised", "custom")

Logarithm = Callable[[Any], Any]


@dataclass(frozen=True)
class Linear:
    """A variable over a divisor, minus a shift."""

    divisor: float
    shift: float = 0.0

    def forward(self, x: Any, log10: Logarithm = np.log10) -> Any:
        """Normalised values; `log10` is of the library that the values belong to."""
        return x / self.divisor - self.shift

    def inverse(self, y: Any) -> Any:
        """The values again."""
        return (y + self.shift) * self.divisor


@dataclass(frozen=True)
class Log10:
    """The decimal logarithm of `factor` times a variable plus `add`, less `subtract`, over a divisor, minus a shift."""

    add: float
    subtract: float
    divisor: float
    shift: float = 0.0
    factor: float = 1.0

    def forward(self, x: Any, log10: Logarithm = np.log10) -> Any:
        """As `Linear.forward`."""
        return (log10(self.factor * x + self.add) - self.subtract) / self.divisor - self.shift

    def inverse(self, y: Any) -> Any:
        """The values again."""
        return (10.0 ** ((y + self.shift) * self.divisor + self.subtract) - self.add) / self.factor


_AREA = {"ActiveArea": 0.8, "ActiveArea4vec_eta": 5.0, "ActiveArea4vec_phi": 3.0, "ActiveArea4vec_pt": 0.7}
_SHAPES = {"Width": 0.6, "WidthPhi": 0.6, "DetectorEta": 5.0, "N90Constituents": 20.0}
_QUALITY = {"HECQuality": 1.0, "LArQuality": 0.6, "EMFrac": 1.6, "HECFrac": 1.0, "Timing": 40.0}

CUSTOM: dict[str, Linear | Log10] = {
    "eta": Linear(5.0),
    "phi": Linear(3.0),
    **{name: Linear(divisor) for name, divisor in (_AREA | _SHAPES | _QUALITY).items()},
    "ActiveArea4vec_m": Linear(0.18, 0.15),
    "pt": Log10(0.0, 1.3, 1.2),
    "m": Log10(1.0, 0.0, 1.8),
    "AverageLArQF": Log10(100.0, 2.0, 2.5),
    "NegativeE": Log10(1.0, 0.0, 1.6, factor=-1.0),
    "CentroidR": Log10(0.0, 3.0, 0.8),
    "LeadingClusterPt": Log10(0.0, 0.0, 1.2),
    "LeadingClusterCenterLambda": Log10(100.0, 2.0, 2.0),
    "LeadingClusterSecondLambda": Log10(100.0, 2.0, 1.0),
    "LeadingClusterSecondR": Log10(100.0, 2.0, 0.6),
    "OotFracClusters10": Log10(1.0, 0.0, 0.3),
    "OotFracClusters5": Log10(1.0, 0.0, 0.3),
}
"""Normalisation of each variable of the xAOD study, of values in GeV."""

MEV = 1000.0

CUSTOM_TLA: dict[str, Linear | Log10] = {
    # The trigger-level study works in MeV; the record is in GeV.
    "m": Log10(1.0, 0.0, 1.8, 2.0, factor=MEV),
    "pt": Log10(0.0, 1.3, 1.2, 3.0, factor=MEV),
    "phi": Linear(3.0),
    "eta": Linear(5.0),
}
"""Normalisation of each variable of the trigger-level study, of values in GeV."""

DEFAULT = {"pt_eta_phi_e": "standardised", "m_pt_phi_eta": "custom", "aod_25": "custom", "aod_27": "custom"}
"""The normalisation each set of variables was published with."""


@dataclass(frozen=True)
class JetPreprocessor:
    """Turn jets into model inputs and back; travels with the weights.

    Args:
        variables: name of a set in `particle_zoo.jets.VARIABLES`.
        normalisation: standardised or custom.
        mean: of each variable over the training jets; 0 before `fit` and with `custom`.
        scale: standard deviation of each over the training jets, 1 where it is 0; 1 before `fit` and with `custom`.

    Raises:
        InputError: an unknown name, or custom constants for a set that has none.
    """

    LEARNED: ClassVar[frozenset[str]] = frozenset(("mean", "scale"))
    FIXED_SHAPE: ClassVar[bool] = True

    variables: str = "pt_eta_phi_e"
    normalisation: str = "standardised"
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.variables not in VARIABLES or self.normalisation not in NORMALISATIONS:
            raise InputError(
                f"variables are one of {', '.join(VARIABLES)}, normalisation one of {', '.join(NORMALISATIONS)}; received "
                f"{self.variables} and {self.normalisation}"
            )
        if self.normalisation == "custom" and self.variables == "pt_eta_phi_e":
            raise InputError("there are no custom constants for E; take normalisation=standardised with pt_eta_phi_e")
        k = len(self.columns)
        object.__setattr__(self, "mean", tuple(self.mean) or (0.0,) * k)
        object.__setattr__(self, "scale", tuple(self.scale) or (1.0,) * k)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the variables, in the order of the inputs."""
        return VARIABLES[self.variables]

    def fit(self, jets: Jets) -> JetPreprocessor:
        """A copy with the statistics of these jets, and of no others.

        Raises:
            InputError: no jets, values the normalisation cannot take, or missing variables.
        """
        values = jets.select(self.columns).values
        if not len(values):
            raise InputError("no jets to learn the normalisation from: received an empty set")
        self.normalise(values)
        if self.normalisation == "custom":
            return self
        spread = values.std(0)
        return replace(
            self, mean=tuple(values.mean(0).tolist()), scale=tuple(np.where(spread > 0, spread, 1.0).tolist())
        )

    def __call__(self, jets: Jets) -> np.ndarray:
        """(n, k) float32 model inputs.

        Raises:
            InputError: as `normalise`, or missing variables.
        """
        return self.normalise(jets.select(self.columns).values).astype(np.float32)

    def inverse(self, outputs: npt.ArrayLike) -> Jets:
        """The jets of (n, k) model outputs, in physical units."""
        values = self.unnormalise(np.asarray(outputs, np.float64))
        return Jets(values, self.columns)

    def normalise(self, values: np.ndarray) -> np.ndarray:
        """(n, k) float64 normalised values of (n, k) physical ones.

        Raises:
            InputError: values that are not finite, or outside the domain of a logarithm.
        """
        if self.normalisation == "standardised":
            found = (values - np.asarray(self.mean)) / np.asarray(self.scale)
        else:
            with np.errstate(invalid="ignore", divide="ignore"):
                found = np.stack([one.forward(values[:, i]) for i, one in enumerate(self.scalings)], axis=1)
        wrong = ~np.isfinite(found)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise InputError(
                f"jet {row} has {self.columns[column]} {values[row, column]:g}, which cannot be normalised ({self.normalisation}); "
                "leave such jets out"
            )
        return found

    def unnormalise(self, values: np.ndarray) -> np.ndarray:
        """The inverse of `normalise`, (n, k) float64."""
        if self.normalisation == "standardised":
            return values * np.asarray(self.scale) + np.asarray(self.mean)
        return np.stack([one.inverse(values[:, i]) for i, one in enumerate(self.scalings)], axis=1)

    @property
    def scalings(self) -> list[Linear | Log10]:
        """The fixed normalisation of each variable, of `custom`."""
        table = CUSTOM_TLA if self.variables == "m_pt_phi_eta" else CUSTOM
        return [table[name] for name in self.columns]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return {
            "variables": self.variables,
            "normalisation": self.normalisation,
            "mean": list(self.mean),
            "scale": list(self.scale),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> JetPreprocessor:
        """The inverse of `to_dict`."""
        return cls(**{**values, "mean": tuple(values["mean"]), "scale": tuple(values["scale"])})
