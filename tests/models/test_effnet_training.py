"""How the EfficientNet family learns: rates, frozen and decaying weights, accumulation, precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import particle_zoo
from particle_zoo import Clusters, registry
from particle_zoo.models.effnet_ae.config import EffNetAEConfig
from particle_zoo.models.effnet_ae.encoder import MOMENTUM, build_backbone, stages
from particle_zoo.models.effnet_ae.recipe import adamw
from particle_zoo.pipelines.balance import flat_probabilities
from particle_zoo.training.fit import compile_model, fit
from particle_zoo.training.fresh_statistics import batch_normalisations
from tests.shallow import shallow_efficientnet


def create(name: str, **settings: Any) -> Any:
    """A shallow network: these tests are about what its optimizer does."""
    with shallow_efficientnet():
        return particle_zoo.create(name, **settings)


def create_shallowest(name: str, **settings: Any) -> Any:
    """One of two blocks, where no stage is looked at."""
    with shallow_efficientnet(one_stage=True):
        return particle_zoo.create(name, **settings)


@pytest.mark.parametrize("settings", [{}, {"recipe": "laptop"}])
def test_fine_tuning_stops_early(settings: dict[str, Any]) -> None:
    config = registry.config_class("effnet_classifier").from_settings(settings)
    assert 0 < config.patience < config.epochs <= 10


def _moves(model: Any, inputs: np.ndarray) -> dict[str, float]:
    """Mean distance the kernels of stem, stages and output move in a few steps of plain sign-like Adam."""
    compile_model(model, 4)
    model.run_eagerly = True
    net = model.encoder.get_layer("backbone")
    layers = {"stem": net.get_layer("stem_conv"), "stage 3": net.get_layer("block3a_expand_conv"),
              "top": net.get_layer("top_conv"), "output": model.get_layer("logits")}  # fmt: skip
    before = {name: layer.get_weights()[0] for name, layer in layers.items()}
    for _ in range(2):
        model.fit(inputs, np.arange(len(inputs)) % 2, verbose=0)
    return {name: float(np.abs(layer.get_weights()[0] - before[name]).mean()) for name, layer in layers.items()}


def test_early_stages_learn_more_slowly(rasters: np.ndarray) -> None:
    model = create("tiny_effnet_classifier", size=32, layer_decay=0.5, weight_decay=0)
    moved = _moves(model, rasters)
    assert moved["stem"] < moved["stage 3"] < moved["top"] < moved["output"]
    # Adam's steps are as long as the learning rate: nine stages of one half lie between stem and output.
    assert moved["output"] / moved["stem"] == pytest.approx(2**9, rel=0.7)
    shares = {v.path: share for v, share in zip(model.trainable_variables, model.optimizer.shares, strict=True)}
    for layer, stage in (("stem_conv", 0), ("block1a_project_conv", 1), ("block3a_expand_conv", 3), ("top_conv", 8)):
        kernel = model.encoder.get_layer("backbone").get_layer(layer).trainable_variables[0]
        assert shares[kernel.path] == 0.5 ** (9 - stage)
    assert shares[model.get_layer("logits").trainable_variables[0].path] == 1


def test_a_frozen_encoder_stays(rasters: np.ndarray) -> None:
    model = create("tiny_effnet_classifier", size=32, frozen=True)
    moved = _moves(model, rasters)
    assert moved.pop("output") > 0
    assert set(moved.values()) == {0.0}
    # Neither batch statistics nor stochastic depth: what the output layer learns from is what it will see.
    settled = create("tiny_effnet_classifier", size=32)
    # Moving statistics away from the initial ones, under which an untrained encoder says the same of everything.
    for norm in batch_normalisations(settled):
        norm.momentum = 0.0
    settled(rasters, training=True)
    sure = create("tiny_effnet_classifier", size=32, frozen=True, dropout_rate=0.0)
    sure.set_weights(settled.get_weights())
    learning, predicting = (np.asarray(sure(rasters, training=training)) for training in (True, False))
    assert np.ptp(predicting) > 1e-2
    np.testing.assert_allclose(learning, predicting, rtol=1e-4, atol=1e-5)
    assert len(model.trainable_variables) == 2


def test_stages_of_a_backbone() -> None:
    depth = stages(build_backbone("B0", 32, 3))
    assert depth["stem_conv"] == 0
    assert depth["block3b_dwconv"] == 3
    assert depth["top_bn"] == 8


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_learning_rate_falls_until_the_last_batch(accumulate: int) -> None:
    config = EffNetAEConfig(epochs=5, learning_rate=1e-3, accumulate=accumulate)
    optimizer = adamw(config, 20)
    weight = keras.Variable(np.ones(3, np.float32))
    optimizer.build([weight])
    rates = []
    for _ in range(100):
        rates.append(float(optimizer.learning_rate))
        optimizer.apply([np.ones(3, np.float32)], [weight])
    peak = int(np.argmax(rates))
    assert rates[peak] == pytest.approx(1e-3)
    assert (np.diff(rates[peak:]) < 0).all()
    # Half of the peak half-way through the cosine, and something left for the last batch.
    assert rates[(peak + 100) // 2] == pytest.approx(0.5e-3, rel=0.05)
    assert 0 < rates[-1] < 1e-5


@pytest.mark.parametrize("flat", [True, False])
def test_sizes_are_drawn_flat(timepix3: Clusters, monkeypatch: pytest.MonkeyPatch, flat: bool) -> None:
    class SeenError(Exception):
        pass

    def look(*_: Any, draw: np.ndarray | None, **__: Any) -> None:
        if flat:
            np.testing.assert_array_equal(draw, flat_probabilities(timepix3.sizes))
        else:
            assert draw is None
        raise SeenError

    monkeypatch.setattr("particle_zoo.training.fit.Examples", look)
    with pytest.raises(SeenError):
        fit(create("tiny_effnet_ae", size=32, flat_sizes=flat), timepix3, None, classes=None)


def test_pixels_are_hidden_in_every_compiled_epoch(timepix3: Clusters, monkeypatch: pytest.MonkeyPatch) -> None:
    model = create_shallowest("tiny_effnet_ae", size=32, fresh_statistics=16, epoch_clusters=32)
    # Quicker to compile than AdamW; what is hidden does not depend on it.
    monkeypatch.setattr(model, "make_optimizer", lambda _: keras.optimizers.SGD(1e-3))
    model.preprocessor = model.preprocessor.fit(timepix3)
    generator, states = model.get_layer("keep_pixels").seed_generator, []
    states.append(np.array(generator.state))
    remember = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: states.append(np.array(generator.state)))
    norm = model.encoder.get_layer("backbone").get_layer("stem_bn")
    fit(model, timepix3, None, classes=None, epochs=2, callbacks=[remember])
    # Drawn anew by every step, also after the statistics were renewed with nothing hidden.
    assert not np.array_equal(states[0], states[1])
    assert not np.array_equal(states[1], states[2])
    assert norm.momentum == MOMENTUM


def test_accumulated_gradients_move_weights_every_nth_batch(rasters: np.ndarray) -> None:
    model = create_shallowest("tiny_effnet_ae", size=32, accumulate=2, weight_decay=0)
    compile_model(model, 10)
    model.run_eagerly = True
    kernel = model.encoder.get_layer("backbone").get_layer("stem_conv")
    before = kernel.get_weights()[0]
    model.fit(rasters[:4], verbose=0)
    np.testing.assert_array_equal(kernel.get_weights()[0], before)
    model.fit(rasters[4:8], verbose=0)
    assert not np.array_equal(kernel.get_weights()[0], before)


def test_kernels_decay_and_nothing_else(tiny: Any) -> None:
    config = type(tiny.zoo_config)(weight_decay=0.5, learning_rate=0.1)
    # Their values are 0 or 1 before any training, and 0 does not decay.
    variables = [keras.Variable(np.ones(v.shape), name=v.name) for v in tiny.trainable_variables[:12]]
    assert {v.name for v in variables} == {"kernel", "bias", "gamma", "beta"}
    optimizer = adamw(config, 10)
    for _ in range(2):
        optimizer.apply([np.zeros(v.shape, np.float32) for v in variables], variables)
    for variable in variables:
        assert (np.asarray(variable) < 1).all() == (variable.name == "kernel"), variable.path


@pytest.mark.parametrize(
    ("make", "name", "settings", "precision"),
    [
        (create_shallowest, "tiny_effnet_ae", {"accumulate": 2}, "mixed_bfloat16"),
        (create_shallowest, "tiny_effnet_classifier", {"layer_decay": 0.8}, "mixed_bfloat16"),
        # Gradients grow with depth, and float16 ends early.
        (particle_zoo.create, "tiny_effnet_classifier", {}, "mixed_float16"),
    ],
)
def test_mixed_precision_trains(
    make: Callable[..., Any], name: str, settings: dict[str, Any], precision: str, rasters: np.ndarray
) -> None:
    keras.config.set_dtype_policy(precision)
    model = make(name, size=32, **settings)
    compile_model(model, 2)
    model.run_eagerly = True
    if precision == "mixed_float16":
        # Keras starts at 32768, under which these gradients overflow, and halves the scale with every step that does.
        model.optimizer.dynamic_scale.assign(1.0)
    before = [np.array(weight) for weight in model.trainable_weights]
    targets = np.arange(8, dtype=np.int32) % 2 if "classifier" in name else None
    losses = [model.train_on_batch(rasters[:8], targets, return_dict=True)["loss"] for _ in range(4)]
    assert np.isfinite(losses).all()
    moved = [(np.asarray(w) != old).any() for w, old in zip(model.trainable_weights, before, strict=True)]
    assert np.mean(moved) > 0.9
    assert all(np.isfinite(np.asarray(weight)).all() for weight in model.weights)
