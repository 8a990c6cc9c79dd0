"""From pixels to clusters: dense images (CCD), sparse frames (Timepix), hit streams (Timepix3)."""

from __future__ import annotations

from typing import Any

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.clustering.frames import cluster_frames
from particle_zoo.detectors.clustering.hits import cluster_hits, cluster_stream
from particle_zoo.detectors.clustering.images import SEED_EDGE, breadth_first, cluster_image
from particle_zoo.detectors.frames import Frames
from particle_zoo.detectors.hits import Hits
from particle_zoo.errors import InputError

__all__ = [
    "SEED_EDGE",
    "SETTINGS",
    "breadth_first",
    "cluster",
    "cluster_frames",
    "cluster_hits",
    "cluster_image",
    "cluster_stream",
]

SETTINGS = {
    Hits: ("window_ns", "min_size", "connectivity", "source"),
    Frames: ("threshold", "min_size", "connectivity", "window_ns", "source"),
    np.ndarray: ("threshold", "min_size", "edge", "connectivity", "source", "unit"),
}
"""Settings by kind of data; described at `cluster_hits`, `cluster_frames` and `cluster_image`."""


def cluster(data: Hits | Frames | np.ndarray, **settings: Any) -> Clusters:
    """Find clusters: pixels over threshold that touch, and that belong together in time where times are known.

    Args:
        data: a hit stream, frames, or (rows, cols) pixel values of a CCD frame.
        settings: `window_ns` (200), `min_size` (1; CCD frames 5), `connectivity` (8 or 4), `threshold` (frames 0, CCD
            frames 4000 ADU), `source`, and for CCD frames `edge` and `unit`.

    Returns:
        Clusters; see `cluster_hits`, `cluster_frames` and `cluster_image` for order and table.

    Raises:
        InputError: other data, a setting this kind does not have, or one that cannot be.
    """
    if isinstance(data, Clusters):
        raise InputError(f"these are clusters already; received {data!r}")
    kind = next((kind for kind in SETTINGS if isinstance(data, kind)), None)
    if kind is None:
        raise InputError(f"clusters are found in Hits, Frames or an array of pixels; received {type(data).__name__}")
    unknown = set(settings) - set(SETTINGS[kind])
    if unknown:
        raise InputError(
            f"clustering {kind.__name__} has no setting {min(unknown)}; it takes {', '.join(SETTINGS[kind])}"
        )
    function: Any = {Hits: cluster_hits, Frames: cluster_frames, np.ndarray: cluster_image}[kind]
    found: Clusters = function(data, **settings)
    return found
