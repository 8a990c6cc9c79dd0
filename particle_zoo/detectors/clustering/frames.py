"""From sparse frames to clusters."""

from __future__ import annotations

import numpy as np
import pandas as pd

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.clustering.hits import WINDOW_NS, check
from particle_zoo.detectors.clustering.ids import numbered
from particle_zoo.detectors.clustering.union_find import by_component, components
from particle_zoo.detectors.frames import Frames
from particle_zoo.detectors.hits import STEP_NS
from particle_zoo.errors import InputError


def cluster_frames(
    frames: Frames,
    *,
    threshold: float = 0.0,
    min_size: int = 1,
    connectivity: int = 8,
    window_ns: float | None = WINDOW_NS,
    source: str = "frames",
) -> Clusters:
    """Find the clusters of each frame.

    Args:
        frames: f frames.
        threshold: pixels below it are left out; in the unit of the frames.
        min_size: smallest cluster, px.
        connectivity: 8 or 4 neighbours.
        window_ns: largest time between neighbours where the frames have times; None looks at space only.
        source: name of the frames where their table has no `source`; cluster i of frame k gets the id `source:k:i`.

    Returns:
        Clusters by frame and first pixel. Table columns id, label, and those of the frames' table. `toa` in ns after
        the start of the frame where the frames have times.

    Raises:
        InputError: settings that cannot be.
    """
    if not (isinstance(threshold, (int, float, np.number)) and np.isfinite(threshold)):
        raise InputError(f"threshold must be a number, in the unit of the frames; received {threshold!r}")
    window = check(WINDOW_NS if window_ns is None else window_ns, min_size, connectivity)
    row, col, energy, stored, bounds = frames.row, frames.col, frames.energy, frames.toa, frames.offsets
    timed = stored is not None and window_ns is not None
    if threshold > 0 or timed:
        frame_of = frames.pixel_frame
        kept = np.flatnonzero(energy >= threshold) if threshold > 0 else np.arange(len(row))
        if stored is not None and timed:
            kept = kept[np.lexsort((stored[kept], frame_of[kept]))]
        bounds = np.searchsorted(frame_of[kept], np.arange(len(frames) + 1))
        row, col, energy = row[kept], col[kept], energy[kept]
        stored = None if stored is None else stored[kept]
    times = stored if stored is not None and timed else np.empty(0, np.int64)
    component, count = components(row, col, times, bounds, window, *frames.shape, connectivity == 8)
    order, offsets = by_component(component, count, min_size)

    columns: tuple[str, ...] = ("row", "col", "energy")
    values = [row[order], col[order], energy[order]]
    dtype = energy.dtype
    if stored is not None:
        columns, dtype = (*columns, "toa"), np.dtype(np.float64)
        values.append(stored[order] * STEP_NS)
    hits = np.empty((len(order), len(columns)), dtype)
    for i, value in enumerate(values):
        hits[:, i] = value
    hits.flags.writeable = False
    assert frames.table is not None
    frame = np.repeat(np.arange(len(frames)), np.diff(bounds))[order[offsets[:-1]]]
    table = frames.table.iloc[frame].reset_index(drop=True)
    names = table["source"].to_numpy(dtype=object) if "source" in table else source
    ids = numbered(names, table["frame"].to_numpy(), np.arange(len(frame)) - np.searchsorted(frame, frame))
    ours = pd.DataFrame({"id": ids, "label": ""}) if len(ids) else pd.DataFrame(columns=["id", "label"], dtype=str)
    if "source" not in table:
        table = table.assign(source=source)
    return Clusters(hits, columns, offsets, pd.concat([ours, table], axis=1), frames.unit)
