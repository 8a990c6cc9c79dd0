"""Every trainer from arrays, under JAX, where TensorFlow is not installed."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import particle_zoo
from particle_zoo.clusters import Clusters
from particle_zoo.data.installed import tfds_usable
from particle_zoo.jets import FOUR_MOMENTUM
from particle_zoo.simulation.jets import generate as generate_jets
from particle_zoo.training.session import TRAINERS
from tests import camera_runs
from tests.backends.test_same_outputs import QUICK, ROOT
from tests.backends.trainings import TRAININGS
from tests.conftest import write_pixel_files
from tests.patch_files import simple_patches, write_patches

SHAPE = (80, 96)
"""Of the frames; the largest spots of the leak take 72 px."""


@pytest.fixture
def sources(one_layout: Path, three_classes: Clusters, timepix3: Clusters, tmp_path: Path) -> Path:
    """Files for each trainer, and examples to predict."""
    shutil.copytree(one_layout, tmp_path / "layout")
    write_pixel_files(tmp_path / "pixels")
    for seed, (split, n) in enumerate({"train": 12, "calibration": 10, "test": 2}.items()):
        (tmp_path / "frames" / f"pedestal_{split}").mkdir(parents=True)
        np.save(tmp_path / "frames" / f"pedestal_{split}" / "frames.npy", camera_runs.frames(n, seed, shape=SHAPE))
    (tmp_path / "jets").mkdir()
    jets = generate_jets(200, seed=1).select(FOUR_MOMENTUM)
    jets.to_frame().to_parquet(tmp_path / "jets" / "jets.parquet")
    (tmp_path / "patches").mkdir()
    write_patches(tmp_path / "patches" / "patches.npz")
    examples = {
        "layout": three_classes[:4],
        "pixels": timepix3[:4],
        "frames": camera_runs.frames(4, 9, shape=SHAPE),
        "jets": jets[:4],
        "patches": simple_patches(4)[0],
    }
    for name, values in examples.items():
        (tmp_path / f"{name}.pickle").write_bytes(pickle.dumps(values))
    return tmp_path


@pytest.mark.slow
def test_every_trainer_trains_under_jax_without_tensorflow(sources: Path) -> None:
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "tests.backends.trainings", str(sources)],
        cwd=ROOT,
        env={**os.environ, **QUICK, "KERAS_BACKEND": "jax", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    losses = json.loads((sources / "losses.json").read_text())
    assert set(losses) == set(TRAININGS)
    for name, values in losses.items():
        assert np.isfinite(values).all(), name
        config = json.loads((sources / "runs" / name / "config.json").read_text())
        assert config["backend"] == "jax"
    assert {particle_zoo.info(name).task for name in TRAININGS} >= set(TRAINERS)


@pytest.mark.parametrize("missing", ["tensorflow", "tensorflow_datasets"])
def test_data_go_through_tfds_only_where_tensorflow_is_there_too(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tfds_usable()
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else found(name))
    assert not tfds_usable()
