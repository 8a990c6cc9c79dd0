"""The primaries a simulation knows, by name."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from particle_zoo.errors import InputError

ELECTRON_MASS_KEV = 510.99895
ATOMIC_MASS_KEV = 931_494.1

MAX_ENERGY_KEV = {"electron": 1e9, "heavy": 1e12, "photon": 5e3}
"""Above these the physics simulated here (no pair production, no radiation from heavy particles) is not enough."""


@dataclass(frozen=True)
class Particle:
    """A kind of particle.

    Args:
        name: what a user writes.
        family: "electron" (electrons and positrons), "heavy" or "photon"; says which physics applies.
        mass_kev: rest mass.
        charge: in elementary charges.
        nucleons: mass number of an ion, 0 for others.
    """

    name: str
    family: str
    mass_kev: float
    charge: int
    nucleons: int = 0


ELECTRON = Particle("electron", "electron", ELECTRON_MASS_KEV, -1)
POSITRON = Particle("positron", "electron", ELECTRON_MASS_KEV, 1)
PROTON = Particle("proton", "heavy", 938_272.1, 1, 1)

PARTICLES = {
    particle.name: particle
    for particle in (
        ELECTRON,
        POSITRON,
        PROTON,
        Particle("alpha", "heavy", 3_727_379.4, 2, 4),
        Particle("muon", "heavy", 105_658.4, -1),
        Particle("pion", "heavy", 139_570.4, 1),
        Particle("photon", "photon", 0.0, 0),
        Particle("pb", "heavy", 207.977 * ATOMIC_MASS_KEV, 82, 208),
    )
}


def particle(name: str) -> Particle:
    """A particle by name; ions as `ion:Z:A`, for example `ion:82:208`.

    Raises:
        InputError: an unknown name, or an ion that cannot be.
    """
    if not isinstance(name, str):
        raise InputError(f"a particle is given by its name, for example electron; received {name!r}")
    known = PARTICLES.get(name)
    if known is not None:
        return known
    parts = name.split(":")
    if parts[0] == "ion":
        if len(parts) != 3 or not all(part.isdecimal() for part in parts[1:]):
            raise InputError(f"an ion is written ion:Z:A, for example ion:26:56; received {name!r}")
        charge, nucleons = int(parts[1]), int(parts[2])
        if not (1 <= charge <= 82 and charge <= nucleons <= 3 * charge):
            raise InputError(f"an ion needs Z of 1..82 and A of Z..3Z; received {name!r}")
        return Particle(name, "heavy", nucleons * ATOMIC_MASS_KEV, charge, nucleons)
    close = difflib.get_close_matches(name, PARTICLES, 1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise InputError(f"unknown particle {name!r}; there is {', '.join(PARTICLES)} and ion:Z:A{hint}")


def check_energy(kind: Particle, low_kev: float, high_kev: float) -> None:
    """Check the interval of kinetic energies.

    Raises:
        InputError: outside what is simulated.
    """
    limit = MAX_ENERGY_KEV[kind.family]
    if not 1.0 <= low_kev <= high_kev <= limit:
        raise InputError(
            f"kinetic energies of a {kind.name} must lie in 0.001..{limit / 1e3:g} MeV; "
            f"received {low_kev / 1e3:g}..{high_kev / 1e3:g} MeV"
        )
