"""Isolated events: drawn, turned and put where none touches another."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from particle_zoo.errors import InputError
from particle_zoo.simulation.optical_tpc import primaries
from particle_zoo.simulation.optical_tpc.deposits import Deposits
from particle_zoo.simulation.optical_tpc.digitiser import Digitiser

Rng = np.random.Generator

MIP_MM = 50.0
"""Length of the piece of a minimum-ionising particle; half the shorter side of smaller frames."""

MARGIN_SIGMA = 4.0
"""Distance of the deposits from those of others and from the edge, in widths of their clouds."""

TRIES = 50
PLACES = 1000


@dataclass(frozen=True)
class Species:
    """What an event is: its class, keV (None where the class has its own law) and cm of drift."""

    kind: str
    energy_kev: float | None
    z_cm: float


def all_species(classes: tuple[str, ...], energies_kev: tuple[float, ...], z_cm: tuple[float, ...]) -> list[Species]:
    """Every class at every energy and drift; mip and alpha, which have their own energies, once a drift."""
    return [
        Species(kind, energy, z)
        for kind in classes
        for energy, z in itertools.product((None,) if kind in ("mip", "alpha") else energies_kev, z_cm)
    ]


def draw(species: Species, rng: Rng, digitiser: Digitiser) -> Deposits:
    """Deposits with their mean at x = y = 0 and the asked drift; drawn anew until they fit into frame and drift region.

    Raises:
        InputError: they never do.
    """
    length = min(MIP_MM, 0.5 * min(digitiser.shape) * digitiser.camera.pitch_mm)
    energy = 0.0 if species.energy_kev is None else species.energy_kev
    make: dict[str, Callable[[], Deposits]] = {
        "point": lambda: primaries.point(energy),
        "nr": lambda: primaries.nuclear_recoil(energy, rng),
        "er": lambda: primaries.electron(energy, rng),
        "mip": lambda: primaries.mip(length, rng),
        "alpha": lambda: primaries.alpha(rng),
    }
    for _ in range(TRIES):
        deposits = make[species.kind]().centred(0, 0, 10 * species.z_cm)
        if deposits.z.min() < 0 or deposits.z.max() > digitiser.chain.drift_mm:
            continue
        low, high = _box(deposits, digitiser)
        if (high - low < digitiser.shape).all():
            return deposits
    what = species.kind if species.energy_kev is None else f"{species.kind} of {species.energy_kev:g} keV"
    raise InputError(
        f"the frame and the drift of {digitiser.chain.drift_mm / 10:g} cm must have room for a track; received "
        f"{digitiser.shape[0]} x {digitiser.shape[1]} px and z = {species.z_cm:g} cm for {what}; give a larger shape, "
        f"smaller energies or another z_cm"
    )


def place(events: list[Deposits], rng: Rng, digitiser: Digitiser) -> list[Deposits]:
    """Shift events to random places, the largest first, so that their boxes neither overlap nor leave the frame.

    Raises:
        InputError: there is no room for all.
    """
    boxes = [_box(deposits, digitiser) for deposits in events]
    order = sorted(range(len(events)), key=lambda i: -float(np.prod(boxes[i][1] - boxes[i][0])))
    taken: list[tuple[np.ndarray, np.ndarray]] = []
    found = list(events)
    pitch, side = digitiser.camera.pitch_mm, np.array(digitiser.shape)
    for i in order:
        low, high = boxes[i]
        room = side - (high - low)
        for _ in range(PLACES):
            corner = rng.uniform(0, room)
            if all((corner + high - low <= a).any() or (corner >= b).any() for a, b in taken):
                taken.append((corner, corner + high - low))
                step = (corner - low) * pitch
                found[i] = events[i].shifted(x=float(step[1]), y=float(step[0]))
                break
        else:
            raise InputError(
                f"the frame must have room for {len(events)} separate events; received {side[0]} x {side[1]} px, and one "
                f"needs {high[0] - low[0]:.0f} x {high[1] - low[1]:.0f}; give fewer events_per_frame, smaller energies or "
                f"a larger shape"
            )
    return found


def _box(deposits: Deposits, digitiser: Digitiser) -> tuple[np.ndarray, np.ndarray]:
    """First and last (row, col) of an event with its margin."""
    margin = MARGIN_SIGMA * digitiser.chain.sigma_t_mm(deposits.z) / digitiser.camera.pitch_mm
    place = np.stack(digitiser.pixel(deposits.x, deposits.y))
    return (place - margin).min(1), (place + margin).max(1)
