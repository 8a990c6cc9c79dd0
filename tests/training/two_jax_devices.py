"""Trainings on one and on two devices under JAX; prints what came of each case as a line of JSON.

`test_jax_devices` runs it in a process of its own: a backend and its devices are chosen once.
"""

from __future__ import annotations

import functools
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import keras
import numpy as np
import pandas as pd

from particle_zoo import Clusters, registry, simulate
from particle_zoo.detectors.camera import CameraFrames
from particle_zoo.errors import InputError
from particle_zoo.jets import FOUR_MOMENTUM
from particle_zoo.simulation import ccd
from particle_zoo.simulation.jets import generate
from particle_zoo.training import devices, fit
from particle_zoo.training.cluster_stages import pretrain
from particle_zoo.training.frame_crops import FrameCrops
from particle_zoo.training.jets import train_model
from particle_zoo.training.session import build
from tests.forms import unless_all
from tests.shallow import shallow_efficientnet
from tests.training import jax_process

CLASSES = ("xray", "electron", "muon")

Found = dict[str, Any]


class Look(keras.callbacks.Callback):
    """Notes on how many devices variables are when callbacks are called."""

    def __init__(self) -> None:
        super().__init__()
        self.copies: list[int] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        everything = [*self.model.variables, *self.model.optimizer.variables]
        self.copies.append(max(len(variable.value.sharding.device_set) for variable in everything))


@functools.cache
def three_classes() -> Clusters:
    return ccd.generate(120, seed=3, mix=dict.fromkeys(CLASSES, 1.0))


@functools.cache
def in_orbit() -> Clusters:
    return simulate("timepix_300um", particle="proton", n=26, seed=4, spectrum="orbit")


def train(
    name: str,
    n: int,
    watched: int,
    found: Clusters,
    *,
    precision: str = "float32",
    look: Callable[[Any], Sequence[keras.callbacks.Callback]] = lambda _: (),
    **settings: Any,
) -> Found:
    """Two epochs on the first n clusters; the last ones are watched.

    Args:
        name: of the model.
        n: training clusters.
        watched: validation clusters.
        found: all of them.
        precision: dtype policy.
        look: gives callbacks for the model.
        settings: of the model.
    """
    card = registry.info(name)
    classes = CLASSES if card.task == "classifier" else None
    config = registry.config_class(name)(epochs=2, **settings)
    model = build(card, config.model_dump(), found[:n], classes, seed=1, precision=precision)
    validation = found[len(found) - watched :]
    logs = fit.fit(model, found[:n], validation, classes=classes, seed=1, callbacks=look(model))
    return results(model, logs, model.preprocess(validation))


def uneven() -> Found:
    """Batches that two divides and others."""
    rows: list[tuple[int, int]] = []
    looks: list[Look] = []

    def look(model: Any) -> list[Look]:
        _note_rows(model, rows)
        looks.append(Look())
        return looks

    return {
        **train("tiny_cnn", 75, 37, three_classes(), batch_size=32, look=look),
        "copies": looks[0].copies,
        "rows": rows,
    }


def effnet() -> Found:
    """Hidden pixels, blocks left out and batch normalisation; the last batch has two clusters."""
    with shallow_efficientnet(one_stage=True):
        settings = {"size": 32, "batch_size": 8, "epoch_clusters": 0, "fresh_statistics": 8, "mask_heads": False}
        return train("tiny_effnet_ae", 18, 8, in_orbit(), **settings)


def _note_rows(model: Any, rows: list[tuple[int, int]]) -> None:
    """Have a model note how many rows of a batch each device computes, and how many there are."""
    compute = model.compute_loss

    def noting(x: Any = None, y: Any = None, y_pred: Any = None, *more: Any, **options: Any) -> Any:
        output = keras.tree.flatten(y_pred)[0]
        jax.debug.inspect_array_sharding(
            output, callback=lambda s, shape=output.shape: rows.append((s.shard_shape(shape)[0], shape[0]))
        )
        return compute(x, y, y_pred, *more, **options)

    model.compute_loss = noting


