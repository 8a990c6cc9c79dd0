"""Clusters of a thick CCD: X-ray spots, muon lines, electron worms, several in one, other.

A fast simulation of topologies, not of physics processes: energies are deposited along simple tracks, diffuse by
sigma(z), are read out with noise, and run through the same clustering as real frames. Sensor and diffusion follow
DAMIC-type CCDs (15 um pixels, 675 um thick, arXiv:1607.07410); gain and pedestal are chosen so that the threshold of
4000 ADU cuts where the hand-labelled clusters of seed 003 end: median sizes 22 px (X-ray), 158 (electron), 130 (muon).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.clustering import cluster
from particle_zoo.errors import InputError

Rng = np.random.Generator
Deposits = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""x, y (px, inside the canvas), depth (um from the pixels) and energy (keV) of point deposits."""


@dataclass(frozen=True)
class Sensor:
    """A CCD and its readout.

    Args:
        pixel_um: pixel pitch.
        thickness_um: depleted thickness.
        diffusion_um2: A of sigma^2 = -A ln(1 - b z).
        diffusion_per_um: b of the same law; 1.4 px at full depth.
        pair_ev: energy a pair at 130 K.
        fano: Fano factor.
        noise_e: readout noise.
        gain_adu_per_kev: ADU a keV.
        pedestal_adu: ADU without signal.
        threshold_adu: pixels at or above it are hits.
        min_size: smallest cluster, px.
    """

    pixel_um: float = 15.0
    thickness_um: float = 675.0
    diffusion_um2: float = 215.0
    diffusion_per_um: float = 1.3e-3
    pair_ev: float = 3.77
    fano: float = 0.13
    noise_e: float = 2.0
    gain_adu_per_kev: float = 2500.0
    pedestal_adu: float = 3850.0
    threshold_adu: float = 4000.0
    min_size: int = 5

    def sigma_px(self, depth_um: np.ndarray) -> np.ndarray:
        """Width of the charge cloud, px, of a deposit at this distance from the pixels."""
        inside = 1 - self.diffusion_per_um * np.clip(depth_um, 0, self.thickness_um)
        return np.sqrt(-self.diffusion_um2 * np.log(inside)) / self.pixel_um


CCD = Sensor()
CANVAS = 384
"""Side of the piece of sensor a track may cross, px."""

MARGIN = 2
"""Empty pixels around the charge of an event, px."""

MIX = {"other": 0.08, "xray": 0.35, "electron": 0.14, "muon": 0.33, "several": 0.10}
"""Shares of the classes, near those of the 509 hand-labelled clusters of seed 003, electrons a little more frequent."""

KEV_PER_UM = 0.39
"""Mean loss of a minimum-ionising particle in silicon."""

STEP_UM = 5.0

LONGEST = 70
"""Longest muon, px; with it the median size is that of the labelled muons, whose selection is not known."""


def xray(rng: Rng, sensor: Sensor = CCD) -> Deposits:
    """One point deposit of 5-25 keV at any depth: a round spot."""
    return _point(rng, sensor, rng.uniform(5, 25), rng.uniform(0.35, 1) * sensor.thickness_um)


def muon(rng: Rng, sensor: Sensor = CCD) -> Deposits:
    """A straight line through the whole thickness, cos^2 zenith law, Landau-like fluctuating loss."""
    # The flux through a horizontal sensor falls by one more cosine; very steep tracks are spots and were not labelled.
    while True:
        cosine = rng.uniform() ** 0.25
        length = sensor.thickness_um * np.tan(np.arccos(cosine)) / sensor.pixel_um
        if 6 < length < LONGEST:
            break
    path = sensor.thickness_um / cosine
    steps = int(path / STEP_UM)
    along = (np.arange(steps) + 0.5) / steps
    azimuth = rng.uniform(0, 2 * np.pi)
    x = CANVAS / 2 + (along - 0.5) * length * np.cos(azimuth)
    y = CANVAS / 2 + (along - 0.5) * length * np.sin(azimuth)
    return x, y, along * sensor.thickness_um, _losses(rng, steps)


