"""From deposits to charge on pixels: drift, diffusion, repulsion, sharing.

Every deposit arrives as a Gaussian cloud; its share of each pixel is a product of two error functions. Nothing is lost
inside the sensor: the shares of one cloud are scaled to 1, and less than a millionth of the charge is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from particle_zoo.simulation.sensor import SensorConfig
from particle_zoo.simulation.tracks import Deposits

CHUNK_SHARES = 2_000_000
"""Pixel shares held at a time."""

REACH = 4.2
"""Half width of the window of pixels, in widths of the cloud."""

DENSE_KEV_PER_UM = 5.0
"""The charges of denser tracks repel each other noticeably: alphas, protons below 20 MeV, heavy ions."""

HALO_KEV = 500.0
"""Dense clouds of more than this have a halo, unless they are as wide as clouds get."""


NEGLIGIBLE = 5e-4


@dataclass(frozen=True)
class Charge:
    """Charge of k pixels, sorted by event, row and column: energy in keV, mean drift time in ns."""

    event: np.ndarray
    row: np.ndarray
    col: np.ndarray
    energy: np.ndarray
    drift_ns: np.ndarray


def collect(deposits: Deposits, sensor: SensorConfig) -> Charge:
    """Share the deposits onto pixels; charge beyond the edge of the matrix is lost to the guard ring.

    Drift times stay 0 for a chip that does not measure them.
    """
    keep = deposits.energy > 0
    event, energy = deposits.event[keep], deposits.energy[keep]
    x, y, z = deposits.position[:, keep]
    density = deposits.kev_per_um[keep]
    sigma = sensor.diffusion_um(z)
    dense = np.flatnonzero(density > DENSE_KEV_PER_UM) if sensor.repulsion else np.empty(0, np.int64)
    if len(dense):
        cloud = np.bincount(event[dense], energy[dense])[event[dense]]
        sigma[dense] = sensor.cloud_um(z[dense], cloud, density[dense])
        share, wider = sensor.halo
        wide = dense[(cloud > HALO_KEV) & (sigma[dense] < 0.999 * sensor.widest_um)]
        if len(wide) and share > 0:
            x, y, z, event = (np.concatenate([v, v[wide]]) for v in (x, y, z, event))
            sigma = np.concatenate([sigma, wider * sigma[wide]])
            energy = np.concatenate([energy, share * energy[wide]])
            energy[wide] *= 1 - share
    sigma = np.maximum(sigma, 1e-3) / sensor.pitch_um
    x, y = x / sensor.pitch_um, y / sensor.pitch_um
    drift = sensor.drift_ns(z) if "toa" in sensor.readout else None
    # With the far neighbour more than 0.5 px, 3.4 widths, away, two pixels a side hold the cloud.
    half = np.where(sigma < 0.147, 0, np.ceil(REACH * sigma + 0.5)).astype(np.int64)
    parts: list[tuple[np.ndarray, ...]] = []
    for reach in np.unique(half):
        members = np.flatnonzero(half == reach)
        share_out = _near if reach == 0 else _far
        size = max(CHUNK_SHARES // (2 * int(reach) + 2) ** 2, 1)
        for start in range(0, len(members), size):
            at = members[start : start + size]
            source, key, charge = share_out(event[at], x[at], y[at], sigma[at], int(reach), sensor.shape)
            charge *= energy[at][source]
            values = (charge,) if drift is None else (charge, charge * drift[at][source])
            parts.append(_sum(key, *values))
    if not parts:
        none = np.empty(0, np.int64)
        return Charge(none, none, none, np.empty(0), np.empty(0))
    key, total, *time = (
        parts[0] if len(parts) == 1 else _sum(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    )
    event, pixel = np.divmod(key, sensor.shape[0] * sensor.shape[1])
    row, col = np.divmod(pixel, sensor.shape[1])
    return Charge(event, row, col, total, time[0] / total if time else np.zeros(len(total)))


def _near(
    event: np.ndarray, x: np.ndarray, y: np.ndarray, sigma: np.ndarray, reach: int, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Narrow clouds: the two nearest pixels along each axis.

    Returns:
        Cloud, pixel key and share of each pixel that gets something.
    """
    from scipy.special import ndtr

    below, left = np.floor(y + 0.5), np.floor(x + 0.5)
    share_below = _clean(ndtr((below - y) / sigma))
    share_left = _clean(ndtr((left - x) / sigma))
    row, col = below.astype(np.int64), left.astype(np.int64)
    base = (event * shape[0] + row) * shape[1] + col
    shares_y, shares_x = (share_below, 1 - share_below), (share_left, 1 - share_left)
    for shares, number, most in ((shares_y, row, shape[0]), (shares_x, col, shape[1])):
        # Clouds at the edge of the matrix.
        shares[0][(number < 1) | (number > most)] = 0
        shares[1][(number < 0) | (number >= most)] = 0
    rows, cols = zip(shares_y, (-shape[1], 0), strict=True), list(zip(shares_x, (-1, 0), strict=True))
    found = []
    for row_share, down in rows:
        for col_share, side in cols:
            share = row_share * col_share
            source = np.flatnonzero(share)
            found.append((source, base[source] + (down + side), share[source]))
    source, key, share = (np.concatenate(column) for column in zip(*found, strict=True))
    return source, key, share


def _clean(share: np.ndarray) -> np.ndarray:
    """Shares below a two-thousandth go to the neighbour: far below any threshold, and a third of all pixels."""
    share[share < NEGLIGIBLE] = 0
    share[share > 1 - NEGLIGIBLE] = 1
    return share


def _far(
    event: np.ndarray, x: np.ndarray, y: np.ndarray, sigma: np.ndarray, reach: int, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wide clouds: a window of 2 reach + 1 pixels a side; otherwise as `_near`."""
    (row, row_share), (col, col_share) = (_window(position, sigma, reach) for position in (y, x))
    row_share *= (row >= 0) & (row < shape[0])
    col_share *= (col >= 0) & (col < shape[1])
    share = (row_share[:, :, None] * col_share[:, None, :]).ravel()
    key = ((event[:, None, None] * shape[0] + row[:, :, None]) * shape[1] + col[:, None, :]).ravel()
    use = np.flatnonzero(share > 1e-7)
    return use // (2 * reach + 1) ** 2, key[use], share[use]


def _window(position: np.ndarray, sigma: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel numbers and shares (n, 2 reach + 1) along one axis; shares sum to 1."""
    from scipy.special import ndtr

    centre = np.floor(position).astype(np.int64)
    pixel = centre[:, None] + np.arange(-reach, reach + 1)
    edges = centre[:, None] + np.arange(-reach, reach + 2)
    share = np.diff(ndtr((edges - position[:, None]) / sigma[:, None]), axis=1)
    return pixel, share / share.sum(1, keepdims=True)


def _sum(key: np.ndarray, *values: np.ndarray) -> tuple[np.ndarray, ...]:
    """Sums of values with the same key; keys ascending."""
    if not len(key):
        return (key, *values)
    order = np.argsort(key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    return (key[starts], *(np.add.reduceat(value[order], starts) for value in values))
