"""Mixtures of simulated particles that stand for a radioactive source.

What a source sends is known, how much of it reaches the sensor is not: shares of the components are fitted to the
energy spectrum of the real clusters (non-negative least squares), and nothing else is. Every other distribution of the
mixture is then a prediction of the simulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.errors import InputError

if TYPE_CHECKING:
    from particle_zoo.simulation.sensor import SensorConfig

BINS = np.geomspace(5, 12_000, 37)
"""Edges of the fitted energy spectrum, keV."""


@dataclass(frozen=True)
class Component:
    """One kind of particle over one interval of kinetic energy.

    Args:
        particle: as `particle_zoo.simulate` knows it.
        low_mev, high_mev: interval of the kinetic energy.
        index: of dN/dE ~ E^-index.
        angles: angle law; "cosine" is what an isotropic flux sends through a surface.
        rate_hz: expected clusters a second; its share follows from the length of the run and is not fitted.
    """

    particle: str
    low_mev: float
    high_mev: float
    index: float = 1.0
    angles: str = "cosine"
    rate_hz: float | None = None

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.particle} {self.low_mev:g}-{self.high_mev:g} MeV"


GAMMA = (
    Component("photon", 0.008, 0.03),
    Component("photon", 0.03, 0.1),
    Component("photon", 0.1, 0.4),
    Component("photon", 0.4, 1.5),
    # Photons of these energies interact in what is around the sensor far more often than in it.
    Component("electron", 0.02, 0.1),
    Component("electron", 0.1, 0.3),
    Component("electron", 0.3, 0.7),
    Component("electron", 0.7, 1.5),
    # 1 a minute and cm2 through a horizontal surface (PDG review, Cosmic rays); 1.98 cm2.
    Component("muon", 1000, 10_000, 1.0, "cosine", rate_hz=0.033),
)
"""A gamma source of unknown nuclide, with cosmic muons."""

STONE = (
    *GAMMA,
    # Bi-214 and Pa-234m: beta end points of 3.27 and 2.27 MeV.
    Component("electron", 1.5, 3.2),
    # From inside the stone and through air: everything below the 7.69 MeV of Po-214 (Nuclear Data Sheets).
    Component("alpha", 0.5, 2.5, 0.0),
    Component("alpha", 2.5, 5.0, 0.0),
    Component("alpha", 5.0, 7.7, 0.0),
)
"""A stone with natural uranium: the gamma components, harder betas and alphas."""


def mixture(
    real: Clusters, components: tuple[Component, ...], *, preset: str | SensorConfig, n: int, seed: int
) -> tuple[Clusters, dict[str, float]]:
    """Simulate the components and mix them in the shares that fit the energy spectrum of the real clusters.

    Args:
        real: clusters in keV.
        components: what the source sends.
        preset: sensor, as `particle_zoo.simulate` takes it.
        n: clusters simulated a component.
        seed: of everything random.

    Returns:
        Clusters in whole keV, as mPIXdaq writes them, with the column `component`; and the share of the clusters of
        each component, by name.

    Raises:
        InputError: real clusters in another unit, or no fit.
    """
    from scipy.optimize import nnls

    if real.unit != "keV":
        raise InputError(
            f"the energy spectrum is fitted in keV; received clusters in {real.unit}; calibrate them first"
        )
    parts = [_simulate(component, preset, n, seed + i) for i, component in enumerate(components)]
    observed = _spectrum(real)
    templates = np.column_stack([_spectrum(part) / max(len(part), 1) for part in parts])
    seconds = float(real.table["time_s"].max()) if "time_s" in real.table else 0.0
    weights = np.array([(component.rate_hz or 0.0) * seconds for component in components])
    free = np.array([component.rate_hz is None for component in components])
    # Poisson errors of the real histogram; empty bins count as one entry.
    error = np.sqrt(np.maximum(observed, 1))
    weights[free], _ = nnls(templates[:, free] / error[:, None], (observed - templates @ weights) / error)
    if not weights[free].sum():
        raise InputError("no mixture of the components fits the energy spectrum; give other components")
    shares = weights / weights.sum()
    total = min(len(part) / share for part, share in zip(parts, shares, strict=True) if share > 0)
    rng = np.random.default_rng(seed)
    chosen = []
    for part, share in zip(parts, shares, strict=True):
        count = min(round(share * total), len(part))
        if count:
            chosen.append(part[np.sort(rng.choice(len(part), count, replace=False))])
    return Clusters.concat(chosen), {c.name: float(s) for c, s in zip(components, shares, strict=True)}


def _simulate(component: Component, preset: str | SensorConfig, n: int, seed: int) -> Clusters:
    from particle_zoo.simulation import simulate
    from particle_zoo.simulation.spectra import Spectrum

    law = Spectrum(law="power", low_mev=component.low_mev, high_mev=component.high_mev, index=component.index)
    found = simulate(preset, particle=component.particle, n=n, seed=seed, spectrum=law, angles=component.angles)
    hits = found.hits[:, :3].copy()
    hits[:, 2] = np.rint(hits[:, 2])
    table: Any = found.table[["id", "label"]].assign(component=component.name)
    return Clusters(hits, ("row", "col", "energy"), found.offsets, table, "keV")


def _spectrum(clusters: Clusters) -> np.ndarray:
    if not len(clusters):
        return np.zeros(len(BINS) - 1)
    energy = np.add.reduceat(clusters.column("energy").astype(float), clusters.offsets[:-1])
    return np.histogram(energy, BINS)[0].astype(float)
