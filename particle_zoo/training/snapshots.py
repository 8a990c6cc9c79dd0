"""The same few clusters reconstructed after every epoch, for the animation of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from particle_zoo.cli import replacing
from particle_zoo.clusters import Clusters
from particle_zoo.detectors.holy import CLASSES, classify

FOLDER = "snapshots"
"""Name of their folder in a run folder."""


def examples(clusters: Clusters, n: int) -> Clusters:
    """N clusters to show: the largest of each track type in turn, those of many pixels first."""
    kinds, order = classify(clusters), np.argsort(-clusters.sizes, kind="stable")
    queues = [order[kinds[order] == kind] for kind in reversed(CLASSES)]
    # Not the largest but the middle of the larger half: typical, and with something to see.
    queues = [queue[len(queue) // 4 :] for queue in queues if len(queue)]
    turns = [queue[turn] for turn in range(max(map(len, queues), default=0)) for queue in queues if turn < len(queue)]
    return clusters[np.array(turns[:n], dtype=int)]


class Snapshots(keras.callbacks.Callback):
    """Write what the image head draws of some clusters after every epoch.

    One file an epoch, so that a resumed training continues the series.

    Args:
        folder: run folder.
        clusters: to reconstruct.
    """

    def __init__(self, folder: Path, clusters: Clusters) -> None:
        super().__init__()
        self.folder, self.clusters = folder / FOLDER, clusters
        self._inputs: Any = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._inputs is None:
            self._inputs = self.model.preprocess(self.clusters)
        # One at a time: a batch of large images may not fit beside those of the training.
        drawn = [self.model.reconstruct(self._inputs[i : i + 1])["image"][0, ..., 0] for i in range(len(self._inputs))]
        truth = [self.model.enlarge(self._inputs[i : i + 1])[0, ..., 0] for i in range(len(self._inputs))]
        with replacing(self.folder / f"epoch-{epoch:04d}.npz") as temporary:
            np.savez_compressed(
                temporary, drawn=np.array(drawn, np.float16), truth=np.array(truth, np.float16), epoch=epoch
            )


def read(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Snapshots of a run folder in order of epochs.

    Returns:
        (n, rows, cols) inputs, (epochs, n, rows, cols) reconstructions, (epochs,) numbers of the epochs; empty arrays
        where there are none.
    """
    found = []
    for path in sorted((folder / FOLDER).glob("epoch-*.npz")):
        with path.open("rb") as stream, np.load(stream) as file:
            found.append((file["truth"], file["drawn"], int(file["epoch"])))
    if not found:
        return np.zeros((0, 1, 1)), np.zeros((0, 0, 1, 1)), np.zeros(0, int)
    truth, drawn, epochs = zip(*found, strict=True)
    return truth[-1].astype(np.float32), np.array(drawn, np.float32), np.array(epochs)