def jets() -> Found:
    """Several steps a call, batch normalisation and dropout."""
    found = generate(237, seed=3).select(FOUR_MOMENTUM)
    keras.utils.set_random_seed(1)
    model = registry.create("tiny_jet_ae", hidden=(8,), batch_norm=True, dropout=0.1, epochs=2, batch_size=32)
    model.preprocessor = model.preprocessor.fit(found[:200])
    logs = train_model(model, found[:200], found[200:], seed=1)
    return results(model, logs, model.preprocess(found[200:]))


def frames() -> Found:
    """Crops of dark frames, watched as arrays."""
    dark = CameraFrames.from_array(np.random.default_rng(0).normal(100, 3, (10, 40, 48)).astype(np.uint16))
    keras.utils.set_random_seed(1)
    model = registry.create("tiny_pedestal_ae", epochs=2)
    model.preprocessor = model.preprocessor.fit(dark)
    crops = FrameCrops(dark, model.preprocessor.pedestal, model.zoo_config, seed=1)
    inputs, targets = crops.batch(0)
    fit.compile_model(model, len(crops))
    logs = fit.run_epochs(model, crops.between, steps=len(crops), epochs=2, watched=(inputs[:7], targets[:7]))
    return results(model, logs, inputs)


def patches() -> Found:
    """The autoencoder of deep clustering, and a step of its refinement, which has one device."""
    x = np.random.default_rng(0).normal(size=(50, 16, 16, 1)).astype(np.float32)
    keras.utils.set_random_seed(1)
    model = registry.create("tiny_dec", epochs=2, size=16, batch_size=16, filters=(2, 4, 4))
    with tempfile.TemporaryDirectory() as folder:
        pretrain(model, x, seed=1, folder=Path(folder))
        history = pd.read_csv(Path(folder) / "history.csv")
    model.begin("clustering")
    target = np.full((15, model.zoo_config.clusters), 1 / model.zoo_config.clusters, np.float32)
    model.train_on_batch(x[:15], target)
    return results(model, {"loss": history["loss"].tolist()}, x[:15])


def results(model: Any, logs: dict[str, list[float]], inputs: Any) -> Found:
    """The curves, and what the trained model makes of inputs."""
    outputs = keras.tree.flatten(model(inputs))
    return {"logs": logs, "outputs": [np.asarray(o, np.float64).ravel()[:50].tolist() for o in outputs]}


CASES: dict[str, Callable[[], Found]] = {
    "uneven": uneven,
    "float16": lambda: train("tiny_cnn", 64, 32, three_classes(), batch_size=32, precision="mixed_float16"),
    "vae": lambda: train("tiny_vae", 64, 5, three_classes(), batch_size=32),
    "effnet": effnet,
    "jets": jets,
    "frames": frames,
    "patches": patches,
}


LONG = ("float16", "frames", "effnet", *unless_all(("vae", "patches")))
"""Cases that only run when they are named: they take the way of others, and the last compiles for as long as all of those."""


def interrupted(folder: Path) -> Found:
    """The training of `jax_process` on one device, from the beginning to the end."""
    devices.spread(1)
    logs, weights = jax_process.train(devices.current(), folder, epochs=3)
    np.savez(folder / "weights.npz", *weights)
    return {"logs": logs}


def too_many() -> str:
    """What is said about a third device."""
    try:
        devices.spread(3)
    except InputError as error:
        return str(error)
    return ""


def main(folder: Path, names: list[str]) -> None:
    """Train every case on one and on two devices."""
    warnings.simplefilter("ignore")
    warnings.filterwarnings("error", message="Detected a mix of local")
    _say("too many", too_many())
    _say("interrupted", interrupted(folder))
    for name in names or [name for name in CASES if name not in LONG]:
        runs = []
        for n in (1, 2):
            chosen = devices.spread(n)
            runs.append({**CASES[name](), "number": chosen.number})
        _say(name, runs)


def _say(name: str, found: Any) -> None:
    print(json.dumps({name: found}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
