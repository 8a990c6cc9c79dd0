"""Patches that are quick to make: dark ones, spots and lines on white noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np

SHAPES = ("dark", "spot", "line")


def simple_patches(n: int, *, size: int = 32, seed: int = 0, light: float = 40.0) -> tuple[np.ndarray, np.ndarray]:
    """(n, size, size) counts and (n,) names of `SHAPES` in turn."""
    rng = np.random.default_rng(seed)
    images = rng.normal(0, 3, (n, size, size)).astype(np.float32)
    kinds = np.array([SHAPES[i % len(SHAPES)] for i in range(n)])
    row, col = np.indices((size, size)) - (size - 1) / 2
    for image, kind in zip(images, kinds, strict=True):
        angle = rng.uniform(0, np.pi)
        across, along = row * np.cos(angle) - col * np.sin(angle), row * np.sin(angle) + col * np.cos(angle)
        if kind == "spot":
            image += light * np.exp(-(across**2 + along**2) / 18)
        if kind == "line":
            image += light * np.exp(-(across**2) / 8) * (np.abs(along) < size / 2)
    return images, kinds


def write_patches(path: Path, n: int = 48, *, known: bool = True, seed: int = 0) -> Path:
    images, kinds = simple_patches(n, seed=seed)
    several = np.arange(n) == n - 1
    np.savez(path, patches=images, several=several, **({"kind": kinds} if known else {}))
    return path
