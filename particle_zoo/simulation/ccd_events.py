"""What the classes of the hand-labelled CCD clusters are made of: n events of each as energy deposits.

The labels of seed 003 are a person's reading of shapes. What is assumed about the particles behind them (ambient gamma
rays and their Compton electrons, sea-level muons, alphas of the radon chain) stands here, number by number. The energy
intervals were chosen by looking at the sizes and sums of the labelled clusters; shapes follow from the transport.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from particle_zoo.simulation.generate import box_of
from particle_zoo.simulation.particles import ELECTRON, particle
from particle_zoo.simulation.sensor import SensorConfig
from particle_zoo.simulation.tracks import Deposits, Tracks, concat_deposits
from particle_zoo.simulation.transport import deposit_all

Rng = np.random.Generator
Truth = dict[str, np.ndarray]
Events = tuple[Deposits, Truth]
"""Deposits with event numbers 0..n-1, and per event energy_mev, theta, phi (degrees), entry x and y (um)."""

XRAY_KEV = (6.0, 230.0)
"""Photo- and Compton electrons that a person calls X-ray, log-uniform: the labelled ones reach from 3 to 200 keV."""

ELECTRON_KEV = (230.0, 2000.0)
"""Compton electrons of ambient gamma rays, log-uniform."""

WORM_KEV = 180.0
"""Electrons that leave less, because they escape, are not recognised as worms: the labelled ones leave more."""

SHORT_ELECTRON_KEV = (100.0, 350.0)
"""Electrons too short to be called worms, among the others."""

ALPHA_KEV = (4000.0, 8800.0)

MUON_MEV = (500.0, 20_000.0)

MUON_PX = (6.0, 150.0)
"""Projected length of muons that were labelled; steeper ones look like spots, longer ones left the cut-outs."""


def _isotropic(rng: Rng, n: int) -> np.ndarray:
    cosine = rng.uniform(-1, 1, n)
    azimuth = rng.uniform(0, 2 * np.pi, n)
    sine = np.sqrt(1 - cosine**2)
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine])


def _log_uniform(rng: Rng, interval: tuple[float, float], n: int) -> np.ndarray:
    low, high = interval
    return low * (high / low) ** rng.random(n)


def _truth(energy_kev: np.ndarray, position: np.ndarray, direction: np.ndarray) -> Truth:
    return {
        "energy_mev": energy_kev * 1e-3,
        "theta": np.degrees(np.arccos(np.clip(-direction[2], -1, 1))),
        "phi": np.degrees(np.arctan2(direction[1], direction[0])),
        "x": position[0],
        "y": position[1],
    }


def _electrons(rng: Rng, n: int, sensor: SensorConfig, energy: np.ndarray) -> Events:
    width, height = sensor.width_um
    position = np.stack([rng.uniform(0, width, n), rng.uniform(0, height, n), rng.uniform(0, sensor.thickness_um, n)])
    direction = _isotropic(rng, n)
    tracks = Tracks(np.arange(n), position, direction, energy)
    return deposit_all(rng, ELECTRON, tracks, box_of(sensor)), _truth(energy, position, direction)


def xray(rng: Rng, n: int, sensor: SensorConfig) -> Events:
    """Low-energy electrons anywhere in the bulk: round spots whose width tells the depth."""
    return _electrons(rng, n, sensor, _log_uniform(rng, XRAY_KEV, n))


def electron(rng: Rng, n: int, sensor: SensorConfig) -> Events:
    """Compton electrons from anywhere in the bulk, isotropic: worms."""
    found, truth = _electrons(rng, n, sensor, _log_uniform(rng, ELECTRON_KEV, n))
    enough = np.bincount(found.event, found.energy, n) >= WORM_KEV
    keep = enough[found.event]
    return Deposits(found.event[keep], found.position[:, keep], found.energy[keep], found.kev_per_um[keep]), truth


def muon(rng: Rng, n: int, sensor: SensorConfig) -> Events:
    """Straight lines through the whole thickness: cos^2 law of directions times the cosine of a flat surface."""
    low, high = (np.cos(np.arctan(px * sensor.pitch_um / sensor.thickness_um)) ** 4 for px in MUON_PX)
    # P(cos) ~ cos^3, cut to the labelled lengths.
    cosine = (high + rng.random(n) * (low - high)) ** 0.25
    azimuth, sine = rng.uniform(0, 2 * np.pi, n), np.sqrt(1 - cosine**2)
    return _through(
        rng,
        n,
        sensor,
        "muon",
        1e3 * _log_uniform(rng, MUON_MEV, n),
        np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), -cosine]),
    )


def steep_muon(rng: Rng, n: int, sensor: SensorConfig) -> Events:
    """Muons shorter than those called muons."""
    cosine = np.cos(np.arctan(rng.uniform(1, MUON_PX[0], n) * sensor.pitch_um / sensor.thickness_um))
    azimuth, sine = rng.uniform(0, 2 * np.pi, n), np.sqrt(1 - cosine**2)
    direction = np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), -cosine])
    return _through(rng, n, sensor, "muon", 1e3 * _log_uniform(rng, MUON_MEV, n), direction)


def alpha(rng: Rng, n: int, sensor: SensorConfig) -> Events:
    """Alphas of the radon chain from the surface: large and round."""
    direction = _isotropic(rng, n)
    direction[2] = -np.abs(direction[2])
    return _through(rng, n, sensor, "alpha", rng.uniform(*ALPHA_KEV, n), direction)


def _through(rng: Rng, n: int, sensor: SensorConfig, name: str, energy: np.ndarray, direction: np.ndarray) -> Events:
    width, height = sensor.width_um
    position = np.stack([rng.uniform(0, width, n), rng.uniform(0, height, n), np.full(n, sensor.thickness_um)])
    tracks = Tracks(np.arange(n), position, direction, energy)
    return deposit_all(rng, particle(name), tracks, box_of(sensor)), _truth(energy, position, direction)


def bright_column(rng: Rng, n: int, sensor: SensorConfig) -> Events:
    """A piece of a hot column: equal charge in a run of pixels at the surface."""
    length = rng.integers(6, 30, n)
    event = np.repeat(np.arange(n), length)
    order = np.arange(len(event)) - np.repeat(np.cumsum(length) - length, length)
    row = rng.integers(0, max(sensor.shape[0] - 30, 1), n)[event] + order + 0.5
    col = rng.integers(0, sensor.shape[1], n)[event] + 0.5
    position = np.stack([col * sensor.pitch_um, row * sensor.pitch_um, np.full(len(event), 1.0)])
    energy = _log_uniform(rng, (0.3, 5.0), n)[event]
    start = position[:, np.searchsorted(event, np.arange(n))]
    truth = _truth(np.bincount(event, energy), start, np.tile([[0.0], [1.0], [0.0]], n))
    return Deposits(event, position, energy, np.zeros(len(event))), truth


def short_electron(rng: Rng, n: int, sensor: SensorConfig) -> Events:
    """Electrons between spot and worm."""
    return _electrons(rng, n, sensor, _log_uniform(rng, SHORT_ELECTRON_KEV, n))


def mixed(
    rng: Rng, n: int, sensor: SensorConfig, kinds: dict[Callable[[Rng, int, SensorConfig], Events], float]
) -> Events:
    """Each event of one of several kinds, with the given shares."""
    choice = rng.choice(len(kinds), size=n, p=list(kinds.values()))
    deposits: list[Deposits] = []
    truth: Truth = {}
    for i, kind in enumerate(kinds):
        events = np.flatnonzero(choice == i)
        if not len(events):
            continue
        found, own = kind(rng, len(events), sensor)
        deposits.append(Deposits(events[found.event], found.position, found.energy, found.kev_per_um))
        for name, values in own.items():
            truth.setdefault(name, np.empty(n))[events] = values
    return concat_deposits(deposits), truth


def other(rng: Rng, n: int, sensor: SensorConfig) -> Events:
    """What fits no class: short fat tracks, steep muons, alphas, pieces of hot columns."""
    return mixed(rng, n, sensor, {short_electron: 0.65, steep_muon: 0.2, alpha: 0.05, bright_column: 0.1})


def several(rng: Rng, n: int, sensor: SensorConfig) -> Events:
    """Two objects that touch: a random point of the second lies two pixels beside one of the first."""
    first, truth = mixed(rng, n, sensor, {muon: 0.6, electron: 0.4})
    second, _ = mixed(rng, n, sensor, {xray: 0.5, muon: 0.3, electron: 0.2})
    anchor, own = _pick(rng, first, n), _pick(rng, second, n)
    azimuth = rng.uniform(0, 2 * np.pi, n)
    shift = first.position[:2, anchor] - second.position[:2, own]
    shift += 2 * sensor.pitch_um * np.stack([np.cos(azimuth), np.sin(azimuth)])
    position = second.position.copy()
    position[:2] += shift[:, second.event]
    moved = Deposits(second.event, position, second.energy, second.kev_per_um)
    return concat_deposits([first, moved]), truth


def _pick(rng: Rng, deposits: Deposits, n: int) -> np.ndarray:
    """A random deposit of each event; any for an event without."""
    order = rng.permutation(len(deposits))
    picked = np.zeros(n, np.int64)
    picked[deposits.event[order]] = order
    return picked


KINDS: dict[str, Callable[[Rng, int, SensorConfig], Events]] = {
    "other": other,
    "xray": xray,
    "electron": electron,
    "muon": muon,
    "several": several,
}
