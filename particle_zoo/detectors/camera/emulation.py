"""The CYGNO reconstruction up to its clusters, so that its pixel lists can be compared with truth and with a model.

As in CYGNUS-RD/reconstruction, branch winter23 (`reconstruction.py`, `snakes.py`, `cython_cygno.pyx`, `clusterTools.py`), with
one step left out: the directional search (RANSAC) that joins pieces of long tracks before the plain DBSCAN. Tracks that it
would join may come in pieces here. The vignetting correction of the stored counts is left out too.
"""

from __future__ import annotations

from collections.abc import Iterable

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.ndimage import median_filter

from particle_zoo.detectors.camera.frames import CameraFrames
from particle_zoo.detectors.camera.pedestal import PedestalModel
from particle_zoo.detectors.camera.redpix import RedPixels
from particle_zoo.errors import InputError

REBIN = 4
"""Pixels along the side of a macro-pixel."""

EPS, WEIGHT = 12.0, 20
"""DBSCAN: distance in macro-pixels (cityblock), and counts within it that make a core point."""

FAR = 10.0
"""A macro-pixel this far from the mean of its neighbours is replaced by it."""

LARGEST = 1_000_000
"""Pixels from which a cluster is reduced to one of them: afterglow, not a track."""


def macro_pixels(
    frame: npt.ArrayLike,
    pedestal: PedestalModel,
    *,
    nsigma: float = 0.6,
    neighbours: float = 1.2,
    highest: float = 5000.0,
) -> tuple[np.ndarray, np.ndarray]:
    """What the reconstruction clusters: the frame, suppressed, filtered and binned 4 x 4.

    Pixels of `highest` and more become 0, the pedestal is subtracted, what is not above nsigma times the pixel's noise becomes 0,
    a median of 2 x 2 and the mean of 4 x 4 follow. Then macro-pixel by macro-pixel, in order, each seeing those before
    it already filtered: it becomes the mean of its eight neighbours where it differs by more than 10, and 0 where that
    mean is below `neighbours` or fewer than three of the 3 x 3 are lit. Two macro-pixels along the border are 0.

    Args:
        frame: (rows, cols) counts; rows and columns beyond a multiple of 4 are left out.
        pedestal: its mean and sigma; the common mode is not removed.
        nsigma: 0.6 for data, 0.9 for simulation.
        neighbours: 1.2 for data, 1.1 for simulation.
        highest: clip, counts.

    Returns:
        (rows // 4, cols // 4) float64 filtered macro-pixels, and the same only suppressed and binned.

    Raises:
        InputError: another size than that of the pedestal, or less than 16 x 16 px.
    """
    residual = _residual(frame, pedestal, highest)
    suppressed = np.where(residual > nsigma * pedestal.sigma, residual, 0)
    binned = _binned(median_filter(suppressed, size=2))
    return _filtered(binned, neighbours), _binned(suppressed)


def emulate(
    frames: CameraFrames | npt.ArrayLike | Iterable[np.ndarray],
    pedestal: PedestalModel,
    *,
    nsigma: float = 0.6,
    neighbours: float = 1.2,
    highest: float = 5000.0,
    min_integral: float = 850.0,
) -> RedPixels:
    """The pixel lists that the reconstruction would store.

    Macro-pixels of `macro_pixels` that round to 1 or more are clustered by DBSCAN (12 macro-pixels, cityblock, 20
    counts). A list has all pixels of the cluster's 4 x 4 blocks, in steps of 0.1 counts. Clusters of one
    macro-pixel are dropped, and of those up to `min_integral` no pixels are kept (start -1).

    Args:
        frames: (rows, cols) or (n, rows, cols) counts, or an iterable of frames.
        pedestal: its mean and sigma; the common mode is not removed.
        nsigma: zero suppression; 0.6 for data, 0.9 for simulation.
        neighbours: noise filter; 1.2 for data, 1.1 for simulation.
        highest: clip, counts.
        min_integral: counts above which the pixels of a cluster are kept; 850 is about 0.5 keV in LIME.

    Raises:
        InputError: another size than that of the pedestal.
    """
    stack = frames[None] if isinstance(frames, np.ndarray) and frames.ndim == 2 else frames
    pixels, starts, integrals, lengths = [], [], [], []
    for frame in stack:  # type: ignore[union-attr]
        filtered, suppressed = macro_pixels(frame, pedestal, nsigma=nsigma, neighbours=neighbours, highest=highest)
        residual = _residual(frame, pedestal, highest)
        kept, found, integral = _clusters(filtered, suppressed, residual, min_integral)
        pixels.append(kept)
        starts.append(found)
        integrals.append(integral)
        lengths.append(len(kept))
    if not lengths:
        raise InputError("nothing to reconstruct: received no frame")
    table = frames.table if isinstance(frames, CameraFrames) else pd.DataFrame({"frame": np.arange(len(lengths))})
    positions = np.repeat(np.arange(len(starts)), [len(found) for found in starts])
    return RedPixels.from_clusters(
        list(np.concatenate(pixels).T),
        np.concatenate([[0], np.cumsum(lengths)]),
        np.concatenate(starts),
        positions,
        table,
        np.concatenate(integrals),
    )


