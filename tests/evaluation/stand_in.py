"""A model with the interface of the Timepix autoencoders that draws what a test wants."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pandas as pd

from particle_zoo.clusters import Clusters
from particle_zoo.pipelines.rasterise import bounding_boxes, rasterise

Draw = Callable[[np.ndarray], dict[str, np.ndarray]]


def perfect(images: np.ndarray) -> dict[str, np.ndarray]:
    """The input, and masks without doubt."""
    hit = (images[..., :1] > 0).astype(np.float32)
    return {"image": images, "mask": hit, "over_threshold": images[..., 2:]}


def image_only(images: np.ndarray) -> dict[str, np.ndarray]:
    """Half of the input, and no masks."""
    return {"image": 0.5 * images}


class StandIn:
    """Draws enlarged clusters as `draw` says; its latent vector is sums and first moments of the raster."""

    zoo_name = "stand_in"
    zoo_config = SimpleNamespace(latent="dense")
    preprocessor = SimpleNamespace(averaged=lambda clusters: 0)

    def __init__(self, draw: Draw = perfect, side: int = 24, size: int = 96) -> None:
        self.draw, self.side, self.size = draw, side, size

    def preprocess(self, clusters: Clusters) -> np.ndarray:
        energy = rasterise(clusters, self.side)
        root = np.sqrt(np.minimum(energy, 1500) / 100)
        return np.stack([root, np.zeros_like(root), energy > 20], axis=-1).astype(np.float32)

    def factors(self, clusters: Clusters) -> np.ndarray:
        _, _, height, width = bounding_boxes(clusters)
        return np.clip(self.size // np.maximum(height, width), 1, 4).astype(float)

    def enlarge(self, inputs: np.ndarray) -> np.ndarray:
        """Every raster by 4: the clusters of the tests fit."""
        return np.repeat(np.repeat(inputs, self.size // self.side, axis=1), self.size // self.side, axis=2)

    def reconstruct(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        return self.draw(self.enlarge(inputs))

    def encode(self, inputs: np.ndarray) -> np.ndarray:
        """(n, 4) sum, and first moments of the raster."""
        hit = inputs[..., 0]
        grid = np.arange(self.side) - self.side / 2
        rows, cols = hit.sum(2) @ grid, hit.sum(1) @ grid
        return np.stack([hit.sum((1, 2)), rows, cols, (inputs[..., 2]).sum((1, 2))], axis=1)


def line(degrees: float, pixels: int = 16, energy: float = 40.0) -> np.ndarray:
    """(n, 3) hits of a straight track, one pixel wide."""
    steps = np.arange(pixels) - pixels / 2
    long = max(abs(np.cos(np.radians(degrees))), abs(np.sin(np.radians(degrees))))
    row = np.floor(30.5 + steps * np.sin(np.radians(degrees)) / long)
    col = np.floor(30.5 + steps * np.cos(np.radians(degrees)) / long)
    return np.stack([row, col, np.full(pixels, energy)], axis=1)


def tracks(n: int, seed: int = 0) -> tuple[Clusters, np.ndarray, np.ndarray]:
    """Straight tracks with their number of pixels and direction in degrees."""
    rng = np.random.default_rng(seed)
    length, angle = rng.integers(9, 23, n), rng.uniform(0, 180, n)
    hits = [line(a, k, e) for a, k, e in zip(angle, length, rng.uniform(15, 90, n), strict=True)]
    labels = rng.choice(["proton", "electron"], n)
    return Clusters.from_list(hits, table=pd.DataFrame({"label": labels})), length, angle