def electron(rng: Rng, sensor: Sensor = CCD) -> Deposits:
    """A worm: a random walk whose scattering and loss grow towards its end."""
    energy = np.exp(rng.uniform(np.log(400), np.log(2400)))
    remaining, depth = energy, rng.uniform(0, sensor.thickness_um)
    azimuth, dip = rng.uniform(0, 2 * np.pi), np.arcsin(rng.uniform(-0.5, 0.5))
    x = y = CANVAS / 2
    points = []
    while remaining > 0 and 0 <= depth <= sensor.thickness_um and 8 < x < CANVAS - 8 and 8 < y < CANVAS - 8:
        loss = min(remaining, KEV_PER_UM * STEP_UM * (1 + 60 / (remaining + 20)) * rng.gamma(4, 0.25))
        points.append((x, y, depth, loss))
        # Highland's width, for a momentum that falls with the remaining energy.
        momentum = np.sqrt(remaining**2 + 2 * remaining * 511)
        beta = momentum / (remaining + 511)
        width = 13.6e3 / (beta * momentum) * np.sqrt(STEP_UM / 93_700)
        azimuth += rng.normal(0, width) / max(np.cos(dip), 0.2)
        dip = np.clip(dip + rng.normal(0, width), -1.5, 1.5)
        x += STEP_UM / sensor.pixel_um * np.cos(dip) * np.cos(azimuth)
        y += STEP_UM / sensor.pixel_um * np.cos(dip) * np.sin(azimuth)
        depth += STEP_UM * np.sin(dip)
        remaining -= loss
    return tuple(np.array(column) for column in zip(*points, strict=True))  # type: ignore[return-value]


def several(rng: Rng, sensor: Sensor = CCD) -> Deposits:
    """Two or three of the above that touch."""
    kinds: tuple[Callable[[Rng, Sensor], Deposits], ...] = (xray, muon, electron)
    base = kinds[rng.integers(1, 3)](rng, sensor)
    parts = [base]
    for _ in range(rng.integers(1, 3)):
        x, y, depth, energy = kinds[rng.choice(3, p=(0.6, 0.25, 0.15))](rng, sensor)
        anchor, own = rng.integers(len(base[0])), rng.integers(len(x))
        # A random point of the new one lies two pixels beside a random point of the first.
        shift = rng.uniform(0, 2 * np.pi)
        x = x - x[own] + base[0][anchor] + 2 * np.cos(shift)
        y = y - y[own] + base[1][anchor] + 2 * np.sin(shift)
        parts.append((x, y, depth, energy))
    joined = tuple(np.concatenate(column) for column in zip(*parts, strict=True))
    inside = (joined[0] > 6) & (joined[0] < CANVAS - 6) & (joined[1] > 6) & (joined[1] < CANVAS - 6)
    return tuple(column[inside] for column in joined)  # type: ignore[return-value]


def other(rng: Rng, sensor: Sensor = CCD) -> Deposits:
    """What fits no class: large round spots (alpha-like), short stubs, and bright columns."""
    kind = rng.integers(3)
    if kind == 0:
        n, radius = 400, rng.uniform(3, 7)
        angle, distance = rng.uniform(0, 2 * np.pi, n), radius * np.sqrt(rng.uniform(size=n))
        x, y = CANVAS / 2 + distance * np.cos(angle), CANVAS / 2 + distance * np.sin(angle)
        return x, y, np.full(n, 0.5 * sensor.thickness_um), np.full(n, rng.uniform(3000, 5000) / n)
    n = int(rng.integers(6, 30))
    if kind == 1:
        y = CANVAS / 2 + np.arange(n, dtype=float)
        return np.full(n, CANVAS / 2), y, np.full(n, 5.0), rng.uniform(0.5, 3, n)
    direction, length = rng.uniform(0, np.pi), rng.uniform(2, 6)
    along = np.linspace(-0.5, 0.5, n) * length
    depth = np.full(n, rng.uniform(0.3, 1) * sensor.thickness_um)
    x, y = CANVAS / 2 + along * np.cos(direction), CANVAS / 2 + along * np.sin(direction)
    return x, y, depth, rng.uniform(0.5, 4, n)


KINDS: dict[str, Callable[[Rng, Sensor], Deposits]] = {
    "other": other,
    "xray": xray,
    "electron": electron,
    "muon": muon,
    "several": several,
}


