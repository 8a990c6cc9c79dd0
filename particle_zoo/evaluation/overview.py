"""What a detector file holds, gathered part by part: image, spectra, examples of each class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.clusters import MASK_UNIT, Clusters
from particle_zoo.detectors.skeleton import check_extent
from particle_zoo.errors import InputError

EXAMPLES = 5
"""Examples of each kind a class."""

SAMPLE = 2000
"""Clusters a class among which the typical ones are looked for."""


@dataclass
class Overview:
    """The sum of many clusters; memory grows by two numbers a cluster only.

    Args:
        classify: (n,) class names of clusters.
        seed: of the sample among which typical clusters are looked for.
    """

    classify: Callable[[Clusters], np.ndarray]
    seed: int = 0
    unit: str = ""
    image: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    sizes: list[np.ndarray] = field(default_factory=list)
    energies: list[np.ndarray] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    _largest: dict[str, Clusters] = field(default_factory=dict)
    _sample: dict[str, tuple[np.ndarray, Clusters]] = field(default_factory=dict)
    _rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)

    def add(self, clusters: Clusters) -> None:
        """Add clusters of the same unit.

        Raises:
            InputError: clusters in another unit than those before.
        """
        if not len(clusters):
            return
        if self.unit and clusters.unit != self.unit:
            raise InputError(f"one overview is of one unit; received {self.unit} and {clusters.unit}; plot them apart")
        self.unit = clusters.unit
        self._add_image(clusters)
        self.sizes.append(clusters.sizes.astype(np.int32))
        self.energies.append(np.add.reduceat(clusters.column("energy"), clusters.offsets[:-1]).astype(np.float32))
        names = self.classify(clusters)
        # Only what is drawn of a cluster is kept.
        hits = clusters.hits[:, :3].astype(np.float32)
        bare = Clusters(hits, clusters.columns[:3], clusters.offsets, clusters.table[["id"]], clusters.unit)
        for name in np.unique(names):
            members = bare[names == name]
            self.counts[str(name)] = self.counts.get(str(name), 0) + len(members)
            self._keep(str(name), members)

    def table(self) -> pd.DataFrame:
        """One row a class: clusters, share."""
        total = sum(self.counts.values())
        return pd.DataFrame(
            [(name, n, n / total) for name, n in sorted(self.counts.items(), key=lambda pair: -pair[1])],
            columns=["class", "clusters", "share"],
        )

    def largest(self, name: str) -> Clusters:
        """The largest clusters of a class, largest first."""
        return self._largest[name]

    def typical(self, name: str) -> Clusters:
        """The clusters of a class nearest to its median size and energy, in logarithms."""
        _, sample = self._sample[name]
        energy = np.add.reduceat(sample.column("energy").astype(float), sample.offsets[:-1])
        place = np.log(np.stack([sample.sizes, np.maximum(energy, 1e-3)], axis=1))
        scale = np.maximum(place.std(axis=0), 1e-9)
        distance = np.linalg.norm((place - np.median(place, axis=0)) / scale, axis=1)
        return sample[np.argsort(distance, kind="stable")[:EXAMPLES]]

    @property
    def has_energy(self) -> bool:
        """Whether the clusters have more than their shape."""
        return self.unit != MASK_UNIT

    def _add_image(self, clusters: Clusters) -> None:
        row, col = (clusters.column(name).astype(np.int64) for name in ("row", "col"))
        check_extent(np.array([row.max() + 1]), np.array([col.max() + 1]))
        shape = (max(self.image.shape[0], int(row.max()) + 1), max(self.image.shape[1], int(col.max()) + 1))
        if shape != self.image.shape:
            grown = np.zeros(shape)
            grown[: self.image.shape[0], : self.image.shape[1]] = self.image
            self.image = grown
        flat = np.bincount(row * shape[1] + col, clusters.column("energy").astype(float), shape[0] * shape[1])
        self.image += flat.reshape(shape)

    def _keep(self, name: str, members: Clusters) -> None:
        known = self._largest.get(name)
        candidates: Any = members if known is None else Clusters.concat([known, members])
        self._largest[name] = candidates[np.argsort(-candidates.sizes, kind="stable")[:EXAMPLES]]
        # A uniform sample of a stream: those with the smallest random keys.
        keys = self._rng.random(len(members))
        if name in self._sample:
            keys = np.concatenate([self._sample[name][0], keys])
            members = Clusters.concat([self._sample[name][1], members])
        chosen = np.sort(np.argsort(keys)[:SAMPLE])
        self._sample[name] = keys[chosen], members[chosen]
