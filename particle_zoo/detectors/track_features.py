"""What tracking detectors ask of a cluster: direction, elevation, path, energy loss, straightness, timing."""

from __future__ import annotations

import math

import numba
import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.skeleton import COLUMNS as WALKED
from particle_zoo.detectors.skeleton import check_extent, walk
from particle_zoo.errors import InputError
from particle_zoo.pipelines.rasterise import bounding_boxes

NAMES = (
    "row_mean",
    "col_mean",
    "azimuth",
    "linearity",
    "length_projected",
    "width_projected",
    "elevation",
    "length_3d_um",
    "let_kev_um",
    "diameter",
    "skeleton_length",
    "tortuosity",
    "end0_row",
    "end0_col",
    "end1_row",
    "end1_col",
    "duration_ns",
    "drift_ns_per_px",
)

STRONG_KEV = 5.0
"""Pixels below it do not count for the linearity."""

NEAR_PX = 0.7071
"""Distance to the line up to which a pixel lies on it."""

_FITTED = ("row_mean", "col_mean", "azimuth", "linearity", "length_projected", "width_projected", "drift_ns_per_px")


def track_features(clusters: Clusters, *, thickness_um: float = 300.0, pitch_um: float = 55.0) -> dict[str, np.ndarray]:
    """`NAMES` of n clusters.

    `row_mean`, `col_mean`: centroid weighted with the energy. `azimuth`: direction of the long axis through it, degrees
    from the columns to the rows, 0..180; NaN where no axis is longer. `linearity`: share of the pixels of at least 5 keV
    that lie within 0.7071 px of that axis, 0..1 (Holy et al., NIM A 591, 2008, as coded in TPX3-Functions); 0 without an
    axis; in other units than keV, or without such a pixel, of all pixels. `length_projected`, `width_projected`: extent
    along and across the axis, px, one pixel included. `elevation`: degrees above the sensor plane of a straight track
    that crosses the whole sensor, atan(thickness / length), the length between the first and the last pixel's centre;
    90 is perpendicular. `length_3d_um`: length of that track. `let_kev_um`: energy over that length; NaN in other units
    than keV. `diameter`: largest distance between two pixels, px. `skeleton_length`, `end0_row` ... `end1_col`: longest
    way along the pixels and its ends, see `particle_zoo.detectors.skeleton`; `tortuosity`: that length over the straight
    distance of its ends, 1 for a single pixel. `duration_ns`: last minus first time; `drift_ns_per_px`: slope of the
    times along the axis, towards growing columns (rows for an azimuth of 90); NaN without times.

    Args:
        clusters: n clusters.
        thickness_um: of the sensor.
        pitch_um: of its pixels.

    Returns:
        (n,) float64 by name.

    Raises:
        InputError: a thickness or pitch that is not positive.
    """
    for name, value in (("thickness_um", thickness_um), ("pitch_um", pitch_um)):
        if not 0 < value < math.inf:
            raise InputError(f"{name} must be positive; received {value!r}")
    n = len(clusters)
    energy = clusters.column("energy").astype(np.float64)
    timed = "toa" in clusters.columns
    toa = clusters.column("toa") if timed else np.empty(0)
    walked = walk_of(clusters)
    found = fitted(clusters, walked["pixels"]) | {name: walked[name] for name in WALKED if name in NAMES}
    along = (found["length_projected"] - 1) * pitch_um
    found["elevation"] = np.degrees(np.arctan2(thickness_um, along))
    found["length_3d_um"] = np.hypot(thickness_um, along)
    total = np.add.reduceat(energy, clusters.offsets[:-1]) if n else np.empty(0)
    found["let_kev_um"] = total / found["length_3d_um"] if clusters.unit == "keV" else np.full(n, np.nan)
    straight = np.hypot(found["end1_row"] - found["end0_row"], found["end1_col"] - found["end0_col"])
    found["tortuosity"] = np.where(straight > 0, found["skeleton_length"] / np.where(straight > 0, straight, 1), 1.0)
    starts = clusters.offsets[:-1]
    found["duration_ns"] = (
        np.maximum.reduceat(toa, starts) - np.minimum.reduceat(toa, starts) if timed and n else np.full(n, np.nan)
    )
    return {name: found[name] for name in NAMES}


def walk_of(clusters: Clusters, *, paths: bool = True) -> dict[str, np.ndarray]:
    """`particle_zoo.detectors.skeleton.walk` of clusters, by name.

    Raises:
        InputError: a cluster larger than any detector.
    """
    _, _, height, width = bounding_boxes(clusters)
    check_extent(height, width)
    row, col = (clusters.column(name).astype(np.int64) for name in ("row", "col"))
    return dict(zip(WALKED, walk(row, col, clusters.offsets, paths).T, strict=True))