def _point(rng: Rng, sensor: Sensor, energy: float, depth: float) -> Deposits:
    x, y = CANVAS / 2 + rng.uniform(-0.5, 0.5, 2)
    return np.array([x]), np.array([y]), np.array([depth]), np.array([energy])


def _losses(rng: Rng, steps: int) -> np.ndarray:
    """Loss a step, keV: a gamma core with a rare hard tail, mean of a minimum-ionising particle."""
    core = rng.gamma(2, 0.4, steps)
    tail = np.where(rng.uniform(size=steps) < 0.02, rng.pareto(1.8, steps) * 5, 0)
    return KEV_PER_UM * STEP_UM * (core + tail)


def readout(deposits: Deposits, rng: Rng, sensor: Sensor = CCD) -> np.ndarray:
    """Float32 ADU of the piece of sensor around the charge: diffusion, pair statistics, noise, gain, pedestal."""
    x, y, depth, energy = deposits
    pairs = energy * 1e3 / sensor.pair_ev
    pairs = np.maximum(rng.normal(pairs, np.sqrt(sensor.fano * pairs)), 0)
    # Charge as groups of electrons: each group diffuses on its own, so that thin edges fluctuate as real ones do.
    groups = np.clip((pairs / 8).astype(int), 1, 400)
    source = np.repeat(np.arange(len(x)), groups)
    sigma = sensor.sigma_px(depth)[source]
    column = np.floor(x[source] + sigma * rng.standard_normal(len(source))).astype(int)
    row = np.floor(y[source] + sigma * rng.standard_normal(len(source))).astype(int)
    row -= row.min() - MARGIN
    column -= column.min() - MARGIN
    image = np.zeros((row.max() + 1 + MARGIN, column.max() + 1 + MARGIN))
    np.add.at(image, (row, column), (pairs / groups)[source])
    image += rng.normal(0, sensor.noise_e, image.shape)
    kev = image * sensor.pair_ev / 1e3
    return (sensor.pedestal_adu + sensor.gain_adu_per_kev * kev).astype(np.float32)


def event(kind: str, rng: Rng, sensor: Sensor = CCD) -> Clusters:
    """The largest cluster of one simulated event."""
    while True:
        deposits = KINDS[kind](rng, sensor)
        if not len(deposits[0]):
            continue
        found = cluster(readout(deposits, rng, sensor), threshold=sensor.threshold_adu, min_size=sensor.min_size)
        if len(found):
            largest = found[int(found.sizes.argmax())]
            return largest.with_table(label=kind, true_energy_kev=float(deposits[3].sum()))


def generate(n: int, seed: int, *, mix: dict[str, float] | None = None, sensor: Sensor = CCD) -> Clusters:
    """Simulate labelled clusters in ADU.

    Args:
        n: number of clusters, at least 1.
        seed: equal seeds give equal clusters; each cluster has a random stream of its own.
        mix: shares of the classes, `MIX` by default; need not sum to 1.
        sensor: sensor and readout.

    Returns:
        n clusters with table columns id, label, energy_sum (ADU over the threshold), true_energy_kev.

    Raises:
        InputError: an unknown class or n < 1.
    """
    mix = MIX if mix is None else mix
    unknown = set(mix) - set(KINDS)
    if unknown or n < 1:
        raise InputError(
            f"CCD classes are {', '.join(KINDS)} and n is at least 1; received {', '.join(map(repr, mix))}, n={n}"
        )
    shares = np.array(list(mix.values()), float)
    kinds = np.random.default_rng((seed, 0)).choice(list(mix), size=n, p=shares / shares.sum())
    clusters = Clusters.concat(
        event(str(kind), np.random.default_rng((seed, 1, i)), sensor) for i, kind in enumerate(kinds)
    )
    return clusters.with_table(id=pd.Series([f"sim{seed}-{i:06d}" for i in range(n)]), source="simulation")


def to_kev(clusters: Clusters, sensor: Sensor = CCD) -> Clusters:
    """Subtract the pedestal and divide by the gain."""
    hits = clusters.hits.copy()
    hits[:, 2] = (hits[:, 2] - sensor.pedestal_adu) / sensor.gain_adu_per_kev
    energy = np.add.reduceat(hits[:, 2], clusters.offsets[:-1])
    return Clusters(hits, clusters.columns, clusters.offsets, clusters.table.assign(energy_sum=energy), "keV")
