"""Charged particles through silicon, all events at once.

Two ways: `propagate` steps any particle until it stops or leaves, scattering by Highland's formula after every step,
so that electrons curl and protons range out; `straight` draws particles that neither bend nor slow down as one line.
Electrons above `cut_kev` knocked out on the way become tracks of their own (`Secondaries`), themselves stepped.
Coordinates are um: x along columns, y along rows, z from the pixels.
"""

from __future__ import annotations

import numpy as np

from particle_zoo.simulation.collisions import lose
from particle_zoo.simulation.particles import ELECTRON, ELECTRON_MASS_KEV, Particle
from particle_zoo.simulation.stopping import SILICON, beta2, max_transfer, table
from particle_zoo.simulation.tracks import Deposits, Ends, Limits, Tracks, concat_deposits, concat_tracks

Rng = np.random.Generator

HIGHLAND_UM = 55.0
"""Length in the logarithm of Highland's formula: with it the angle after a pixel does not depend on the step."""

RANGE_SHARE = 0.2
"""Longest step in units of the remaining range."""

LARGEST_ANGLE = 0.6
"""Longest step in rms projected scattering angle, rad."""


def highland(
    kind: Particle,
    energy: np.ndarray,
    path_um: np.ndarray | float,
    radiation_length_um: float,
    log_um: np.ndarray | float = HIGHLAND_UM,
) -> np.ndarray:
    """RMS projected scattering angle (rad) after a path; Highland's formula with the PDG's constants.

    Args:
        kind: a charged particle.
        energy: kinetic, keV.
        path_um: length of the path.
        radiation_length_um: of the material.
        log_um: length in the logarithm: the path itself where it is crossed in one step.
    """
    beta_p = 1e-3 * energy * (energy + 2 * kind.mass_kev) / (energy + kind.mass_kev)
    squared = beta2(energy, kind.mass_kev)
    log = np.log(log_um / radiation_length_um * kind.charge**2 / squared)
    size = np.sqrt(path_um / radiation_length_um)
    return 13.6 * abs(kind.charge) / beta_p * size * np.maximum(1 + 0.038 * log, 0.3)


