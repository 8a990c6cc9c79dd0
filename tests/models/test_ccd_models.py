from __future__ import annotations

import keras
import numpy as np
import pytest

import particle_zoo
from particle_zoo import Clusters, InputError
from particle_zoo.layers import MaxPoolWithIndices, MaxUnpool, Sampling
from particle_zoo.losses import gaussian_kl, summed_binary_crossentropy
from particle_zoo.models.cnn import CNNConfig
from particle_zoo.models.cnn_meta import CNNMetaConfig
from tuning.spaces import BASELINES


def test_tables_have_the_published_parameter_counts() -> None:
    """Facts of seed 003: 91,651 and 875,164 with three classes."""
    assert particle_zoo.create("cnn").count_params() == 91_651
    assert particle_zoo.create("cnn_meta").count_params() == 875_164


def test_names_of_the_tables_rebuild_the_named_models() -> None:
    first = CNNConfig.from_settings(BASELINES["cnn"])
    default = CNNConfig()
    assert (first.filters, first.kernel_sizes, first.dense_units) == (
        default.filters,
        default.kernel_sizes,
        default.dense_units,
    )
    assert (first.learning_rate, first.decay_steps, first.decay_rate) == (3.676e-4, 3866, 0.9122)
    second, default_meta = CNNMetaConfig.from_settings(BASELINES["cnn_meta"]), CNNMetaConfig()
    for name in ("filters", "kernel_sizes", "strides", "paddings", "dense_units", "dropout_rate"):
        assert getattr(second, name) == getattr(default_meta, name)


def test_feature_maps_of_the_second_table() -> None:
    sizes = [particle_zoo.create("cnn_meta").get_layer(f"pool{i}").output.shape[1] for i in range(3)]
    assert sizes == [65, 67, 33]


def test_seed_recipe_is_the_seeds() -> None:
    config = CNNConfig.from_settings({"recipe": "seed"})
    assert (config.epochs, config.learning_rate, config.test_time_average) == (30, 3.676e-4, False)
    assert CNNConfig.from_settings({"recipe": "seed", "epochs": 3}).epochs == 3


@pytest.mark.parametrize("settings", [{"filter": [8]}, {"filters": [8]}, {"epochs": "many"}, {"dropout_rate": 1.5}])
def test_impossible_settings_are_named(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(settings))):
        particle_zoo.create("cnn", **settings)


def test_any_number_of_classes() -> None:
    assert particle_zoo.create("cnn", classes=5).output.shape == (None, 5)


def test_intermediate_sizes_of_the_vae() -> None:
    """55, 52, 26, 43,264, 204, 50 (seed 003)."""
    encoder = particle_zoo.create("vae").encoder
    shape = {
        layer.name: layer.output[0].shape if layer.name == "pool" else layer.output.shape for layer in encoder.layers
    }
    assert shape["conv0"][1:3] == (55, 55)
    assert shape["conv1"][1:3] == (52, 52)
    assert shape["pool"][1:3] == (26, 26)
    assert shape["flatten"][1] == 43_264
    assert shape["join"][1] == 204
    assert shape["mean"][1] == shape["log_var"][1] == 50


def test_pooling_and_unpooling_equal_a_loop() -> None:
    images = np.random.default_rng(0).integers(0, 4, (2, 6, 8, 3)).astype("float32")
    pooled, where = (keras.ops.convert_to_numpy(t) for t in MaxPoolWithIndices()(images))
    back = keras.ops.convert_to_numpy(MaxUnpool()(pooled, where))
    expected = np.zeros_like(images)
    for b, r, c, k in np.ndindex(pooled.shape):
        window = images[b, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2, k]
        # argmax takes the first of equal values, of which this data has many.
        i, j = np.unravel_index(window.argmax(), (2, 2))
        assert pooled[b, r, c, k] == window[i, j]
        assert where[b, r, c, k] == 2 * i + j
        expected[b, 2 * r + i, 2 * c + j, k] = window[i, j]
    np.testing.assert_array_equal(back, expected)


def test_odd_maps_cannot_be_unpooled() -> None:
    with pytest.raises(ValueError, match="even"):
        MaxPoolWithIndices()(np.zeros((1, 5, 4, 1), "float32"))


def test_sampling_is_the_mean_at_inference_and_gaussian_in_training() -> None:
    mean, log_var = np.full((20_000, 1), 3.0, "float32"), np.full((20_000, 1), np.log(4), "float32")
    layer = Sampling(seed=1)
    np.testing.assert_array_equal(layer(mean, log_var, training=False), mean)
    drawn = keras.ops.convert_to_numpy(layer(mean, log_var, training=True))
    assert drawn.mean() == pytest.approx(3, abs=0.05)
    assert drawn.std() == pytest.approx(2, abs=0.05)


def test_loss_terms_have_their_closed_forms() -> None:
    kl = keras.ops.convert_to_numpy(gaussian_kl(np.array([[0.0, 0], [1, 0]]), np.zeros((2, 2))))
    np.testing.assert_allclose(kl, [0, 0.5])
    half = np.full((1, 4, 4, 1), 0.5, "float32")
    assert float(summed_binary_crossentropy(half, half)[0]) == pytest.approx(16 * np.log(2), rel=1e-5)


def test_indices_leak_around_the_latent_vector(simulated: Clusters) -> None:
    """With another image's indices the seed's decoder draws another image, from the same z."""
    model = particle_zoo.create("tiny_vae")
    inputs = model.preprocess(simulated[:4])
    other = {k: v[::-1] for k, v in inputs.items()}
    assert not np.allclose(model.reconstruct(inputs), model.reconstruct(inputs, indices_from=other))
    with pytest.raises(ValueError, match="vae_generative"):
        model.decode(np.zeros((1, 4), "float32"))


def test_generative_variant_needs_the_latent_vector_alone() -> None:
    model = particle_zoo.create("tiny_vae", use_indices=False)
    images = model.decode(np.random.default_rng(0).normal(size=(3, 4)).astype("float32"))
    assert images.shape == (3, 16, 16, 1)
    assert (images > 0).all()
    assert (images < 1).all()


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        ("cnn", {"N_conv_layers": 1, "conv_filter_exp0": 3, "conv_kernel_size0": 3}, "there is no N_dense_layers"),
        ("cnn", {"N_conv_layers": 2, "N_dense_layers": 1, "conv_filter_exp0": 3}, "there is no conv_filter_exp1"),
        ("cnn", {"N_conv_layers": "two"}, "N_conv_layers is a whole number from 0 to 1024, not 'two'"),
        ("cnn", {"N_conv_layers": 10**12}, "N_conv_layers is a whole number"),
        ("cnn", {**BASELINES["cnn"], "conv_filter_exp0": 40}, "filters.0: Input should be less than or equal to 65536"),
        ("cnn_meta", {"N_conv_layers": None, "N_dense_layers": 1}, "N_conv_layers is a whole number"),
        (
            "cnn_meta",
            {**BASELINES["cnn_meta"], "stride_layer1": 0},
            "strides.1: Input should be greater than or equal to 1",
        ),
    ],
)
def test_a_table_that_is_none_is_refused_in_one_sentence(model: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        particle_zoo.create(model, **settings)
    assert "\n" not in str(refused.value)
