"""Seeded fast simulation, the data source of every model that has no public data."""

from __future__ import annotations

from typing import Any

from particle_zoo.clusters import Clusters
from particle_zoo.errors import InputError

PRESETS = ("ccd",)


def simulate(
    preset: str,
    *,
    particle: str,
    n: int,
    seed: int,
    energy_mev: float | None = None,
    spectrum: Any = None,
    angles: str = "normal",
) -> Clusters:
    """Simulate n clusters of one kind.

    Args:
        preset: "ccd", a 675 um CCD of 15 um pixels (seed 003); its tracks have the angles of their kind.
        particle: for "ccd": other, xray, electron, muon or several.
        n: number of clusters, at least 1.
        seed: equal seeds give equal clusters.
        energy_mev: kinetic energy; not a parameter of "ccd".
        spectrum: energy spectrum; not a parameter of "ccd".
        angles: direction law; "ccd" knows only "normal", its own.

    Returns:
        Clusters in keV.

    Raises:
        InputError: an unknown preset or particle, or a parameter the preset does not have.
    """
    if preset not in PRESETS:
        raise InputError(f"unknown preset {preset!r}; there is {', '.join(PRESETS)}")
    if energy_mev is not None or spectrum is not None or angles != "normal":
        raise InputError(
            f"{preset} draws energies and angles from its own laws; leave out energy_mev, spectrum and angles"
        )
    from particle_zoo.simulation import ccd

    return ccd.to_kev(ccd.generate(n, seed, mix={particle: 1.0}))
