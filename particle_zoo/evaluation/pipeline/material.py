"""The clusters that are timed, their preprocessing, and what one would write for one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.data.splits import assign_one
from particle_zoo.evaluation.pipeline.rivals import Example, ccd_image, timepix_raster
from particle_zoo.pipelines.ccd import CCDPreprocessor
from particle_zoo.pipelines.timepix import TimepixPreprocessor

STOCK = 1000
"""Clusters that are simulated; each stands for many, at another place of the set, as simulating takes longer than all else."""

EXTENT = 77
"""Longest Timepix cluster that is taken, px; 384 // 77 is the first enlargement below 5."""


@dataclass(frozen=True)
class Material:
    """One kind of clusters and what becomes of them.

    Args:
        name: of the model input.
        clusters: n clusters of the training split.
        preprocess: the preprocessor, fitted.
        classes: names in target order.
        example: what one would write for the hits of one cluster.
        side: of the example's image, px.
    """

    name: str
    clusters: Clusters
    preprocess: Any
    classes: tuple[str, ...]
    example: Example
    side: int

    def filled_up(self, images: np.ndarray) -> np.ndarray:
        """Images of `preprocess` with as many empty pixels below and to the right as the examples have."""
        margin = self.side - images.shape[1]
        return np.pad(images, [(0, 0), (0, margin), (0, margin), (0, 0)])


def ccd(n: int, seed: int) -> Material:
    """Simulated CCD clusters in ADU, drawn on 64 x 64 px with their energies."""
    from particle_zoo.simulation.ccd import generate

    clusters = _many(generate(min(n, STOCK), seed), n, seed)
    draw = CCDPreprocessor(input="energy").fit(clusters)
    example = partial(ccd_image, size=draw.size, floor=draw.energy_floor, scale=draw.energy_scale)
    return Material("ccd 64x64", clusters, draw, _classes(clusters), example, draw.size)


def effnet(n: int, seed: int) -> Material:
    """Simulated Timepix3 clusters of at most 77 px, of protons and electrons, drawn for a model of 384 px.

    A raster has 80 px a side where its batch needs them; the model enlarges them on the device, which does not count here.
    """
    from particle_zoo.simulation import simulate

    stock = Clusters.concat(
        simulate("timepix3_500um", n=min(n, STOCK), seed=seed, particle=kind, spectrum="benchmark")
        for kind in ("proton", "electron")
    )
    draw = TimepixPreprocessor().fit(stock)
    extent = stock.features()["long_side"].to_numpy()
    clusters = _many(stock[(extent <= EXTENT) & draw.drawable(stock)], n, seed)
    side = draw(clusters[[draw.largest(clusters)]]).shape[1]
    example = partial(timepix_raster, side=side, over_kev=draw.over_kev)
    return Material("effnet 77x77x3", clusters, draw, _classes(clusters), example, side)


MATERIALS: dict[str, Callable[[int, int], Material]] = {"ccd": ccd, "effnet": effnet}
"""What makes the material of each input."""


def _classes(clusters: Clusters) -> tuple[str, ...]:
    return tuple(sorted(set(clusters.labels.tolist())))


def _many(stock: Clusters, n: int, seed: int) -> Clusters:
    """So many clusters out of some, each under a name of its own that belongs to the training split."""
    ids: list[str] = []
    number = 0
    while len(ids) < n:
        name = f"{seed}-{number}"
        number += 1
        if assign_one(name) == "train":
            ids.append(name)
    # Every cluster of the stock is there, once the set is large enough.
    index = np.random.default_rng(seed).permutation(np.arange(n) % len(stock))
    return stock[index].with_table(id=ids)
