"""The same few clusters reconstructed after every epoch, for the animation of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from particle_zoo.cli import replacing
from particle_zoo.clusters import Clusters
from particle_zoo.detectors.holy import CLASSES, classify
from particle_zoo.training import devices

FOLDER = "snapshots"
"""Name of their folder in a run folder."""


def examples(clusters: Clusters, n: int) -> Clusters:
    """Choose n clusters to show: of each track type in turn, from the upper quartile of its sizes downwards."""
    kinds, order = classify(clusters), np.argsort(-clusters.sizes, kind="stable")
    queues = [order[kinds[order] == kind] for kind in reversed(CLASSES)]
    # Not the largest: they should be typical, with something to see.
    queues = [queue[len(queue) // 4 :] for queue in queues if len(queue)]
    turns = [queue[turn] for turn in range(max(map(len, queues), default=0)) for queue in queues if turn < len(queue)]
    return clusters[np.array(turns[:n], dtype=int)]


class Snapshots(keras.callbacks.Callback):
    """Write what the image head draws of some clusters after every epoch.

    One file an epoch, so that a resumed training continues the series.

    Args:
        folder: run folder.
        clusters: to reconstruct.
        stage: place of this training among those of a run whose images grow.
    """

    def __init__(self, folder: Path, clusters: Clusters, stage: int = 0) -> None:
        super().__init__()
        self.folder, self.clusters, self.stage = folder / FOLDER, clusters, stage
        self._inputs: Any = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._inputs is None:
            self._inputs = self.model.preprocess(self.clusters)
        # One at a time: a batch of large images may not fit beside those of the training.
        drawn = [self.model.reconstruct(self._inputs[i : i + 1])["image"][0, ..., 0] for i in range(len(self._inputs))]
        truth = [self.model.enlarge(self._inputs[i : i + 1])[0, ..., 0] for i in range(len(self._inputs))]
        with replacing(self.folder / f"stage-{self.stage}-epoch-{epoch:04d}.npz") as temporary:
            np.savez_compressed(temporary, drawn=np.array(drawn, np.float16), truth=np.array(truth, np.float16))


def read(folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Snapshots of a run folder in the order in which they were made.

    Returns:
        One pair an epoch: (n, size, size) float32 inputs and reconstructions, square roots of energies. Sizes grow where
        the training's did.
    """
    found = []
    for path in sorted((folder / FOLDER).glob("stage-*.npz")):
        with path.open("rb") as stream, np.load(stream) as file:
            found.append((file["truth"].astype(np.float32), file["drawn"].astype(np.float32)))
    return found


def callbacks(job: Any, folder: Path, stage: int = 0) -> list[keras.callbacks.Callback]:
    """What takes the snapshots of a training, if its model asks for any.

    Args:
        job: a `particle_zoo.training.session.Job`.
        folder: its run folder.
        stage: as in `Snapshots`.
    """
    shown = getattr(job.model.zoo_config, "snapshots", 0)
    if not shown or not devices.current().chief:
        return []
    return [Snapshots(folder, examples(job.validation if len(job.validation) else job.train, shown), stage)]
