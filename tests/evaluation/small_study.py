"""A study of the comparison of protons and electrons that takes seconds."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import particle_zoo.data
from particle_zoo import Clusters
from particle_zoo.data import timepix1
from particle_zoo.data.load import SOURCES
from particle_zoo.evaluation.proton_electron.settings import Ablation, Settings

ORBIT = "timepix1_clusters/satram_simulated_orbit"
DATA_LOAD = particle_zoo.data.load

Study = tuple[Path, dict[str, Any]]
"""Folder and result."""


@functools.lru_cache
def load(dataset: str, split: str = "train", **options: Any) -> Clusters:
    """`particle_zoo.data.load` past TFDS, once a split."""
    return DATA_LOAD(dataset, split, **options, use_tfds=False)


def make_few(patch: pytest.MonkeyPatch) -> None:
    """Let the data set have 1200 clusters."""
    name = ORBIT.partition("/")[2]
    mix = timepix1.SOURCE.mixes[name].model_copy(update={"clusters": 1200, "block": 600})
    patch.setitem(SOURCES, "timepix1_clusters", dataclasses.replace(timepix1.SOURCE, replaced={name: mix}))
    patch.setattr("particle_zoo.data.load", load)


def tiny(**changes: Any) -> Settings:
    """A study of seconds; one tiny network stands for all."""
    chosen = {
        "cnn": "tiny_cnn", "classifier": "tiny_cnn", "autoencoder": "tiny_cnn", "size": 16, "seeds": 2, "resamples": 50,
        "pretraining": ORBIT, "pretrain_epochs": 1, "epochs": 2, "cnn_epochs": 2,
        "train": 200, "validation": 60, "test": 150, "fractions": (0.1, 1.0), "most_passes": 3,
        "network_settings": {"input": "energy", "test_time_average": False, "batch_size": 64},
        "ablations": {"usual": Ablation(autoencoder="tiny_cnn"), "masks": Ablation(autoencoder="tiny_cnn", settings={"input": "mask"})},
    }  # fmt: skip
    return Settings.choose("small", **(chosen | changes))


def predicted(folder: Path) -> dict[str, np.ndarray]:
    """Probabilities by file name."""
    return {path.stem: np.load(path)["probability"] for path in sorted((folder / "predictions").glob("*.npz"))}
