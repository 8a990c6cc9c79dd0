"""The six morphological classes of pixel clusters (Holy et al., NIM A 591, 2008), as coded in TPX3-Functions."""

from __future__ import annotations

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.track_features import fitted, walk_of
from particle_zoo.errors import InputError
from particle_zoo.pipelines.rasterise import bounding_boxes

CLASSES = ("dot", "small blob", "heavy blob", "heavy track", "straight track", "curly track")


def classify(
    clusters: Clusters,
    *,
    inner: int = 4,
    blob_share: float = 0.5,
    track_share: float = 0.3,
    elongated: float = 1.2,
    straight: float = 0.9,
    straight_px: float = 4.0,
) -> np.ndarray:
    """The class of every cluster; each gets exactly one, and turning or mirroring a cluster does not change it.

    In this order: dot, at most 2 pixels; small blob, fits into 2 x 2; heavy blob, at least `inner` inner pixels (all four
    orthogonal neighbours hit), inner/outer at least `blob_share`, diameter below `elongated` times that of the disc of
    as many pixels; heavy track, inner/outer at least `track_share` and not shorter than that; straight track, linearity
    at least `straight` and linearity times pixels at least `straight_px`; curly track, the rest. A pixel hit twice counts
    once. Pixels below 5 keV do not count for the linearity; in ToT, ADU and masks all count.

    Args:
        clusters: n clusters.
        inner: fewest inner pixels of a heavy cluster.
        blob_share: smallest inner/outer of a heavy blob.
        track_share: smallest inner/outer of a heavy track.
        elongated: diameter in diameters of the disc, from which a heavy cluster is a track.
        straight: smallest linearity of a straight track.
        straight_px: fewest pixels on its line.

    Returns:
        (n,) names out of `CLASSES`.

    Raises:
        InputError: clusters that stand for more pixels than they have (`summed_pixels`), whose shape is not known.
    """
    if "summed_pixels" in clusters.table and clusters.table["summed_pixels"].notna().any():
        raise InputError(
            "these clusters are lists of properties without pixels, so their shape is not known; give the file with pixels"
        )
    n = len(clusters)
    if not n:
        return np.empty(0, dtype=str)
    walked = walk_of(clusters, paths=False)
    pixels, inside, diameter = (walked[name] for name in ("pixels", "inner", "diameter"))
    _, _, height, width = bounding_boxes(clusters)
    linearity = fitted(clusters, pixels)["linearity"]
    # An outer pixel always exists: the first of the first row.
    share = inside / (pixels - inside)
    disc = 2 * np.sqrt(pixels / np.pi)
    heavy, long = inside >= inner, diameter >= elongated * disc
    rules = (
        pixels <= 2,
        np.maximum(height, width) <= 2,
        heavy & (share >= blob_share) & ~long,
        heavy & (share >= track_share) & long,
        (linearity >= straight) & (linearity * pixels >= straight_px),
    )
    return np.select(rules, CLASSES[:-1], CLASSES[-1])


def low_ionising(clusters: Clusters) -> np.ndarray:
    """(n,) whether a cluster lies below the line of low and medium ionisation, E < 17 keV N + 500 keV.

    Raises:
        InputError: clusters in another unit than keV.
    """
    if clusters.unit != "keV":
        raise InputError(
            f"the line of ionisation is drawn in keV; received clusters in {clusters.unit}; calibrate first"
        )
    energy = np.bincount(clusters.hit_cluster, clusters.column("energy").astype(float), len(clusters))
    return energy < 17.0 * walk_of(clusters, paths=False)["pixels"] + 500.0