def turn(direction: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Turn unit vectors (3, n) by the projected angles (rad) along two axes normal to them."""
    angle = np.minimum(np.hypot(first, second), np.pi)
    x, y, z = direction
    sign = np.copysign(1.0, z)
    a = -1 / (sign + z)
    b = x * y * a
    sine = np.sinc(angle / np.pi)
    p, q, cosine = first * sine, second * sine, np.cos(angle)
    return np.stack(
        [
            x * cosine + p * (1 + sign * x * x * a) + q * b,
            y * cosine + p * sign * b + q * (sign + y * y * a),
            z * cosine - p * sign * x - q * y,
        ]
    )


def turn_polar(direction: np.ndarray, cosine: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    """Turn unit vectors by a polar angle, given as its cosine, and an azimuth."""
    angle = np.arccos(np.clip(cosine, -1, 1))
    return turn(direction, angle * np.cos(azimuth), angle * np.sin(azimuth))


def _knocked_out(
    rng: Rng, kind: Particle, tracks: Tracks, at: np.ndarray, transfer: np.ndarray, along: np.ndarray
) -> Tracks:
    """Tracks of electrons hit `along` um behind the positions of tracks `at`, with the angle of two-body kinematics."""
    largest = max_transfer(tracks.energy[at], kind)
    if kind.family == "electron":
        largest = tracks.energy[at]
    mass = 2 * ELECTRON_MASS_KEV
    cosine = np.sqrt(transfer * (largest + mass) / (largest * (transfer + mass)))
    direction = turn_polar(tracks.direction[:, at], cosine, rng.uniform(0, 2 * np.pi, len(at)))
    position = tracks.position[:, at] + along * tracks.direction[:, at]
    return Tracks(tracks.event[at], position, direction, transfer)


def exit_um(position: np.ndarray, direction: np.ndarray, size: tuple[float, float, float]) -> np.ndarray:
    """Path to the wall of the box."""
    way = np.full(position.shape[1], np.inf)
    for x, u, side in zip(position, direction, size, strict=True):
        way = np.minimum(way, np.where(u > 0, side - x, x) / np.maximum(np.abs(u), 1e-12))
    return np.maximum(way, 0)


def propagate(rng: Rng, kind: Particle, tracks: Tracks, box: Limits) -> tuple[Deposits, Tracks, Ends]:
    """Step particles of one kind until each has stopped, left the box, or gone `box.path_um`.

    Args:
        rng: source of randomness.
        kind: a charged particle.
        tracks: where they start.
        box: the silicon.

    Returns:
        Deposits, tracks of knocked-out electrons (not yet stepped), and how the tracks ended.
    """
    stopping = table(kind)
    unit_xi = SILICON.xi_kev_per_um * kind.charge**2
    deposits: list[Deposits] = []
    knocked: list[Tracks] = []
    ends: list[Ends] = []
    path = np.zeros(len(tracks))
    while len(tracks):
        energy = tracks.energy
        reach = stopping.range_um(energy)
        squared = beta2(energy, kind.mass_kev)
        one = highland(kind, energy, 1.0, SILICON.radiation_length_um)
        wall = exit_um(tracks.position, tracks.direction, box.size)
        end = np.minimum(wall, box.path_um - path)
        step = np.minimum(np.minimum(box.step_um, RANGE_SHARE * reach + 0.3), (LARGEST_ANGLE / one) ** 2)
        leaves = end <= step
        step = np.where(leaves, end, step) + 1e-6
        # The stopping power of the middle of the step.
        mean = np.minimum(stopping.dedx(energy) * step, 0.9 * energy)
        mean = np.minimum(stopping.dedx(energy - 0.5 * mean) * step, 0.95 * energy)
        radiated = stopping.radiated(energy) * step if kind.family == "electron" else 0.0
        soft, at, transfer = lose(
            rng, kind, energy, squared, unit_xi / squared * step, mean, max_transfer(energy, kind)
        )
        tracked = transfer > box.cut_kev
        if tracked.any():
            far = at[tracked]
            along = rng.random(len(far)) * step[far]
            knocked.append(_knocked_out(rng, kind, tracks, far, transfer[tracked], along))
        n = len(tracks)
        local = soft + np.bincount(at[~tracked], transfer[~tracked], n)
        local = np.minimum(local, energy)
        left = energy - local - np.bincount(at[tracked], transfer[tracked], n) - radiated
        middle = tracks.position + (0.5 * step) * tracks.direction
        position = middle + (0.5 * step) * tracks.direction
        stops = left <= np.exp(stopping.log_energy[0])
        stops |= stopping.range_um(np.maximum(left, 1e-3)) < box.stop_um
        local += np.where(stops & ~leaves, np.maximum(left, 0), 0)
        deposits.append(Deposits(tracks.event, middle, local, local / step))
        path = path + step
        theta = highland(kind, np.maximum(left, 1.0), step, SILICON.radiation_length_um)
        direction = turn(tracks.direction, *(theta * rng.standard_normal((2, n))))
        done = stops | leaves
        ends.append(Ends(tracks.event[done], direction[:, done], np.where(stops, 0, left)[done], path[done]))
        going = ~done
        tracks = Tracks(tracks.event[going], position[:, going], direction[:, going], left[going])
        path = path[going]
    if not deposits:
        nothing = np.empty(0)
        deposits = [Deposits(np.empty(0, np.int64), np.empty((3, 0)), nothing, nothing)]
        ends = [Ends(np.empty(0, np.int64), np.empty((3, 0)), nothing, nothing)]
    joined = Ends(
        np.concatenate([e.event for e in ends]),
        np.concatenate([e.direction for e in ends], axis=1),
        np.concatenate([e.energy for e in ends]),
        np.concatenate([e.path for e in ends]),
    )
    return concat_deposits(deposits), concat_tracks([tracks, *knocked]), joined


def straight(rng: Rng, kind: Particle, tracks: Tracks, box: Limits) -> tuple[Deposits, Tracks]:
    """Draw particles as lines of constant velocity to the wall of the box.

    Pieces are short enough that charge sharing along and across the line does not depend on them.
    """
    way = exit_um(tracks.position, tracks.direction, box.size)
    sideways = np.hypot(tracks.direction[0], tracks.direction[1])
    # Along the depth the width of the cloud changes slowly; eight pieces follow it. Sideways less than half a pixel.
    piece = np.minimum(
        box.size[2] / 8 / np.maximum(abs(tracks.direction[2]), 1e-3), 1.25 * box.step_um / np.maximum(sideways, 1e-3)
    )
    pieces = np.ceil(way / piece).astype(np.int64)
    pieces = np.maximum(pieces, 1)
    track = np.repeat(np.arange(len(tracks)), pieces)
    order = np.arange(len(track)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    each = way / pieces
    squared = beta2(tracks.energy, kind.mass_kev)
    xi = SILICON.xi_kev_per_um * kind.charge**2 / squared * each
    mean = table(kind).dedx(tracks.energy) * each
    soft, at, transfer = lose(
        rng,
        kind,
        tracks.energy[track],
        squared[track],
        xi[track],
        mean[track],
        max_transfer(tracks.energy, kind)[track],
        box.cut_kev,
    )
    tracked = transfer > box.cut_kev
    local = soft + np.bincount(at[~tracked], transfer[~tracked], len(track))
    middle = tracks.position[:, track] + (order + 0.5) * each[track] * tracks.direction[:, track]
    far = at[tracked]
    along = (order[far] + rng.random(len(far))) * each[track[far]]
    knocked = _knocked_out(rng, kind, tracks, track[far], transfer[tracked], along)
    return Deposits(tracks.event[track], middle, local, local / each[track]), knocked


def is_straight(kind: Particle, energy_kev: np.ndarray, length_um: np.ndarray) -> np.ndarray:
    """Whether particles lose less than 5 % and scatter by less than a fiftieth of a radian on this path."""
    if kind.family == "electron":
        return np.zeros(len(energy_kev), bool)
    lost = table(kind).dedx(energy_kev) * length_um
    angle = highland(kind, energy_kev, length_um, SILICON.radiation_length_um)
    return (lost < 0.05 * energy_kev) & (angle < 0.02)


def deposit_all(rng: Rng, kind: Particle, tracks: Tracks, box: Limits) -> Deposits:
    """All the deposits of primaries and, generation by generation, of the electrons they knock out."""
    length = exit_um(tracks.position, tracks.direction, box.size)
    line = is_straight(kind, tracks.energy, length)
    parts: list[Deposits] = []
    knocked: list[Tracks] = []
    if line.any():
        found, electrons = straight(rng, kind, tracks[line], box)
        parts.append(found)
        knocked.append(electrons)
    if not line.all():
        found, electrons, _ = propagate(rng, kind, tracks[~line], box)
        parts.append(found)
        knocked.append(electrons)
    while sum(map(len, knocked)):
        found, electrons, _ = propagate(rng, ELECTRON, concat_tracks(knocked), box)
        parts.append(found)
        knocked = [electrons]
    return concat_deposits(parts)
