"""Figures of clustered patches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from particle_zoo.plots import figure

EXAMPLES = 8


def examples(images: np.ndarray, labels: np.ndarray, soft: np.ndarray, noise: float, path: Path) -> None:
    """Draw the patches with the largest share of each cluster, one row a cluster, all on one colour scale.

    Args:
        images: (n, size, size) counts above the pedestal.
        labels: (n,) clusters.
        soft: (n, clusters) shares.
        noise: width of the noise of a pixel, counts; the scale goes from -3 to 12 of them.
        path: PNG to write.
    """
    k = soft.shape[1]
    with figure(path, k, EXAMPLES, figsize=(1.4 * EXAMPLES, 1.5 * k)) as (_, axes):
        for cluster, line in enumerate(axes):
            members = np.flatnonzero(labels == cluster)
            chosen = members[np.argsort(-soft[members, cluster], kind="stable")[:EXAMPLES]]
            for axis in line:
                axis.set(xticks=[], yticks=[])
            for axis, i in zip(line, chosen, strict=False):
                axis.imshow(images[i], origin="lower", cmap="viridis", vmin=-3 * noise, vmax=12 * noise)
            line[0].set_ylabel(f"cluster {cluster}\n{len(members)} patches", fontsize=7)


def maps(embedding: np.ndarray, colours: dict[str, np.ndarray], path: Path) -> None:
    """Draw the first two principal components of a latent space, one panel for each way to colour it.

    Args:
        embedding: (n, latent).
        colours: (n,) names or numbers, by the title of the panel.
        path: PNG to write.
    """
    from sklearn.decomposition import PCA

    plane = PCA(min(2, embedding.shape[1]), random_state=0).fit_transform(embedding)
    plane = np.pad(plane, ((0, 0), (0, 2 - plane.shape[1])))
    with figure(path, 1, len(colours), figsize=(5 * len(colours), 4.5)) as (_, axes):
        for axis, (title, values) in zip(axes[0], colours.items(), strict=True):
            for i, value in enumerate(np.unique(values)):
                axis.scatter(*plane[values == value].T, s=4, color=f"C{i % 10}", label=str(value))
            axis.set(title=title, xlabel="component 1", ylabel="component 2")
            axis.legend(markerscale=3, fontsize=7)


def refinement(table: pd.DataFrame, path: Path) -> None:
    """Draw loss terms, the share of labels that change and the smallest cluster against the step.

    Args:
        table: history of a `Refinement`.
        path: PNG to write.
    """
    names = [name for name in table.columns if name not in ("step", "loss")]
    with figure(path, 1, len(names), figsize=(3.6 * len(names), 3)) as (_, axes):
        for axis, name in zip(axes[0], names, strict=True):
            axis.plot(table["step"], table[name], marker=".")
            axis.set(xlabel="step", ylabel=name, ylim=(0, None))
