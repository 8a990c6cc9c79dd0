"""What one would write instead: an example at a time in NumPy, and PyTorch's DataLoader over it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from particle_zoo.detectors.camera import PedestalModel

WORKERS = (0, 2)
"""Processes of the DataLoader; 0 is the process itself."""

WAYS = ("first_pass", "packed", "in_memory", "cached", "generator", *(f"loader_{n}" for n in WORKERS))
"""Of getting from what is stored to a model input."""

Example = Callable[[Any], np.ndarray]
"""The model input of one stored example."""


def ccd_image(hits: np.ndarray, size: int, floor: float, scale: float) -> np.ndarray:
    """The (size, size, 1) float32 image of one CCD cluster; see `particle_zoo.pipelines.ccd`.

    Larger clusters shrink by two products of matrices, much faster than the repeated means they stand for.
    """
    row, col = hits[:, 0].astype(int), hits[:, 1].astype(int)
    row -= row.min()
    col -= col.min()
    height, width = row.max() + 1, col.max() + 1
    side = max(height, width, size)
    image = np.zeros((side, side), np.float32)
    image[row + (side - height) // 2, col + (side - width) // 2] = np.clip((hits[:, 2] - floor) / scale, 0, 1)
    if side > size:
        matrix = _shrinking(side, size)
        image = matrix @ image @ matrix.T
    return image[..., None]


def timepix_raster(hits: np.ndarray, side: int, over_kev: float) -> np.ndarray:
    """The (side, side, 3) float32 raster of one Timepix cluster; see `particle_zoo.pipelines.timepix`."""
    hits = hits[hits[:, 2] > 0]
    row, col = hits[:, 0].astype(int), hits[:, 1].astype(int)
    row -= row.min()
    col -= col.min()
    energy = np.minimum(hits[:, 2], 1500)
    image = np.zeros((side, side, 3), np.float32)
    image[row, col, 0] = np.sqrt(energy / 100)
    image[row, col, 1] = np.sqrt(np.minimum(hits[:, 3] - hits[:, 3].min(), 1000) / 100)
    image[row, col, 2] = energy >= over_kev
    return image


def frame_crops(
    item: tuple[np.ndarray, np.ndarray], pedestal: PedestalModel, side: tuple[int, int], clip: float
) -> np.ndarray:
    """The (crops, rows, cols, 1) float32 crops of one frame in sigmas; see `PedestalModel.normalise`.

    Args:
        item: (rows, cols) counts, and (crops, 2) first rows and columns of the crops.
        pedestal: of the camera.
        side: rows and columns of a crop.
        clip: sigmas at which values end.
    """
    frame, places = item
    counts = frame.astype(np.float32) - pedestal.mean
    if pedestal.common_mode:
        counts -= np.median(counts)
        counts -= np.median(counts, axis=1, keepdims=True)
        counts -= np.median(counts, axis=0)
    image = np.clip(np.where(pedestal.masked, 0, counts / pedestal.scale), -clip, clip).astype(np.float32)
    return np.stack([image[row : row + side[0], col : col + side[1]] for row, col in places])[..., None]


@lru_cache(maxsize=512)
def _shrinking(side: int, size: int) -> np.ndarray:
    from scipy.stats import binom

    steps = side - size
    matrix = np.zeros((size, side), np.float32)
    for i in range(size):
        matrix[i, i : i + steps + 1] = binom.pmf(np.arange(steps + 1), steps, 0.5)
    return matrix


def generated(
    stored: Sequence[Any], targets: np.ndarray, example: Example, order: Sequence[int], batch_size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (inputs, targets) in batches, from examples made one after the other."""
    for start in range(0, len(order), batch_size):
        index = order[start : start + batch_size]
        yield np.stack([example(stored[i]) for i in index]), np.array([targets[i] for i in index])


class Mapped:
    """A map-style data set for PyTorch.

    Args:
        stored: hits of each cluster, or frames.
        targets: (n,) of each.
        example: makes the model input.
    """

    def __init__(self, stored: Sequence[Any], targets: np.ndarray, example: Example) -> None:
        self.stored, self.targets, self.example = stored, targets, example

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, i: int) -> tuple[np.ndarray, Any]:
        return self.example(self.stored[i]), self.targets[i]


def has_torch() -> bool:
    """Whether PyTorch is installed."""
    return installed("torch")


def installed(package: str) -> bool:
    """Whether a package can be found; one that was hidden by None in `sys.modules` cannot."""
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:
        return False


def loader(data: Mapped, order: Sequence[int], batch_size: int, workers: int) -> Any:
    """PyTorch's DataLoader over a data set, in this order in every epoch; workers stay from one epoch to the next."""
    from torch.utils.data import DataLoader

    # A fork of a process with TensorFlow's threads may hang.
    more: dict[str, Any] = {"persistent_workers": True, "multiprocessing_context": "spawn"} if workers else {}
    return DataLoader(data, batch_size=batch_size, sampler=list(map(int, order)), num_workers=workers, **more)
