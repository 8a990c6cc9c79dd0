"""Small frames with light, for tests of measures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from particle_zoo.detectors.camera import RegionFinder, Regions

SHAPE = (24, 32)


@dataclass(frozen=True)
class Frame:
    """Spots of light, a score that knows them roughly, and what a reconstruction listed."""

    signal: np.ndarray
    truth: np.ndarray
    instance: np.ndarray
    redpix: np.ndarray
    score: np.ndarray
    events: pd.DataFrame


def frame(seed: int, events: int = 3) -> Frame:
    rng = np.random.default_rng(seed)
    signal, instance = np.zeros(SHAPE), np.zeros(SHAPE, np.int32)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    energies = rng.choice([1.0, 2.0, 5.0], events)
    for i, energy in enumerate(energies):
        light = np.exp(-((y - rng.uniform(2, 22)) ** 2 + (x - rng.uniform(2, 30)) ** 2) / 4)
        own = light > 0.01
        signal[own] += 20 * energy * light[own]
        instance[own] = i + 1
    noisy = signal + rng.normal(0, 3, SHAPE)
    redpix = np.where(noisy > 5, np.round(noisy + rng.normal(0, 3, SHAPE), 1), 0)
    table = pd.DataFrame({"id": np.arange(1, events + 1), "energy_kev": energies, "class": "nr", "cut": False})
    return Frame(signal, signal > 1.5, instance, redpix, noisy.astype(np.float32), table)


def regions_of(labels: np.ndarray) -> Regions:
    """Regions with a mask of one's own."""
    labels = np.asarray(labels)
    finder = RegionFinder(mode="positive", smoothing=0.0, dilation=0, merge=0)
    return finder.regions((labels > 0).astype(np.float32), 0.5, (labels > 0).astype(np.float32))
