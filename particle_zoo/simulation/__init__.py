"""Seeded fast simulation of silicon pixel detectors, the data source of every model that has no public data.

It is a fast simulation and not Geant4: tabulated stopping powers, Landau-Vavilov straggling, multiple scattering and
delta rays; no nuclear reactions, no single large-angle scatters, no bremsstrahlung photons that come back, no
annihilation of positrons. What it reproduces is measured by `python -m particle_zoo.benchmark physics`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from particle_zoo.clusters import Clusters

if TYPE_CHECKING:
    from particle_zoo.simulation.sensor import SensorConfig
    from particle_zoo.simulation.spectra import Spectrum


def simulate(
    preset: str | SensorConfig,
    *,
    particle: str,
    n: int,
    seed: int,
    energy_mev: float | None = None,
    spectrum: Spectrum | str | None = None,
    angles: str = "normal",
) -> Clusters:
    """Simulate n clusters.

    Args:
        preset: timepix_300um, timepix3_500um, ccd_675um (also "ccd"), or a `SensorConfig`.
        particle: electron, positron, proton, alpha, muon, pion, photon, pb or ion:Z:A; for the CCD without energy and
            spectrum also the classes of its hand-labelled clusters: other, xray, electron, muon, several.
        n: number of clusters, at least 1. A primary whose pixels do not touch gives several, marked `split`.
        seed: equal seeds give equal clusters.
        energy_mev: kinetic energy of all primaries, for ions of the whole ion.
        spectrum: a `Spectrum`, or the name of one in `spectra.yaml`: benchmark, orbit. Without it and energy_mev the
            particle's default there.
        angles: normal, isotropic (uniform in solid angle), cosine (an isotropic flux through the surface) or
            fixed:DEGREES. A spectrum with angles of its own keeps them unless another law than "normal" is given.

    Returns:
        Clusters in calibrated keV; `toa` in ns where the chip measures it with the energy. The columns of the table are
        `particle_zoo.simulation.generate.TRUTH`.

    Raises:
        InputError: a name that is unknown, a value without physical meaning, or primaries that leave no cluster.
    """
    return Clusters.concat(
        iter_simulate(
            preset, particle=particle, n=n, seed=seed, energy_mev=energy_mev, spectrum=spectrum, angles=angles
        )
    )


def iter_simulate(
    preset: str | SensorConfig,
    *,
    particle: str,
    n: int,
    seed: int,
    energy_mev: float | None = None,
    spectrum: Spectrum | str | None = None,
    angles: str = "normal",
) -> Iterator[Clusters]:
    """Yield the clusters of `simulate` in parts, so that memory does not grow with n.

    Raises:
        InputError: as `simulate`.
    """
    from particle_zoo.simulation import ccd, generate
    from particle_zoo.simulation.sensor import preset as sensor_of

    sensor = sensor_of(preset)
    if sensor.chip == "ccd" and ccd.is_class(particle, energy_mev, spectrum, angles):
        parts = ccd.iter_class(n, seed, particle, sensor)
    else:
        parts = generate.iter_clusters(
            preset, particle_name=particle, n=n, seed=seed, energy_mev=energy_mev, spectrum=spectrum, angles=angles
        )
    for part in parts:
        yield ccd.to_kev(part, sensor) if sensor.chip == "ccd" else part