def fitted(clusters: Clusters, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Those of `NAMES` that come from the energy-weighted axis alone; see `track_features`.

    Args:
        clusters: n clusters.
        pixels: (n,) how many different pixels each has; a pixel hit twice counts once, with the sum of its energies.
    """
    if (pixels != clusters.sizes).any():
        clusters = _merged(clusters)
    row, col = (clusters.column(name).astype(np.int64) for name in ("row", "col"))
    energy = clusters.column("energy").astype(np.float64)
    toa = clusters.column("toa").astype(np.float64) if "toa" in clusters.columns else np.empty(0)
    strong = STRONG_KEV if clusters.unit == "keV" else -math.inf
    return dict(zip(_FITTED, _fit(row, col, energy, toa, clusters.offsets, strong, NEAR_PX).T, strict=True))


def _merged(clusters: Clusters) -> Clusters:
    """With every pixel once: energies added, earliest time."""
    cluster, row, col = clusters.hit_cluster, clusters.column("row"), clusters.column("col")
    order = np.lexsort((clusters.column("toa") if "toa" in clusters.columns else row, col, row, cluster))
    same = (np.diff(cluster[order]) == 0) & (np.diff(row[order]) == 0) & (np.diff(col[order]) == 0)
    first = np.concatenate([[True], ~same])
    hits = clusters.hits[order][first]
    hits[:, 2] = np.add.reduceat(clusters.column("energy")[order], np.flatnonzero(first))
    sizes = np.bincount(cluster[order][first], minlength=len(clusters))
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return Clusters(hits, clusters.columns, offsets, clusters.table, clusters.unit)


@numba.njit(cache=True)
def _fit(
    row: np.ndarray,
    col: np.ndarray,
    energy: np.ndarray,
    toa: np.ndarray,
    offsets: np.ndarray,
    strong: float,
    near: float,
) -> np.ndarray:
    """(n, 7) `_FITTED` by the energy-weighted second moments of each cluster."""
    n = len(offsets) - 1
    found = np.empty((n, 7))
    for k in range(n):
        start, stop = offsets[k], offsets[k + 1]
        r0, c0 = row[start], col[start]
        weight, r1, c1 = 0.0, 0.0, 0.0
        for i in range(start, stop):
            w = max(energy[i], 0.0)
            weight += w
            r1 += w * (row[i] - r0)
            c1 += w * (col[i] - c0)
        # Energies that say nothing: every pixel counts the same.
        flat = not weight > 0.0
        if flat:
            weight, r1, c1 = float(stop - start), 0.0, 0.0
            for i in range(start, stop):
                r1 += row[i] - r0
                c1 += col[i] - c0
        r1, c1 = r1 / weight, c1 / weight
        rr, cc, rc = 0.0, 0.0, 0.0
        for i in range(start, stop):
            w = 1.0 if flat else max(energy[i], 0.0)
            r, c = row[i] - r0 - r1, col[i] - c0 - c1
            rr += w * r * r
            cc += w * c * c
            rc += w * r * c
        rr, cc, rc = rr / weight, cc / weight, rc / weight
        spread = math.hypot((rr - cc) / 2, rc)
        axis = spread > 1e-9 * ((rr + cc) / 2 + 1)
        angle = 0.5 * math.atan2(2 * rc, cc - rr) if axis else 0.0
        x, y = math.cos(angle), math.sin(angle)
        # The axis points towards growing columns, up where it is vertical.
        if x < -1e-12 or (abs(x) <= 1e-12 and y < 0):
            x, y = -x, -y
        low, high, left, right = math.inf, -math.inf, math.inf, -math.inf
        strongs, on_line, ons = 0, 0, 0
        t1, s1, st, ss = 0.0, 0.0, 0.0, 0.0
        for i in range(start, stop):
            r, c = row[i] - r0 - r1, col[i] - c0 - c1
            along, across = c * x + r * y, r * x - c * y
            low, high = min(low, along), max(high, along)
            left, right = min(left, across), max(right, across)
            on = abs(across) <= near
            ons += on
            if energy[i] >= strong:
                strongs += 1
                on_line += on
            if len(toa) > 0:
                t = toa[i] - toa[start]
                t1 += t
                s1 += along
                st += along * t
                ss += along * along
        size = stop - start
        found[k, 0] = r0 + r1
        found[k, 1] = c0 + c1
        found[k, 2] = math.degrees(angle) % 180.0 if axis else math.nan
        found[k, 3] = 0.0
        if axis:
            found[k, 3] = on_line / strongs if strongs > 0 else ons / size
        if not axis:
            # No axis to project on: the longer side of the box, which turns with the cluster.
            high = max(row[start:stop].max() - row[start:stop].min(), col[start:stop].max() - col[start:stop].min())
            low, left, right = 0.0, 0.0, high
        found[k, 4] = high - low + 1
        found[k, 5] = right - left + 1
        spread_along = ss - s1 * s1 / size
        found[k, 6] = math.nan
        if len(toa) > 0 and axis and spread_along > 1e-12:
            found[k, 6] = (st - s1 * t1 / size) / spread_along
    return found
