"""Trainings in mixed precision: they end where those in float32 do, and go on where they stopped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import particle_zoo
from particle_zoo.clusters import Clusters
from particle_zoo.evaluation.precision.noise import judge, noise
from particle_zoo.jets import FOUR_MOMENTUM
from particle_zoo.simulation.jets import generate as generate_jets
from particle_zoo.training.fit import compile_model, fit
from particle_zoo.weights import load_run
from tests import camera_runs
from tests.forms import ALL
from tests.jet_runs import write_run
from tests.patch_files import simple_patches
from tests.shallow import shallow_efficientnet

MIXED = ("mixed_float16", "mixed_bfloat16")

MODELS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "cnn": ("tiny_cnn", 5, {"size": 16, "learning_rate": 3e-2, "dropout_rate": 0}),
    "cnn_meta": ("cnn_meta", 4, {"size": 16, "filters": [4, 4, 4], "dense_units": [8], "learning_rate": 1e-2, "dropout_rate": 0}),
    "timepix_cnn": ("tiny_timepix_cnn", 4, {"size": 16, "learning_rate": 2e-2, "dropout_rate": 0}),
    "vae": ("tiny_vae", 4, {"learning_rate": 0.1}),
    "effnet_ae": ("tiny_effnet_ae", 4, {"size": 32, "accumulate": 1, "learning_rate": 1e-2, "mask_rate": 0}),
    "pedestal_ae": ("tiny_pedestal_ae", 4, {"learning_rate": 5e-2, "common_mode": False, "code_noise": 0}),
    "dec": ("tiny_dec", 4, {"learning_rate": 2e-2}),
    "jet_ae": ("tiny_jet_ae", 4, {"learning_rate": 5e-2, "activation": "leaky_relu", "batch_norm": True}),
}  # fmt: skip
"""Models, steps and settings by family. None draws what is left out or added: other dtypes draw other numbers."""

APART = 0.1
"""Difference that rounding may make, as a share of what is learned."""

SCALE = 128.0
"""Of the loss in float16. Keras starts at 32768 and leaves out every step that overflows: there are too few steps here."""


@dataclass
class Trained:
    """A trained model, its loss after each step and its outputs."""

    model: Any
    losses: list[float]
    outputs: dict[str, Any]

    @property
    def learned(self) -> float:
        """Drop of the loss."""
        return self.losses[0] - self.losses[-1]


def trained(what: str, precision: str, examples: Any) -> Trained:
    name, steps, settings = MODELS[what]
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(0)
    with shallow_efficientnet(halving_only=True):
        model = particle_zoo.create(name, epochs=1, **settings)
    model.preprocessor = model.preprocessor.fit(examples)
    inputs = model.preprocess(examples)
    classifies = particle_zoo.info(name).task == "classifier"
    targets = np.unique(examples.labels, return_inverse=True)[1].astype(np.int32) if classifies else None
    if hasattr(model, "begin"):
        model.begin("pretraining")
    else:
        compile_model(model, steps)
    model.run_eagerly = True
    if precision == "mixed_float16":
        model.optimizer.dynamic_scale.assign(SCALE)
    losses = []
    for _ in range(steps):
        model.reset_metrics()
        losses.append(float(model.train_on_batch(inputs, targets, return_dict=True)["loss"]))
    found = model(inputs, training=False)
    return Trained(model, losses, found if isinstance(found, dict) else {"output": found})


@pytest.fixture(scope="module", params=MODELS)
def what(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def examples(what: str, three_classes: Clusters, timepix3: Clusters) -> Any:
    card = particle_zoo.info(MODELS[what][0])
    if card.task == "anomaly":
        # Levels of whole frames can be learned in a few steps; white noise cannot at all.
        levels = np.random.default_rng(0).integers(-25, 25, (16, 1, 1))
        return (camera_runs.frames(16, 1, shape=(32, 40)) + levels).astype(np.uint16)
    if card.task == "deep_clustering":
        return simple_patches(8)[0]
    if card.task == "compression":
        return generate_jets(100, seed=1).select(FOUR_MOMENTUM)
    return three_classes[:32] if card.detector == "CCD" else timepix3[:16]


@pytest.fixture(scope="module")
def float32(what: str, examples: Any) -> Trained:
    return trained(what, "float32", examples)


@pytest.fixture(scope="module", params=MIXED)
def mixed(request: pytest.FixtureRequest, what: str, examples: Any) -> Trained:
    if what == "effnet_ae" and request.param == "mixed_bfloat16" and not ALL:
        pytest.skip("the small form trains it in tests/models/test_effnet_training.py")
    return trained(what, str(request.param), examples)


def test_a_mixed_training_goes_as_in_float32(mixed: Trained, float32: Trained) -> None:
    # The same seed gave both the same weights and order: what is left is the precision.
    assert float32.learned > 0.02 * abs(float32.losses[0]), float32.losses
    assert abs(mixed.losses[-1] - float32.losses[-1]) <= APART * float32.learned, (mixed.losses, float32.losses)


def test_the_first_step_of_the_vae_in_float16_is_made(three_classes: Clusters) -> None:
    """Of an image of 64 px; its loss is a sum over 4,096 pixels."""
    keras.config.set_dtype_policy("mixed_float16")
    keras.utils.set_random_seed(0)
    model = particle_zoo.create("vae", filters=(2, 2), image_units=8, latent=4)
    model.preprocessor = model.preprocessor.fit(three_classes)
    compile_model(model, 10)
    model.run_eagerly = True
    model.train_on_batch(model.preprocess(three_classes[:16]))
    assert int(model.optimizer.inner_optimizer.iterations) == 1


def test_weights_and_outputs_are_float32(mixed: Trained) -> None:
    computed = {layer.compute_dtype for layer in mixed.model._flatten_layers() if layer.weights}
    assert computed - {"float32"}, "no layer computes in half precision"
    assert {keras.backend.standardize_dtype(value.dtype) for value in mixed.outputs.values()} == {"float32"}
    assert all(np.isfinite(keras.ops.convert_to_numpy(value)).all() for value in mixed.outputs.values())
    assert {keras.backend.standardize_dtype(weight.dtype) for weight in mixed.model.trainable_variables} == {"float32"}
    if hasattr(mixed.model, "encoder"):
        latent = mixed.model.encoder.outputs if not hasattr(mixed.model, "enlarger") else ()
        assert {tensor.dtype for tensor in latent} <= {"float32", "int32"}


# --- The scale of the loss in float16 ---


def small(precision: str = "mixed_float16") -> Any:
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(0)
    return particle_zoo.create("tiny_jet_ae", epochs=3)


def test_the_scale_grows_while_gradients_are_finite_and_shrinks_where_they_are_not() -> None:
    model, jets = small(), generate_jets(64, seed=1).select(FOUR_MOMENTUM)
    inputs = model.preprocessor.fit(jets)(jets)
    compile_model(model, 4)
    model.run_eagerly = True
    optimizer = model.optimizer
    optimizer.dynamic_growth_steps = 2
    optimizer.dynamic_scale.assign(8.0)
    scales = []
    for _ in range(4):
        model.train_on_batch(inputs)
        scales.append(float(optimizer.dynamic_scale))
    assert scales == [8, 16, 16, 32]
    before, taken = model.get_weights(), int(optimizer.iterations)
    optimizer.dynamic_scale.assign(2.0**60)
    model.train_on_batch(inputs)
    assert float(optimizer.dynamic_scale) == 2.0**59
    assert int(optimizer.iterations) == taken
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.usefixtures("eager")
def test_a_resumed_mixed_training_ends_as_an_uninterrupted_one(three_classes: Clusters, tmp_path: Path) -> None:
    def model() -> Any:
        keras.config.set_dtype_policy("mixed_float16")
        keras.utils.set_random_seed(0)
        built = particle_zoo.create("tiny_cnn", size=16, epochs=2)
        built.preprocessor = built.preprocessor.fit(three_classes)
        return built

    class Halted(keras.callbacks.Callback):
        """Ends a training before its second epoch, as a kill would."""

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch:
                raise KeyboardInterrupt

    class Scaled(keras.callbacks.Callback):
        """Starts with a scale that is not Keras's."""

        def on_train_begin(self, logs: Any = None) -> None:
            self.model.optimizer.dynamic_scale.assign(512.0)

    options: dict[str, Any] = {"classes": ("xray", "electron", "muon"), "batch_size": 32}
    for name in ("whole", "halted"):
        (tmp_path / name).mkdir()
    whole, halted, resumed = model(), model(), model()
    fit(whole, three_classes, None, folder=tmp_path / "whole", callbacks=[Scaled()], **options)
    with pytest.raises(KeyboardInterrupt):
        fit(halted, three_classes, None, folder=tmp_path / "halted", callbacks=[Scaled(), Halted()], **options)
    fit(resumed, three_classes, None, folder=tmp_path / "halted", **options)
    assert float(resumed.optimizer.dynamic_scale) == float(whole.optimizer.dynamic_scale) <= 512
    for ours, theirs in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_run_in_mixed_precision_loads_in_float32(tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    folder = write_run(tmp_path / "run")
    mixed, _ = load_run(folder)
    keras.config.set_dtype_policy("float32")
    full, _ = load_run(folder)
    assert {layer.compute_dtype for layer in full._flatten_layers()} == {"float32"}
    inputs = full.preprocess(generate_jets(50, seed=4).select(FOUR_MOMENTUM))
    outputs = full(inputs, training=False)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
    # Weights are the same; float16 keeps eleven bits.
    np.testing.assert_allclose(mixed(inputs, training=False), outputs, atol=2e-2)
    for ours, theirs in zip(full.get_weights(), mixed.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# --- Verdicts ---


def test_the_noise_is_as_large_as_differences_of_further_trainings() -> None:
    rng = np.random.default_rng(0)
    draws = rng.normal(3, 0.5, (2000, 5))
    below = [abs(row[:3].mean() - row[3:].mean()) <= noise(row[:3], 2) for row in draws]
    assert np.mean(below) == pytest.approx(0.95, abs=0.015)


def test_verdicts() -> None:
    reference = [1.0, 1.1, 0.9]
    assert judge([1.05, 1.0, 1.1], reference, 3.0)["verdict"] == "within the noise of float32"
    assert judge([2.0, 2.1, 2.2], reference, 3.0)["verdict"] == "worse than float32"
    assert judge([0.2, 0.1, 0.3], reference, 3.0)["verdict"] == "better than float32"
    assert judge([1.0, float("nan"), 1.0], reference, 3.0)["verdict"] == "fails"


def test_noise_as_large_as_what_is_learned_hides_a_training_that_learns_nothing() -> None:
    reference, nothing = [1.0, 1.2, 0.8], [1.3, 1.3, 1.3]
    told = judge(nothing, reference, 1.3)
    assert abs(told["difference"]) < told["noise"]
    assert told["learned"] == pytest.approx(0)
    assert told["in_spreads"] == pytest.approx(1.5)
    assert told["verdict"] == "too noisy to say"
    # Every seed ends where it ended in float32: that shows through any noise between seeds.
    assert judge([1.01, 1.19, 0.81], reference, 1.3)["verdict"] == "within the noise of float32"
    assert judge(reference, reference, 0.9)["verdict"] == "too noisy to say"
