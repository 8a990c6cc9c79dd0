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

Function = Callable[[np.ndarray], np.ndarray]


def _linear(divisor: float, shift: float = 0.0) -> tuple[Function, Function]:
    return lambda x: x / divisor - shift, lambda y: (y + shift) * divisor


def _log10(add: float, subtract: float, divisor: float, shift: float = 0.0) -> tuple[Function, Function]:
    return (
        lambda x: (np.log10(x + add) - subtract) / divisor - shift,
        lambda y: 10 ** ((y + shift) * divisor + subtract) - add,
    )


_AREA = {"ActiveArea": 0.8, "ActiveArea4vec_eta": 5.0, "ActiveArea4vec_phi": 3.0, "ActiveArea4vec_pt": 0.7}
_SHAPES = {"Width": 0.6, "WidthPhi": 0.6, "DetectorEta": 5.0, "N90Constituents": 20.0}
_QUALITY = {"HECQuality": 1.0, "LArQuality": 0.6, "EMFrac": 1.6, "HECFrac": 1.0, "Timing": 40.0}

CUSTOM: dict[str, tuple[Function, Function]] = {
    "eta": _linear(5.0),
    "phi": _linear(3.0),
    **{name: _linear(divisor) for name, divisor in (_AREA | _SHAPES | _QUALITY).items()},
    "ActiveArea4vec_m": _linear(0.18, 0.15),
    "pt": _log10(0.0, 1.3, 1.2),
    "m": _log10(1.0, 0.0, 1.8),
    "AverageLArQF": _log10(100.0, 2.0, 2.5),
    "NegativeE": (lambda x: np.log10(1 - x) / 1.6, lambda y: 1 - 10 ** (1.6 * y)),
    "CentroidR": _log10(0.0, 3.0, 0.8),
    "LeadingClusterPt": _log10(0.0, 0.0, 1.2),
    "LeadingClusterCenterLambda": _log10(100.0, 2.0, 2.0),
    "LeadingClusterSecondLambda": _log10(100.0, 2.0, 1.0),
    "LeadingClusterSecondR": _log10(100.0, 2.0, 0.6),
    "OotFracClusters10": _log10(1.0, 0.0, 0.3),
    "OotFracClusters5": _log10(1.0, 0.0, 0.3),
}
"""Forward and inverse function of each variable of the xAOD study, of values in GeV."""

MEV = 1000.0

CUSTOM_TLA: dict[str, tuple[Function, Function]] = {
    # The trigger-level study works in MeV; the record is in GeV.
    "m": (
        lambda x: np.log10(x * MEV + 1) / 1.8 - 2,
        lambda y: (10 ** ((y + 2) * 1.8) - 1) / MEV,
    ),
    "pt": (
        lambda x: (np.log10(x * MEV) - 1.3) / 1.2 - 3,
        lambda y: 10 ** ((y + 3) * 1.2 + 1.3) / MEV,
    ),
    "phi": _linear(3.0),
    "eta": _linear(5.0),
}
"""Forward and inverse function of each variable of the trigger-level study, of values in GeV."""

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
                found = np.stack([f(values[:, i]) for i, (f, _) in enumerate(self._functions)], axis=1)
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
        return np.stack([g(values[:, i]) for i, (_, g) in enumerate(self._functions)], axis=1)

    @property
    def _functions(self) -> list[tuple[Function, Function]]:
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
