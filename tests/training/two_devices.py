"""Trainings on one device and on two logical ones, in a process of their own; what they find goes to a JSON file.

Start it as `python -m tests.training.two_devices OUTPUT [CASE ...]`.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from particle_zoo import Clusters, registry, simulate
from particle_zoo.simulation import ccd
from particle_zoo.simulation.jets import generate
from particle_zoo.training import devices, session
from particle_zoo.training.anomaly import AnomalyJob
from particle_zoo.training.cluster_stages import pretrain
from particle_zoo.training.devices.strategy_step import StrategyStep
from particle_zoo.training.devices.twin import make_twin
from particle_zoo.training.fit import compile_model, fit
from particle_zoo.training.jets import train_model
from tests.camera_runs import frames
from tests.forms import unless_all
from tests.patch_files import simple_patches
from tests.shallow import shallow_efficientnet

CLASSES = ("xray", "electron", "muon")


class _Kept(keras.callbacks.Callback):
    """The history of a training that gives none back."""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.logs: dict[str, list[float]] = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for name, value in (logs or {}).items():
            self.logs.setdefault(name, []).append(float(value))


@functools.cache
def three_classes(n: int, seed: int) -> Clusters:
    return ccd.generate(n, seed, mix=dict.fromkeys(CLASSES, 1.0))


def ccd_model(name: str, n: int = 101, precision: str = "float32", **settings: Any) -> tuple[Any, Any]:
    """Neither the training clusters nor the 37 of the validation fill their batches of 32."""
    card = registry.info(name)
    classes = CLASSES if session.is_classifier(card) else None
    train = three_classes(n, 1)
    model = session.build(card, settings, train, classes, seed=3, precision=precision)
    return model, fit(model, train, three_classes(37, 2), classes=classes, seed=3, epochs=2)


def accumulated() -> tuple[Any, Any]:
    """Steps of three batches, in an epoch of four; gradients of another size would show in plain descent."""
    train = three_classes(101, 1)
    model = session.build(registry.info("tiny_cnn"), {}, train, CLASSES, seed=3)
    model.make_optimizer = lambda _: keras.optimizers.SGD(0.1, 0.9, weight_decay=1e-3, gradient_accumulation_steps=3)
    return model, fit(model, train, None, classes=CLASSES, seed=3, epochs=2)


def effnet() -> tuple[Any, Any]:
    """Hidden pixels, blocks left out, batch normalisation, images of several sizes."""
    clusters = simulate("timepix_300um", particle="proton", n=60, seed=4, spectrum="orbit")
    settings = {"size": 32, "batch_size": 8, "epoch_clusters": 20, "epochs": 3, "fresh_statistics": 16}
    model = session.build(registry.info("tiny_effnet_ae"), settings, clusters[:44], None, seed=3)
    return model, fit(model, clusters[:44], clusters[44:], classes=None, seed=3)


def jets() -> tuple[Any, Any]:
    """Batch normalisation, and dropout."""
    keras.utils.set_random_seed(3)
    model = registry.create(
        "tiny_jet_ae", hidden=(8,), activation="leaky_relu", batch_norm=True, dropout=0.1, epochs=2, batch_size=60
    )
    training = generate(250, 1)
    model.preprocessor = model.preprocessor.fit(training)
    return model, train_model(model, training, generate(77, 2), seed=3)


def pedestal() -> tuple[Any, Any]:
    """Noise on the code."""
    keras.utils.set_random_seed(3)
    model = registry.create("tiny_pedestal_ae", objective="denoise", crops=2)
    dark = frames(10, 1, shape=(80, 104))
    model.preprocessor = model.preprocessor.fit(dark)
    job = AnomalyJob(
        registry.info("tiny_pedestal_ae"), model, None, "", {"train": dark}, (), 3, "float32", None, "", ""
    )  # type: ignore[arg-type, dict-item]
    return model, job.fit()


def dec() -> tuple[Any, Any]:
    keras.utils.set_random_seed(3)
    model = registry.create("tiny_dec")
    images, _ = simple_patches(50)
    model.preprocessor = model.preprocessor.fit(images)
    kept = _Kept()
    pretrain(model, model.preprocess(images), seed=3, callbacks=[kept])
    return model, kept.logs


CURVES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "cnn": lambda: ccd_model("tiny_cnn"),
    "float16": lambda: ccd_model("tiny_cnn", precision="mixed_float16"),
    # The last batch is one cluster, so one of the devices has none.
    "accumulated": accumulated,
    "vae": lambda: ccd_model("tiny_vae", 65),
    "effnet": effnet,
    "jets": jets,
    "pedestal": pedestal,
    "dec": dec,
}


LONG = ("effnet", "float16", *unless_all(("vae", "pedestal", "dec")))
"""Cases that only run when they are named: to trace the first takes minutes, and the second says little beside `overflow`. What the small
form leaves out takes the way of the others."""


def overflow() -> dict[str, Any]:
    """A step in float16 whose gradients are no numbers on the second device alone, and one whose gradients are."""
    chosen = devices.spread(2)
    model = session.build(
        registry.info("tiny_cnn"), {}, three_classes(101, 1), CLASSES, seed=3, precision="mixed_float16"
    )
    compile_model(model, 4)
    with chosen.scope():
        twin = make_twin(model)
    good = np.random.default_rng(0).random((8, 16, 16, 1), np.float32), np.arange(8) % 3
    bad = good[0].copy(), good[1]
    bad[0][4:] = 1e6
    step = StrategyStep(chosen.strategy, twin, (), good, training=True)  # type: ignore[attr-defined]
    found: dict[str, Any] = {"scales": [_alike(twin.optimizer.dynamic_scale)]}
    before = [_alike(v) for v in twin.weights]
    for name, batch in (("bad", bad), ("good", good)):
        step(batch)
        after = [_alike(v) for v in twin.weights]
        found[name] = max(float(np.abs(a - b).max()) for a, b in zip(after, before, strict=True))
        found["scales"].append(_alike(twin.optimizer.dynamic_scale))
    return found


def _alike(variable: Any) -> Any:
    """The value of a variable that is the same on both devices."""
    one, other = (own.numpy() for own in variable.value.values)
    np.testing.assert_array_equal(one, other)
    return one.tolist() if one.ndim == 0 else one


def main(output: Path, cases: list[str]) -> None:
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
    # TensorFlow traces every layer on every device.
    with shallow_efficientnet(one_stage=True):
        found = compare(cases)
    output.write_text(json.dumps(found))


def compare(cases: list[str]) -> dict[str, Any]:
    """What each case finds on one device and on two."""
    found: dict[str, Any] = {}
    for name in cases or [*(name for name in CURVES if name not in LONG), "overflow"]:
        if name == "overflow":
            found[name] = overflow()
            continue
        runs = []
        for n in (1, 2):
            devices.spread(n)
            model, logs = CURVES[name]()
            runs.append((model.get_weights(), logs))
        (one, logs), (two, others) = runs
        largest = max(float(np.abs(a - b).max()) for a, b in zip(one, two, strict=True))
        found[name] = {"one": logs, "two": others, "weights": largest}
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
