"""How reconstructions sharpen while a model learns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.cli import replacing

FRAMES_PER_SECOND = 3

SIDE = (0, 1, 0, 1)
"""Every image fills its axes, whatever its number of pixels."""


def reconstruction_over_training(frames: Sequence[tuple[np.ndarray, np.ndarray]], path: Path) -> None:
    """Animate reconstructions of fixed clusters over the epochs of a training, below the clusters themselves.

    Args:
        frames: one an epoch, at least one: (n, size, size) square roots of energies, and the same reconstructed.
        path: GIF to write.
    """
    from matplotlib.animation import FuncAnimation, PillowWriter
    from matplotlib.figure import Figure

    last, _ = frames[-1]
    canvas = Figure(figsize=(1.7 * len(last), 3.8), layout="constrained")
    axes = canvas.subplots(2, len(last), squeeze=False)
    pictures = []
    for column, cluster in zip(axes.T, last, strict=True):
        brightest = float(cluster.max()) or 1.0
        for axis in column:
            pictures.append(axis.imshow(cluster, origin="lower", cmap="magma", vmin=0, vmax=brightest, extent=SIDE))
            axis.set_xticks([])
            axis.set_yticks([])
    axes[0, 0].set_ylabel("cluster")
    axes[1, 0].set_ylabel("reconstruction")

    def show(number: int) -> list[Any]:
        truth, drawn = frames[number]
        for upper, lower, cluster, again in zip(pictures[::2], pictures[1::2], truth, drawn, strict=True):
            upper.set_data(cluster)
            lower.set_data(again)
        canvas.suptitle(f"epoch {number + 1}, {truth.shape[1]} px", fontsize=9)
        return pictures

    animation = FuncAnimation(canvas, show, frames=len(frames))
    with replacing(path) as temporary:
        animation.save(temporary, writer=PillowWriter(fps=FRAMES_PER_SECOND), dpi=80)
