"""What an autoencoder draws, one track type a row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.holy import CLASSES
from particle_zoo.plots import figure

MARGIN = 0.25
"""Empty border shown on each side of a cluster, in its longer side."""

Pair = tuple[str, np.ndarray, np.ndarray]


def by_track_type(model: Any, clusters: Clusters, kinds: np.ndarray, path: Path) -> None:
    """Draw inputs beside what each head makes of them, and the residual of the energy; one row a track type.

    Shown is the cluster of median size of each type, cut to its surroundings. A pair of columns has one colour scale;
    energies and times are square roots, as the model sees them. The pair of the times is left out where there are none.

    Args:
        model: with `preprocess`, `enlarge`, `reconstruct`.
        clusters: at least one.
        kinds: (n,) their types of `particle_zoo.detectors.holy.classify`.
        path: PNG to write.
    """
    names = [name for name in CLASSES if (kinds == name).any()]
    chosen = clusters[[_median(clusters.sizes, np.flatnonzero(kinds == name)) for name in names]]
    inputs = model.preprocess(chosen)
    truth = np.asarray(model.enlarge(inputs), np.float32)
    outputs = {name: np.asarray(images, np.float32) for name, images in model.reconstruct(inputs).items()}
    pairs = _pairs(truth, outputs)
    columns = 2 * len(pairs) + 1
    with figure(path, len(names), columns, figsize=(1.35 * columns + 0.5, 1.35 * len(names) + 0.9)) as (canvas, axes):
        windows = [_window(image > 0) for image in truth[..., 0]]
        residual = pairs[0][2] - pairs[0][1]
        _column(canvas, axes[:, 2:3], [residual], windows, "sqrt E, difference", cmap="coolwarm", symmetric=True)
        axes[0, 2].set_title("residual", fontsize=8)
        for i, (title, before, after) in enumerate(pairs):
            pair = axes[:, [0, 1]] if i == 0 else axes[:, [2 * i + 1, 2 * i + 2]]
            _column(canvas, pair, [before, after], windows, title, cmap="viridis")
            pair[0, 0].set_title("input", fontsize=8)
            pair[0, 1].set_title("reconstruction", fontsize=8)
        for axis, name, size in zip(axes[:, 0], names, chosen.sizes, strict=True):
            axis.set_ylabel(f"{name}\n{size} px", fontsize=7)


def _pairs(truth: np.ndarray, outputs: dict[str, np.ndarray]) -> list[Pair]:
    image = outputs["image"]
    pairs = [("sqrt(E / 100 keV)", truth[..., 0], image[..., 0])]
    if truth.shape[-1] == 3 and truth[..., 1].any():
        pairs.append(("sqrt(t / 100 ns)", truth[..., 1], image[..., 1]))
    if "mask" in outputs:
        pairs.append(("hit", (truth[..., 0] > 0).astype(np.float32), outputs["mask"][..., 0]))
    head = outputs["over_threshold"][..., 0] if "over_threshold" in outputs else image[..., -1]
    return [*pairs, ("over threshold", truth[..., -1], head)]


def _column(
    canvas: Any,
    axes: np.ndarray,
    images: Sequence[np.ndarray],
    windows: Sequence[tuple[slice, slice]],
    label: str,
    *,
    cmap: str,
    symmetric: bool = False,
) -> None:
    """Fill columns of axes on the scale of the first one, or around 0."""
    top = max(float(np.abs(images[0]).max()), 1e-6)
    for column, stack in zip(axes.T, images, strict=True):
        for axis, image, window in zip(column, stack, windows, strict=True):
            shown = axis.imshow(
                image[window],
                origin="lower",
                interpolation="nearest",
                cmap=cmap,
                vmin=-top if symmetric else 0,
                vmax=top,
            )
            axis.set_xticks([])
            axis.set_yticks([])
    bar = canvas.colorbar(shown, ax=axes.ravel().tolist(), location="bottom", shrink=0.9, aspect=15)
    bar.set_label(label, fontsize=7)
    bar.ax.tick_params(labelsize=6)


def _median(sizes: np.ndarray, members: np.ndarray) -> int:
    """The member of median size."""
    return int(members[np.argsort(sizes[members], kind="stable")[len(members) // 2]])


def _window(hit: np.ndarray) -> tuple[slice, slice]:
    """The square around the pixels that are hit, as far as it lies on the image."""
    rows, cols = np.nonzero(hit)
    side = max(np.ptp(rows), np.ptp(cols)) + 1 if len(rows) else len(hit)
    half = int(np.ceil(side * (0.5 + MARGIN)))
    centres = [int(v.min() + v.max()) // 2 if len(v) else len(hit) // 2 for v in (rows, cols)]
    down, right = (slice(max(0, c - half), c + half + 1) for c in centres)
    return down, right
