"""Energy-loss straggling: hard collisions one by one, soft ones as a gamma law.

A step of Landau parameter xi is split at T1: collisions that give an electron more than T1 are drawn from the
Rutherford (heavy particles), Moller (electrons) or Bhabha (positrons) cross section; what is below is drawn with the
mean that restores the tabulated stopping power, the Rutherford variance xi T1, and the variance of the excitations of
bound electrons. Many steps give the Landau-Vavilov law, a little wider, as measured in silicon.
"""

from __future__ import annotations

import numpy as np

from particle_zoo.simulation.particles import ELECTRON_MASS_KEV, Particle

Rng = np.random.Generator

SPLIT_IN_XI = 2.0
"""T1 in units of the step's xi: few collisions a step are drawn one by one, and many steps make a track."""

LOWEST_SPLIT_KEV = 1.0
"""Below the K shell of silicon electrons are not free."""

_SHELLS = ((2 / 14, 1.84), (8 / 14, 0.110))
"""Share of the electrons and binding energy (keV) of silicon's K and L shells."""

EXCITED = 0.6
"""Share of the loss that goes into excitation, as in GEANT's model of straggling (Lassila-Perini and Urban, NIM A 362
(1995) 416)."""


def bound_variance(squared: np.ndarray, xi: np.ndarray) -> np.ndarray:
    """Variance (keV2) of exciting bound electrons: for each shell 2 xi f / E ln(2 m v^2 / E) excitations of energy E."""
    reach = 2 * ELECTRON_MASS_KEV * squared
    total = np.zeros_like(squared)
    for share, binding in _SHELLS:
        total += share * binding * np.log(np.maximum(reach / binding, 1))
    return 2 * EXCITED * xi * total


def _moller(energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    tau = energy / ELECTRON_MASS_KEV
    c1 = (tau / (tau + 1)) ** 2
    return c1, 1 - c1


def _bhabha(energy: np.ndarray) -> tuple[np.ndarray, ...]:
    y = 1 / (energy / ELECTRON_MASS_KEV + 2)
    w = 1 - 2 * y
    return 2 - y * y, w * (3 + y * y), w * w + w**3, w**3


def hard_mean(
    kind: Particle, energy: np.ndarray, squared: np.ndarray, xi: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Mean energy (keV) that collisions between `low` and `high` take."""
    log = np.log(high / low)
    if kind.family == "heavy":
        return xi * (log - squared * (1 - low / high))
    if kind.charge < 0:
        c1, c2 = _moller(energy)
        rest_low, rest_high = energy - low, energy - high
        mean = log + energy / rest_high - energy / rest_low + (1 + c2) * np.log(rest_high / rest_low)
        return xi * (mean + c1 * (high**2 - low**2) / (2 * energy**2))
    b1, b2, b3, b4 = _bhabha(energy)
    e = low / high
    series = b1 * (1 - e) - b2 * (1 - e**2) / 2 + b3 * (1 - e**3) / 3 - b4 * (1 - e**4) / 4
    return xi * (log - squared * series)


def _ceiling(kind: Particle, energy: np.ndarray) -> np.ndarray | float:
    """Largest ratio of the cross section to 1/T^2."""
    return 1 + 1.25 * _moller(energy)[0] if kind.family == "electron" and kind.charge < 0 else 1.0


def _ratio(
    kind: Particle, energy: np.ndarray, squared: np.ndarray, high: np.ndarray, transfer: np.ndarray
) -> np.ndarray:
    """The cross section over 1/T^2."""
    if kind.family == "heavy":
        return 1 - squared * transfer / high
    if kind.charge < 0:
        c1, c2 = _moller(energy)
        rest = transfer / (energy - transfer)
        return 1 + rest**2 + c1 * (transfer / energy) ** 2 - c2 * rest
    b1, b2, b3, b4 = _bhabha(energy)
    e = transfer / high
    return 1 - squared * e * (b1 - e * (b2 - e * (b3 - e * b4)))


def lose(
    rng: Rng,
    kind: Particle,
    energy: np.ndarray,
    squared: np.ndarray,
    xi: np.ndarray,
    mean: np.ndarray,
    high: np.ndarray,
    cut_kev: float = np.inf,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the losses of n steps.

    Args:
        rng: source of randomness.
        kind: the particle.
        energy: (n,) kinetic energy, keV.
        squared: (n,) beta squared.
        xi: (n,) Landau's xi of the step, keV.
        mean: (n,) mean collision loss of the step, keV.
        high: (n,) largest transfer, keV.
        cut_kev: collisions above this are drawn one by one in any case, because their electrons are tracked.

    Returns:
        (n,) soft loss, keV; (m,) step of each hard collision; (m,) its transfer, keV.
    """
    low = np.clip(SPLIT_IN_XI * xi, LOWEST_SPLIT_KEV, max(cut_kev, LOWEST_SPLIT_KEV))
    free = np.minimum(low, high)
    hard = low < high
    low = np.where(hard, low, high * (1 - 1e-9))
    soft = np.maximum(mean - hard_mean(kind, energy, squared, xi, low, high), 0.05 * mean)
    variance = xi * free * (1 - 0.5 * squared * free / high) + bound_variance(squared, xi)
    soft = rng.standard_gamma(soft * soft / variance) * (variance / soft)

    ceiling = _ceiling(kind, energy)
    rate = np.where(hard, xi * (1 / low - 1 / high) * ceiling, 0.0)
    step = np.repeat(np.arange(len(xi)), rng.poisson(rate))
    uniform = rng.random(len(step))
    inverse_low, inverse_high = 1 / low[step], 1 / high[step]
    transfer = 1 / (inverse_low - uniform * (inverse_low - inverse_high))
    # `energy` is a copy of the step's: the cross section does not change within it.
    accepted = _ratio(kind, energy[step], squared[step], high[step], transfer)
    keep = rng.random(len(step)) * (ceiling[step] if isinstance(ceiling, np.ndarray) else ceiling) < accepted
    return soft, step[keep], transfer[keep]
