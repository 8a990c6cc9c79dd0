"""How reconstructions sharpen while a model learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.cli import replacing

FRAMES_PER_SECOND = 3


def reconstruction_over_training(truth: np.ndarray, drawn: np.ndarray, epochs: np.ndarray, path: Path) -> None:
    """Animate reconstructions of fixed clusters over the epochs of a training, below the clusters themselves.

    Args:
        truth: (n, rows, cols) square roots of energies.
        drawn: (frames, n, rows, cols) the same, reconstructed.
        epochs: (frames,) their numbers, from 0.
        path: GIF to write.
    """
    from matplotlib.animation import FuncAnimation, PillowWriter
    from matplotlib.figure import Figure

    n = len(truth)
    canvas = Figure(figsize=(1.7 * n, 3.8), layout="constrained")
    axes = canvas.subplots(2, n, squeeze=False)
    pictures = []
    for i, (upper, lower) in enumerate(axes.T):
        scale = {"origin": "lower", "cmap": "magma", "vmin": 0, "vmax": float(truth[i].max()) or 1.0}
        upper.imshow(truth[i], **scale)
        pictures.append(lower.imshow(drawn[0, i], **scale))
        for axis in (upper, lower):
            axis.set_xticks([])
            axis.set_yticks([])
    axes[0, 0].set_ylabel("cluster")
    axes[1, 0].set_ylabel("reconstruction")

    def show(frame: int) -> list[Any]:
        for picture, image in zip(pictures, drawn[frame], strict=True):
            picture.set_data(image)
        canvas.suptitle(f"epoch {epochs[frame] + 1}", fontsize=9)
        return list(pictures)

    animation = FuncAnimation(canvas, show, frames=len(drawn))
    with replacing(path) as temporary:
        animation.save(temporary, writer=PillowWriter(fps=FRAMES_PER_SECOND), dpi=80)
