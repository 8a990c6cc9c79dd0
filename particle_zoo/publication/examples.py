"""Simulated examples of a model, to keep golden values of and to time it on."""

from __future__ import annotations

from typing import Any

import numpy as np

from particle_zoo import registry
from particle_zoo.clusters import Clusters

CROP = 128
"""Side of the crops of camera frames, px."""


def example(model: Any) -> str:
    """What one of the `examples` of a model is, in words."""
    task = registry.info(model.zoo_name).task
    if task == "compression":
        return "a jet"
    if task == "anomaly":
        return f"a crop of {CROP} x {CROP} px"
    if task == "deep_clustering":
        return f"a patch of {model.zoo_config.size} x {model.zoo_config.size} px"
    return "a cluster"


def examples(model: Any, n: int, seed: int = 0) -> tuple[Any, Clusters | None]:
    """What a model takes: clusters of its default data, jets, crops of dark noise with a spot of light, or patches.

    Args:
        model: a zoo model with fitted preprocessing.
        n: clusters, jets, crops or patches.
        seed: of the simulation.

    Returns:
        Inputs, an array or a dict of arrays, and the clusters they were made from, None where from something else.
    """
    card = registry.info(model.zoo_name)
    if card.task == "compression":
        from particle_zoo.simulation import jets

        return model.preprocess(jets.generate(n, seed)), None
    if card.task == "anomaly":
        return _crops(n, seed), None
    if card.task == "deep_clustering":
        from particle_zoo.simulation.optical_tpc.patches import labelled_patches

        return model.preprocess(labelled_patches(n, seed=seed, size=model.zoo_config.size).images), None
    from particle_zoo.evaluation.network_speed import simulated_clusters

    clusters = simulated_clusters(card, n, seed)[:n]
    return model.preprocess(clusters), clusters


def _crops(n: int, seed: int) -> np.ndarray:
    """(n, CROP, CROP, 1) float32: noise of sigma 1 with a spot of sigma 3 px and 20 at its highest in the middle."""
    rng = np.random.default_rng(seed)
    row, col = np.indices((CROP, CROP)) - (CROP - 1) / 2
    spot = 20 * np.exp(-(row**2 + col**2) / (2 * 3**2))
    return np.asarray(rng.normal(0, 1, (n, CROP, CROP)) + spot, np.float32)[..., None]
