"""Small networks in NumPy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import particle_zoo
from particle_zoo.models import on_processor as module
from particle_zoo.models.compiled import compiled
from particle_zoo.models.on_processor import CHUNK, on_processor

VARIANTS = [
    {},
    {"batch_norm": True, "activation": "leaky_relu"},
    {"block": "residual", "batch_norm": True},
    {"block": "convolution", "activation": "leaky_relu"},
    {"dropout": 0.3},
    {"variables": "aod_25", "block": "convolution", "batch_norm": True, "dropout": 0.3},
]


def shuffled(network: keras.Model, seed: int) -> None:
    """Weights, variances among them, unlike those of a new network."""
    rng = np.random.default_rng(seed)
    network.set_weights([np.abs(w + rng.normal(0, 0.2, w.shape)) + 0.05 for w in network.get_weights()])


@pytest.mark.parametrize("settings", VARIANTS, ids=str)
def test_encoders_and_decoders_of_every_kind_are_what_keras_makes_of_them(settings: dict[str, Any]) -> None:
    model = particle_zoo.create("tiny_jet_ae", **settings)
    for network in (model.encoder, model.decoder):
        shuffled(network, seed=1)
        apply = on_processor(network)
        assert apply is not None
        rows = np.random.default_rng(2).normal(size=(CHUNK + 70, network.input_shape[1])).astype(np.float32)
        expected = keras.ops.convert_to_numpy(network(rows, training=False))
        scale = np.abs(expected).max()
        for n in (0, 1, 100, len(rows)):
            found = apply(rows[:n])
            assert found.dtype == np.float32
            assert_allclose(found, expected[:n], rtol=0, atol=1e-5 * scale)


def test_weights_that_change_count_at_once() -> None:
    model = particle_zoo.create("tiny_jet_ae", batch_norm=True, activation="leaky_relu")
    rows = np.random.default_rng(2).normal(size=(5, 4)).astype(np.float32)
    first = model.encode(rows)
    shuffled(model.encoder, seed=3)
    assert_allclose(model.encode(rows), keras.ops.convert_to_numpy(model.encoder(rows, training=False)), atol=1e-4)
    second = model.encode(rows)
    assert np.abs(second - first).max() > 0.1
    # A training changes them in a graph, past the methods of Keras.
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss="mse")
    model.fit(rows, rows, verbose=0)
    assert_allclose(model.encode(rows), keras.ops.convert_to_numpy(model.encoder(rows, training=False)), atol=1e-4)
    assert not np.allclose(model.encode(rows), second, atol=1e-6)


def test_what_is_not_finite_stays_so_without_a_warning() -> None:
    model = particle_zoo.create("tiny_jet_ae")
    rows = np.array([[np.nan, 0, 0, 0], [np.inf, 0, 0, 0], [1, 0, 0, 0]], np.float32)
    found = model.encode(rows)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[2]).all()


def test_other_networks_and_precisions_are_left_to_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = keras.Input((4,))
    relu = keras.Model(inputs, keras.layers.Dense(3, activation="relu")(inputs))
    assert on_processor(relu) is None
    rows = np.random.default_rng(2).normal(size=(7, 4)).astype(np.float32)
    assert_allclose(compiled(relu)(rows), keras.ops.convert_to_numpy(relu(rows)), atol=1e-6)
    for other in (
        keras.layers.Dense(3, use_bias=False),
        keras.layers.BatchNormalization(scale=False),
        keras.layers.LayerNormalization(),
        keras.layers.Dense(3, dtype="mixed_bfloat16"),
    ):
        assert on_processor(keras.Model(inputs, other(inputs))) is None
    encoder = particle_zoo.create("tiny_jet_ae").encoder
    assert on_processor(encoder) is not None
    monkeypatch.setattr(module, "_accelerated", lambda: True)
    assert on_processor(encoder) is None


def test_a_jet_is_the_same_however_many_cores_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = particle_zoo.create("tiny_jet_ae").encoder
    apply = on_processor(encoder)
    assert apply is not None
    rows = np.random.default_rng(2).normal(size=(3 * CHUNK, 4)).astype(np.float32)
    found = []
    for count in (1, 4):
        monkeypatch.setattr("particle_zoo.detectors.camera.bands.cores", lambda count=count: count)
        found.append(apply(rows))
    assert_array_equal(*found)
