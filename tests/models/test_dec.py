"""Student-t shares, their targets, and what moves in which stage."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest

import particle_zoo
from particle_zoo import InputError
from particle_zoo.layers import StudentT
from particle_zoo.losses import kl_divergence, target_distribution

SMALL: dict[str, Any] = {"size": 12, "units": [8], "latent": 3, "k": 4, "batch_size": 8}


def shares(n: int = 200, k: int = 4, seed: int = 0) -> np.ndarray:
    """Random shares, of clusters of equal size: every row comes in all rotations."""
    q = np.random.default_rng(seed).dirichlet(np.ones(k), n // k)
    return np.concatenate([np.roll(q, i, axis=1) for i in range(k)])


def numpy(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(24, 12, 12, 1)).astype(np.float32)


def test_three_points_as_computed_by_hand() -> None:
    layer = StudentT(2)
    layer.build((None, 1))
    layer.centroids.assign([[0.0], [2.0]])
    q = numpy(layer(np.array([[0.0], [0.0], [3.0]], np.float32)))
    # Kernels 1 and 1/5 of a point on the first centroid, 1/10 and 1/2 of one beyond the second.
    np.testing.assert_allclose(q, [[5 / 6, 1 / 6], [5 / 6, 1 / 6], [1 / 6, 5 / 6]], rtol=1e-6)
    # Sizes 11/6 and 7/6: 25/36 : 11/6 against 1/36 : 7/6, and 1/36 : 11/6 against 25/36 : 7/6.
    first, last = np.array([25 / 66, 1 / 42]), np.array([1 / 66, 25 / 42])
    expected = np.array([first / first.sum(), first / first.sum(), last / last.sum()])
    p = target_distribution(q)
    np.testing.assert_allclose(p, expected, rtol=1e-5)
    np.testing.assert_allclose(p[0, 0], 1050 / 1116, rtol=1e-5)
    by_hand = sum(a * math.log(a / b) for a, b in ((1050 / 1116, 5 / 6), (66 / 1116, 1 / 6)))
    np.testing.assert_allclose(numpy(kl_divergence(p, q))[0], by_hand, rtol=1e-4)


def test_the_degrees_of_freedom_shape_the_kernel() -> None:
    layer = StudentT(2, alpha=3.0)
    layer.build((None, 1))
    layer.centroids.assign([[0.0], [2.0]])
    kernel = np.array([1.0, (1 + 4 / 3) ** -2])
    np.testing.assert_allclose(numpy(layer(np.zeros((1, 1), np.float32)))[0], kernel / kernel.sum(), rtol=1e-6)
    assert StudentT.from_config(layer.get_config()).alpha == 3.0


def test_rows_of_shares_and_targets_sum_to_one() -> None:
    layer = StudentT(5)
    q = numpy(layer(np.random.default_rng(0).normal(0, 30, (100, 3)).astype(np.float32)))
    assert (q > 0).all()
    np.testing.assert_allclose(q.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(target_distribution(q).sum(1), 1, rtol=1e-6)
    # A share of 0 in every row is no number to divide by.
    np.testing.assert_array_equal(target_distribution(np.array([[1.0, 0.0], [1.0, 0.0]])), [[1, 0], [1, 0]])


def test_targets_are_sharper_and_keep_the_largest_share() -> None:
    q = shares()
    p = target_distribution(q)
    np.testing.assert_array_equal(p.argmax(1), q.argmax(1))
    assert (p.max(1) > q.max(1)).all()
    assert (p * np.log(p)).sum() > (q * np.log(q)).sum()


def test_sizes_are_those_of_the_whole_set() -> None:
    even, uneven = np.array([[0.6, 0.4], [0.4, 0.6]]), np.array([[0.6, 0.4]] * 9 + [[0.4, 0.6]])
    # 9/13 of equal clusters; the small one of 4.2 beside 5.8 gains: its shares are divided by less.
    np.testing.assert_allclose(target_distribution(even)[0, 1], 4 / 13, rtol=1e-6)
    np.testing.assert_allclose(target_distribution(uneven)[0, 1], 1 / (1 + 2.25 * 4.2 / 5.8), rtol=1e-6)


def test_divergence_is_zero_of_equal_shares_and_positive_of_others() -> None:
    q = shares().astype(np.float32)
    np.testing.assert_allclose(numpy(kl_divergence(q, q)), 0, atol=1e-6)
    assert (numpy(kl_divergence(target_distribution(q), q)) > 1e-4).all()
    assert np.isfinite(numpy(kl_divergence(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]], np.float32)))).all()


@pytest.mark.parametrize(("name", "decoder_moves"), [("dec", False), ("idec", True)])
def test_gradients_reach_encoder_and_centroids(name: str, decoder_moves: bool, images: np.ndarray) -> None:
    keras.utils.set_random_seed(0)
    model = particle_zoo.create(name, **SMALL, cluster_learning_rate=0.1)
    parts = {"encoder": model.encoder, "decoder": model.decoder, "assignment": model.assignment}
    target = target_distribution(model.assign(images)[1])

    def moved(stage: str, *data: Any) -> dict[str, bool]:
        model.begin(stage)
        model.run_eagerly = True
        before = {part: [w.copy() for w in layer.get_weights()] for part, layer in parts.items()}
        model.train_on_batch(*data)
        return {
            part: any(not np.array_equal(w, old) for w, old in zip(layer.get_weights(), before[part], strict=True))
            for part, layer in parts.items()
        }

    assert moved("pretraining", images) == {"encoder": True, "decoder": True, "assignment": False}
    assert moved("clustering", images, target) == {"encoder": True, "decoder": decoder_moves, "assignment": True}


def test_gamma_is_on_the_divergence(images: np.ndarray) -> None:
    model = particle_zoo.create("idec", **SMALL, gamma=0.3, reconstruction_weight=2.0)
    outputs = model(images, training=False)
    target = np.random.default_rng(0).dirichlet(np.ones(4), len(images)).astype(np.float32)
    mse = float(np.mean((numpy(outputs["reconstruction"]) - images) ** 2))
    kl = float(np.mean(numpy(kl_divergence(target, outputs["soft"]))))
    assert kl > 0.05
    np.testing.assert_allclose(numpy(model.compute_loss(images, target, outputs)), 2 * mse + 0.3 * kl, rtol=1e-5)
    np.testing.assert_allclose(numpy(model.compute_loss(images, None, outputs)), mse, rtol=1e-5)
    dec = particle_zoo.create("dec", **SMALL)
    np.testing.assert_allclose(numpy(dec.compute_loss(images, target, outputs)), kl, rtol=1e-5)


def test_images_are_assigned_in_parts_as_in_one(images: np.ndarray) -> None:
    model = particle_zoo.create("idec", **SMALL)
    many = np.concatenate([images] * 12)
    embedding, soft = model.assign(many)
    outputs = model(many, training=False)
    np.testing.assert_allclose(embedding, numpy(outputs["embedding"]), atol=1e-5)
    np.testing.assert_allclose(soft, numpy(outputs["soft"]), atol=1e-5)
    np.testing.assert_array_equal(model.encode(many), embedding)
    model.centroids = embedding[:4]
    np.testing.assert_array_equal(model.centroids, embedding[:4])
    assert (model.assign(images)[1][:4].argmax(1) == np.arange(4)).all()


@pytest.mark.parametrize("size", [8, 12, 32, 100])
def test_the_decoder_gives_the_size_of_the_input(size: int) -> None:
    model = particle_zoo.create("tiny_dec", size=size)
    assert model.output["reconstruction"].shape == (None, size, size, 1)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"size": 30}, "multiple of 4, not 30"),
        ({"k": 1}, "2 or more clusters, or scan, not 1"),
        ({"k": "many"}, "k"),
        ({"units": [16, 0]}, "1 or more"),
        ({"gamma": 0}, "gamma"),
    ],
)
def test_settings_that_cannot_be_are_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        particle_zoo.create("dec", **settings)


def test_a_scan_leaves_room_for_the_most_clusters() -> None:
    config = particle_zoo.create("tiny_dec", k="scan").zoo_config
    assert config.clusters == config.scan_most
    assert particle_zoo.create("tiny_dec", k="scan", found=3).centroids.shape == (3, 4)