def _residual(frame: npt.ArrayLike, pedestal: PedestalModel, highest: float) -> np.ndarray:
    image = np.asarray(frame)
    if image.ndim != 2:
        raise InputError(f"a frame has rows and columns; received an array of shape {image.shape}")
    pedestal.check(image.shape)
    if min(image.shape) < 4 * REBIN:
        raise InputError(f"the noise filter needs at least 16 x 16 px; received {image.shape[0]} x {image.shape[1]}")
    return np.where(image < highest, image, 0).astype(np.float32) - pedestal.mean


def _binned(image: np.ndarray) -> np.ndarray:
    rows, cols = image.shape[0] // REBIN, image.shape[1] // REBIN
    blocks = image[: rows * REBIN, : cols * REBIN].reshape(rows, REBIN, cols, REBIN)
    return blocks.mean(axis=(1, 3), dtype=np.float64)


@numba.njit(cache=True)
def _filtered(binned: np.ndarray, neighbours: float) -> np.ndarray:
    out = binned.copy()
    rows, cols = out.shape
    out[:2], out[rows - 2 :] = 0, 0
    out[:, :2], out[:, cols - 2 :] = 0, 0
    for k in range(1, rows - 2):
        for j in range(1, cols - 2):
            total, lit = 0.0, 0
            for row in range(k - 1, k + 2):
                for col in range(j - 1, j + 2):
                    total += out[row, col]
                    lit += out[row, col] != 0
            own = out[k, j]
            mean = (total - own) / 8.0
            if abs(own - mean) > FAR:
                out[k, j] = mean
            if mean < neighbours or lit < 3:
                out[k, j] = 0
    return out


def _clusters(
    filtered: np.ndarray, suppressed: np.ndarray, residual: np.ndarray, min_integral: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n, 3) row, column and counts of the kept pixels, and start and integral of every cluster."""
    from sklearn.cluster import DBSCAN

    points = np.argwhere(np.rint(filtered))
    nothing = np.empty((0, 3), np.float32), np.empty(0), np.empty(0)
    if not len(points):
        return nothing
    weight = np.maximum(suppressed[points[:, 0], points[:, 1]].astype(np.int64), 1)
    label = DBSCAN(eps=EPS, min_samples=WEIGHT, metric="cityblock").fit(points, sample_weight=weight).labels_
    inside = np.arange(REBIN)
    kept: list[np.ndarray] = []
    starts, integrals = [], []
    stored = 0
    for number in range(label.max() + 1):
        own = points[label == number]
        if len(own) < 2:
            continue
        row = (REBIN * own[:, 0, None, None] + inside[:, None]).repeat(REBIN, axis=2).ravel()
        col = (REBIN * own[:, 1, None, None] + inside[None, :]).repeat(REBIN, axis=1).ravel()
        value = residual[row, col]
        integral = float(value.sum(dtype=np.float64))
        integrals.append(integral)
        if not integral > min_integral:
            starts.append(-1)
            continue
        listed = np.column_stack([row, col, np.round(value, 1)])
        if len(listed) >= LARGEST:
            listed = listed[len(listed) // 2][None]
        starts.append(stored)
        kept.append(listed)
        stored += len(listed)
    if not starts:
        return nothing
    return np.concatenate([nothing[0], *kept]), np.array(starts, float), np.array(integrals)
