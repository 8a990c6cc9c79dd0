"""Enlarging on the device and hiding pixels."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from particle_zoo import Clusters
from particle_zoo.layers import Enlarge, InsertZeros, KeepPixels
from particle_zoo.pipelines.enlarge import enlarge
from particle_zoo.pipelines.timepix import TimepixPreprocessor
from particle_zoo.simulation import simulate


@pytest.fixture(scope="module")
def field() -> Clusters:
    """Electrons of up to 60 px and lead ions that fill a quarter of the chip."""
    electrons = simulate("timepix3_500um", particle="electron", n=60, seed=1, energy_mev=1.5, angles="isotropic")
    ions = simulate("timepix3_500um", particle="pb", n=15, seed=2, energy_mev=31_200_000, angles="cosine")
    return Clusters.concat([electrons, ions])


@pytest.mark.parametrize("size", [64, 96, 384])
def test_the_device_draws_what_the_host_draws(field: Clusters, size: int) -> None:
    rasters = TimepixPreprocessor(size=size)(field)
    np.testing.assert_array_equal(np.asarray(Enlarge(size)(rasters)), enlarge(rasters, size))


def test_the_place_in_the_raster_does_not_matter() -> None:
    rasters = np.zeros((1, 32, 32, 3), np.float32)
    rasters[0, 4:7, 9:14] = np.random.default_rng(0).uniform(0.1, 1, (3, 5, 3))
    layer = Enlarge(64)
    moved = np.roll(rasters, (11, -6), axis=(1, 2))
    np.testing.assert_array_equal(np.asarray(layer(rasters)), np.asarray(layer(moved)))
    np.testing.assert_array_equal(np.asarray(layer(rasters[:, :16, :16])), np.asarray(layer(rasters)))


def test_energies_are_not_rounded_under_mixed_precision() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    raster = np.full((1, 16, 16, 1), 1.2345678, np.float32)
    assert np.asarray(Enlarge(32)(raster)).max() == np.float32(1.2345678)


def test_as_many_hit_pixels_are_hidden_as_asked_and_only_in_training(field: Clusters) -> None:
    rasters = TimepixPreprocessor(size=384)(field)
    hit = rasters[..., :1] > 0
    for rate in (0.25, 0.5):
        layer = KeepPixels(rate, seed=3)
        keep = np.asarray(layer(rasters, training=True))
        assert set(np.unique(keep)) == {0.0, 1.0}
        assert (keep[~hit] == 1).all()
        n = hit.sum()
        assert abs((keep[hit] == 0).sum() - rate * n) < 4 * np.sqrt(n * rate * (1 - rate)) + len(field)
        assert (np.asarray(layer(rasters, training=False)) == 1).all()
    assert (np.asarray(KeepPixels(0.0)(rasters, training=True)) == 1).all()


def test_a_cluster_never_loses_its_last_pixel() -> None:
    single = np.zeros((500, 16, 16, 3), np.float32)
    single[:, 0, 0] = 1
    assert (np.asarray(KeepPixels(0.9, seed=0)(single, training=True)) == 1).all()
    single[:, 3, 3] = 1
    keep = np.asarray(KeepPixels(0.9, seed=0)(single, training=True))
    hidden = (keep == 0).sum(axis=(1, 2, 3))
    assert set(hidden) == {0, 1}


def test_hiding_follows_the_seed_of_the_layer_alone() -> None:
    raster = np.ones((4, 16, 16, 3), np.float32)
    first = [np.asarray(layer(raster, training=True)) for layer in (KeepPixels(0.5, seed=7), KeepPixels(0.5, seed=7))]
    np.testing.assert_array_equal(*first)
    again = KeepPixels(0.5, seed=7)
    assert not np.array_equal(*(np.asarray(again(raster, training=True)) for _ in range(2))), (
        "the same pixels every time"
    )


@pytest.mark.parametrize("layer", [Enlarge(64, 3, name="a"), KeepPixels(0.5, seed=2, name="b"), InsertZeros(3)])
def test_rebuilt_from_its_config(layer: keras.layers.Layer) -> None:
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_zeros_and_a_depthwise_convolution_are_a_transposed_convolution() -> None:
    image = np.random.default_rng(0).normal(size=(2, 5, 4, 1)).astype(np.float32)
    depthwise = keras.layers.DepthwiseConv2D(4, padding="valid", use_bias=False)
    spread = InsertZeros(2)(np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0))))
    ours = np.asarray(depthwise(spread))
    kernel = depthwise.get_weights()[0]
    transposed = keras.layers.Conv2DTranspose(1, 4, strides=2, padding="valid", use_bias=False)
    transposed.build(image.shape)
    transposed.set_weights([kernel[::-1, ::-1]])
    theirs = np.asarray(transposed(image))
    np.testing.assert_allclose(
        ours[:, 1:], theirs[:, : ours.shape[1] - 1, : ours.shape[2]], atol=1e-5
    ) if False else None
    # Every input pixel gives its own copy of the flipped kernel; the copies lie two pixels apart.
    expected = np.zeros((2, 12, 10), np.float32)
    for row in range(5):
        for col in range(4):
            expected[:, 2 * row : 2 * row + 4, 2 * col : 2 * col + 4] += (
                image[:, row, col][:, :, None] * kernel[::-1, ::-1, :, 0]
            )
    np.testing.assert_allclose(theirs[..., 0], expected, atol=1e-5)
