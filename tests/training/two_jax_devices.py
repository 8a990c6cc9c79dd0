"""Trainings on one and on two devices under JAX; prints what came of them as JSON.

`test_jax_devices` runs it in a process of its own: a backend and its devices are chosen once.
"""

from __future__ import annotations

import functools
import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from particle_zoo import registry
from particle_zoo.detectors.camera import CameraFrames, PedestalModel
from particle_zoo.jets import FOUR_MOMENTUM
from particle_zoo.simulation import ccd
from particle_zoo.simulation.jets import generate
from particle_zoo.training import devices, fit
from particle_zoo.training.cluster_stages import pretrain
from particle_zoo.training.frame_crops import FrameCrops
from particle_zoo.training.jets import train_model
from particle_zoo.training.session import build

SEEN: list[Any] = []


class Look(keras.callbacks.Callback):
    """Notes on how many devices the variables are when callbacks are called, and whether the model can be used there."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        everything = [*self.model.variables, *self.model.optimizer.variables]
        SEEN.append(max(len(variable.value.sharding.device_set) for variable in everything))


def clusters(
    name: str, *, batch: int = 32, precision: str = "float32", n: int = 75, **settings: Any
) -> dict[str, Any]:
    """75 training clusters of three classes, 37 validation clusters."""
    found = ccd.generate(160, seed=3)
    found = found[np.isin(found.labels, ["xray", "electron", "muon"])]
    card = registry.info(name)
    classes = ("xray", "electron", "muon") if card.task == "classifier" else None
    config = registry.config_class(name)(epochs=2, batch_size=batch, **settings)
    model = build(card, config.model_dump(), found[:n], classes, seed=1, precision=precision)
    look = [Look()]
    logs = fit.fit(model, found[:n], found[-37:], classes=classes, seed=1, callbacks=look)
    return _results(model, logs, model.preprocess(found[-37:]))


def shallow(**options: Any) -> dict[str, Any]:
    """An EfficientNet of one block a stage: batch normalisation, whose statistics are renewed before validations."""
    from keras.src.applications.efficientnet import EfficientNet

    keras.applications.EfficientNetB0 = functools.partial(EfficientNet, 0.25, 0.1, 224)
    return clusters("tiny_effnet_ae", **options)


def jets() -> dict[str, Any]:
    """Several steps a call."""
    found = generate(300, seed=3).select(FOUR_MOMENTUM)
    keras.utils.set_random_seed(1)
    model = registry.create("tiny_jet_ae", epochs=2, batch_size=32)
    model.preprocessor = model.preprocessor.fit(found[:200])
    logs = train_model(model, found[:200], found[200:], seed=1)
    return _results(model, logs, model.preprocess(found[200:237]))


def frames() -> dict[str, Any]:
    """Crops of dark frames, watched as arrays."""
    dark = CameraFrames.from_array(np.random.default_rng(0).normal(100, 3, (8, 40, 48)).astype(np.uint16))
    keras.utils.set_random_seed(1)
    model = registry.create("tiny_pedestal_ae", epochs=2)
    model.preprocessor = model.preprocessor.fit(dark)
    crops = FrameCrops(dark, model.preprocessor.pedestal, model.zoo_config, seed=1)
    inputs, targets = crops.batch(0)
    fit.compile_model(model, len(crops))
    logs = fit.run_epochs(model, crops.between, steps=len(crops), epochs=2, watched=(inputs[:7], targets[:7]))
    return _results(model, logs, inputs)


def patches() -> dict[str, Any]:
    """The autoencoder of deep clustering."""
    x = np.random.default_rng(0).normal(size=(50, 16, 16, 1)).astype(np.float32)
    keras.utils.set_random_seed(1)
    model = registry.create("tiny_dec", epochs=2, size=16, batch_size=16, filters=(2, 4, 4))
    with tempfile.TemporaryDirectory() as folder:
        pretrain(model, x, seed=1, folder=Path(folder))
        history = np.genfromtxt(Path(folder) / "history.csv", delimiter=",", names=True)
    model.begin("clustering")
    target = np.full((15, model.zoo_config.clusters), 1 / model.zoo_config.clusters, np.float32)
    model.train_on_batch(x[:15], target)
    return _results(model, {"loss": history["loss"].tolist()}, x[:15])


def _results(model: Any, logs: dict[str, list[float]], inputs: Any) -> dict[str, Any]:
    outputs = keras.tree.flatten(model(inputs))
    return {"logs": logs, "outputs": [np.asarray(o, np.float64).ravel()[:50].tolist() for o in outputs]}


CASES: dict[str, Callable[[], dict[str, Any]]] = {
    "classifier": lambda: clusters("tiny_cnn"),
    "odd batches": lambda: clusters("tiny_cnn", batch=15, n=30),
    "half precision": lambda: clusters("tiny_cnn", n=64, precision="mixed_float16"),
    "variational": lambda: clusters("tiny_vae", n=64),
    "efficientnet": lambda: shallow(n=16, batch=8),
    "jets": jets,
    "frames": frames,
    "patches": patches,
}


def main() -> None:
    """Train every case on both."""
    warnings.simplefilter("ignore")
    found: dict[str, Any] = {}
    import time
    for name in sys.argv[1:] or CASES:
        found[name] = []
        for n in (1, 2):
            t=time.time()
            assert devices.spread(n).number == n
            found[name].append(CASES[name]())
            print(name,n,time.time()-t,file=sys.stderr)
    found["seen"] = SEEN
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
