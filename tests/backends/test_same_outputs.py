"""One weights file and one preprocessing under every backend."""

from __future__ import annotations

import importlib.util
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import particle_zoo
from particle_zoo.cli import write_json
from particle_zoo.clusters import Clusters
from particle_zoo.jets import FOUR_MOMENTUM
from particle_zoo.simulation.jets import generate as generate_jets
from particle_zoo.training.fresh_statistics import FreshStatistics
from particle_zoo.weights import WEIGHTS, write_card
from tests import camera_runs
from tests.backends.outputs import EXAMPLES, write
from tests.forms import unless_all
from tests.patch_files import simple_patches
from tests.shallow import shallow_efficientnet

ROOT = Path(__file__).parents[2]

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "cnn": ("tiny_cnn", {"size": 16}),
    "cnn_meta": ("cnn_meta", {"size": 16, "dense_units": [8, 8]}),
    "timepix_cnn": ("tiny_timepix_cnn", {"size": 16}),
    "vae": ("tiny_vae", {}),
    "vae without indices": ("tiny_vae", {"use_indices": False}),
    "effnet_ae": ("tiny_effnet_ae", {"size": 32, "latent": "dense", "latent_size": 8}),
    "effnet_classifier": ("tiny_effnet_classifier", {"size": 32}),
    "pedestal_ae": ("tiny_pedestal_ae", {}),
    "dec": ("tiny_dec", {}),
    "dense dec": ("tiny_dec", {"units": [16, 8]}),
    "jet_ae": ("tiny_jet_ae", {}),
    "jet_ae of the xAOD study": ("tiny_jet_ae", {"activation": "leaky_relu", "batch_norm": True}),
    "residual jet_ae": ("tiny_jet_ae", {"block": "residual"}),
    "convolutional jet_ae": ("tiny_jet_ae", {"block": "convolution"}),
}
"""Models and settings by what they stand for."""

for _variant in unless_all(
    ("vae without indices", "dense dec", "jet_ae of the xAOD study", "residual jet_ae", "convolutional jet_ae")
):
    del MODELS[_variant]

QUICK = {"XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"}
"""Have XLA compile fast instead of well: what it compiles here runs once."""

ABSENT = "tensorflow,tensorflow_datasets,sklearn,matplotlib"
"""What Keras loads wherever it is installed, and no other backend needs."""

TOLERANCE = 1e-4
"""Of outputs, as a share of the largest one or of 1."""


def moved(model: Any, inputs: Any, seed: int) -> None:
    """Weights as after a training: no scale is 0, and the statistics are those of what a layer sees."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        value = np.asarray(keras.ops.convert_to_numpy(variable))
        variable.assign(value + rng.normal(0, 0.05 + 0.2 * value.std(), value.shape))
    statistics = FreshStatistics([inputs])
    statistics.set_model(model)
    statistics.on_test_begin()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, three_classes: Clusters, timepix3: Clusters) -> Path:
    """A folder of run folders with weights that TensorFlow wrote, and what it makes of examples."""
    keras.config.set_dtype_policy("float32")
    root = tmp_path_factory.mktemp("backends")
    of_task = {
        "anomaly": camera_runs.frames(20, 1, [[(20, 30, 900.0)]] * 8, shape=(40, 56)),
        "deep_clustering": simple_patches(12)[0],
        "compression": generate_jets(12, seed=1).select(FOUR_MOMENTUM),
    }
    for number, (what, (name, settings)) in enumerate(MODELS.items()):
        card = particle_zoo.info(name)
        examples = of_task.get(card.task, three_classes if card.detector == "CCD" else timepix3)
        with shallow_efficientnet(halving_only=True):
            model = particle_zoo.create(name, **settings)
        model.preprocessor = model.preprocessor.fit(examples)
        moved(model, model.preprocess(examples), number)
        folder = root / what
        folder.mkdir()
        about = {"model": name, "config": model.zoo_config.model_dump(mode="json"), "classes": None}
        about |= {"dataset": card.default_dataset, "preprocessing": model.preprocessor.to_dict()}
        write_json(folder / "config.json", about)
        model.save_weights(folder / WEIGHTS)
        if hasattr(model.preprocessor, "pedestal"):
            model.preprocessor.pedestal.save(folder / "pedestal.npz")
        write_card(folder, model, {})
        (folder / EXAMPLES).write_bytes(pickle.dumps(examples[:8]))
        write(folder)
    return root


@pytest.fixture(scope="module", params=["jax", "torch"])
def backend(request: pytest.FixtureRequest, runs: Path) -> str:
    """Another backend, which has read all the run folders in one process."""
    name = str(request.param)
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "tests.absent", ABSENT, "tests.backends.outputs", str(runs)],
        cwd=ROOT,
        env={**os.environ, **QUICK, "KERAS_BACKEND": name, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return name


def test_every_family_is_here() -> None:
    families = {particle_zoo.info(name).family for name in particle_zoo.list_models()}
    assert families == {particle_zoo.info(name).family for name, _ in MODELS.values()}


@pytest.mark.parametrize("what", MODELS)
def test_outputs_are_the_same(what: str, runs: Path, backend: str) -> None:
    with np.load(runs / what / "tensorflow.npz") as ours, np.load(runs / what / f"{backend}.npz") as theirs:
        assert set(ours) == set(theirs)
        assert {name.partition(".")[0] for name in ours} >= {"input", "output"}
        for name in ours:
            a, b = ours[name], theirs[name]
            assert a.dtype == b.dtype
            if name.startswith("input"):
                np.testing.assert_array_equal(a, b)
                continue
            # Outputs that do not depend on the inputs would agree, too.
            assert np.ptp(a, axis=0).max() > 10 * TOLERANCE, name
            np.testing.assert_allclose(b, a, rtol=0, atol=TOLERANCE * max(1, np.abs(a).max()), err_msg=name)
