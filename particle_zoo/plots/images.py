"""Figures of cluster images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.plots import figure


def reconstructions(model: Any, clusters: Clusters, path: Path, n: int = 8) -> None:
    """Draw inputs, reconstructions and, where the decoder takes pooling indices, what another image's indices give.

    The third row shows how much of a reconstruction comes from the indices instead of the latent vector.
    """
    order = np.argsort(-clusters.sizes, kind="stable")
    chosen = clusters[order[np.linspace(0, len(order) - 1, min(n, len(order))).astype(int)]]
    inputs = model.preprocess(chosen)
    rows = [("input", inputs["image"]), ("reconstruction", model.reconstruct(inputs))]
    if model.zoo_config.use_indices:
        other = {name: np.roll(array, 1, axis=0) for name, array in inputs.items()}
        rows.append(("with the next image's indices", model.reconstruct(inputs, indices_from=other)))
    with figure(path, len(rows), len(chosen), figsize=(1.5 * len(chosen) + 0.4, 1.6 * len(rows))) as (_, axes):
        for line, (title, pictures) in zip(axes, rows, strict=True):
            for axis, picture in zip(line, np.asarray(pictures), strict=True):
                axis.imshow(picture[..., 0], origin="lower", cmap="viridis", vmin=0, vmax=1)
                axis.set_xticks([])
                axis.set_yticks([])
            line[0].set_ylabel(title, fontsize=7)
