"""From a detector file to clusters: read, calibrate, cluster - in pieces that fit into memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.clustering import cluster_frames, cluster_stream
from particle_zoo.detectors.frames import Frames
from particle_zoo.detectors.hits import Hits
from particle_zoo.detectors.readers import iter_parts

SETTINGS = ("window_ns", "min_size", "connectivity", "disorder_ns", "threshold")
"""Settings of the clustering; what is None or missing keeps the default of its kind of data."""


def iter_clusters(
    path: str | Path, *, calibration: Any = None, ignore_unknown: bool = False, **options: Any
) -> Iterator[Clusters]:
    """Yield the clusters of a file or folder of any format `particle_zoo.read` knows.

    Hit streams and frames are clustered, clusters are passed on. CCD frames are read with the settings as options.

    Args:
        path: file or folder.
        calibration: from ToT to keV, see `particle_zoo.detectors.pixel_calibration.calibrate`; what is in keV already stays.
        ignore_unknown: leave out options the format does not have.
        options: of the format, and `SETTINGS`: `window_ns` (200), `min_size` (1; CCD frames 5), `connectivity` (8),
            `disorder_ns` (10 ms), `threshold` (frames 0; CCD frames 4000 ADU).

    Raises:
        InputError: as `particle_zoo.read` and `particle_zoo.detectors.clustering.cluster`.
    """
    path = Path(path)
    options = {name: value for name, value in options.items() if value is not None}
    settings = {name: options[name] for name in SETTINGS if name in options}
    parts = iter_parts(path, ignore_unknown=ignore_unknown, shared=SETTINGS, **options)
    # Streams go through as a whole: a cluster may lie in two parts.
    for kind, same in itertools.groupby(_calibrated(parts, calibration), type):
        if kind is Hits:
            yield from cluster_stream(same, source=path.name, **_of(settings, Hits))  # type: ignore[arg-type]
        elif kind is Frames:
            for frames in same:
                found = cluster_frames(frames, source=path.name, **_of(settings, Frames))  # type: ignore[arg-type]
                if len(found):
                    yield found
        else:
            yield from same  # type: ignore[misc]


def _of(settings: dict[str, Any], kind: type) -> dict[str, Any]:
    without = {Hits: ("threshold",), Frames: ("disorder_ns",)}[kind]
    return {name: value for name, value in settings.items() if name not in without}


def _calibrated(parts: Iterable[Clusters | Frames | Hits], calibration: Any) -> Iterator[Clusters | Frames | Hits]:
    if calibration is None:
        yield from parts
        return
    from particle_zoo.detectors.pixel_calibration import calibrate

    for part in parts:
        yield calibrate(part, calibration) if part.unit == "ToT" else part
