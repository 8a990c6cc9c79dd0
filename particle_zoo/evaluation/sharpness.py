"""How sharp the edges of thin tracks are in a reconstruction."""

from __future__ import annotations

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.holy import classify
from particle_zoo.pipelines.rasterise import bounding_boxes

WIDEST = 2.0
"""Pixels a row (or column, along the longer side) up to which a straight track is thin."""

SHORTEST = 8
"""Shorter tracks, px along the longer side, have no edge to speak of."""

FAINT = 0.1
"""Share of the input's brightness below which nothing was drawn that could be sharp."""

REACH = 4
"""Detector pixels on both sides of the axis within which a profile is taken."""


def thin_tracks(clusters: Clusters, factors: np.ndarray) -> np.ndarray:
    """(n,) bool: straight tracks of 1 to 2 px width and at least 8 px length that are not drawn smaller than they are.

    Args:
        clusters: n clusters.
        factors: (n,) enlargement factor of each.
    """
    _, _, height, width = bounding_boxes(clusters)
    long_side = np.maximum(height, width)
    thin = (long_side >= SHORTEST) & (clusters.sizes <= WIDEST * long_side) & (factors >= 1)
    # Classes are looked up where they can matter only.
    thin[thin] = classify(clusters[thin]) == "straight track"
    return thin


def sharpness(truth: np.ndarray, drawn: np.ndarray, factor: float) -> float:
    """Sharpness of a straight track across its axis: 1 as sharp as the input, 0.5 an edge twice as wide, 0 no track.

    Both images are averaged along the track to profiles p(d) of the distance d to its axis, so that noise of single
    pixels is no edge. The energy of the gradient over that of the profile, sum p'(d)^2 / sum p(d)^2, goes as the width to
    the power of -2 (exactly so for Gaussian profiles) and does not depend on how bright the track is; the sharpness is
    the square root of the ratio of reconstruction to input. A profile whose root of sum p(d)^2 is less than `FAINT` of the
    input's counts as no track. The axis is that of the input, energy-weighted.

    Args:
        truth: (size, size) square roots of energies of the input, with at least two pixels above 0.
        drawn: (size, size) the same of the reconstruction; below 0 counts as 0.
        factor: enlargement of the input, image pixels a detector pixel.
    """
    rows, cols = np.nonzero(truth > 0)
    energy = truth[rows, cols].astype(float) ** 2
    row, col = np.average(rows, weights=energy), np.average(cols, weights=energy)
    down, right = rows - row, cols - col
    rr, cc, rc = (np.average(v, weights=energy) for v in (down * down, right * right, down * right))
    angle = 0.5 * np.arctan2(2 * rc, cc - rr)
    x, y = np.cos(angle), np.sin(angle)
    ends = right * x + down * y
    all_rows, all_cols = np.indices(truth.shape)
    along = (all_cols - col) * x + (all_rows - row) * y
    across = (all_rows - row) * x - (all_cols - col) * y
    reach = int(np.ceil(REACH * factor))
    near = (along >= ends.min()) & (along <= ends.max()) & (np.abs(across) <= reach)
    place = across[near] + reach
    before, after = (_profile(place, image[near], 2 * reach + 2) for image in (truth, np.maximum(drawn, 0)))
    if np.linalg.norm(after) < FAINT * np.linalg.norm(before):
        return 0.0
    return float(_steepness(after) / _steepness(before))


def _profile(place: np.ndarray, values: np.ndarray, bins: int) -> np.ndarray:
    """(bins,) mean value at each distance.

    A value counts for both bins beside its place: rows of a level track lie between two, and rounding would merge them.
    """
    low = place.astype(int)
    share = place - low
    weight = np.bincount(low, 1 - share, bins) + np.bincount(low + 1, share, bins)
    total = np.bincount(low, (1 - share) * values, bins) + np.bincount(low + 1, share * values, bins)
    return np.divide(total, weight, out=np.zeros(bins), where=weight > 0)


def _steepness(profile: np.ndarray) -> np.floating:
    return np.linalg.norm(np.diff(profile)) / np.linalg.norm(profile)
