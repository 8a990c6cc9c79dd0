"""The EfficientNet family: what goes in, what is mirrored, what is learned from where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

import particle_zoo
from particle_zoo import Clusters, InputError
from particle_zoo.layers import InsertZeros
from particle_zoo.losses import huber, per_hit, soft_dice
from particle_zoo.models.effnet_ae.encoder import blocks, build_backbone, load_backbone_weights
from tests.models.conftest import built_shallow
from tests.shallow import shallow_efficientnet

# === Encoder ===


def test_the_backbone_is_that_of_keras_applications() -> None:
    net = build_backbone("B4", 384, 3)
    assert net.count_params() == 17_673_823
    assert net.output.shape[1:] == (12, 12, 1792)
    layout = blocks(net)
    assert len(layout) == 32
    # Skip sizes 192, 96, 48, 24 of the published network: a block of stride 2 after each, and the stem before.
    assert [b.name for b in layout if b.stride == 2] == ["2a", "3a", "4a", "6a"]
    assert [b.filters_out for b in layout if b.name.endswith("a")] == [24, 32, 56, 112, 160, 272, 448]


def test_convolutions_see_our_values_and_not_a_255th_of_them(tiny: Any, rasters: np.ndarray) -> None:
    net = tiny.encoder.get_layer("backbone")
    before_stem = keras.Model(net.input, net.get_layer("stem_conv_pad").output)
    image = tiny.enlarge(rasters)
    seen = np.asarray(before_stem(tiny.encoder.get_layer("adapter")(image)))[:, : image.shape[1], : image.shape[2]]
    np.testing.assert_allclose(seen, image, rtol=1e-6)
    assert seen.max() > 0.3


def test_stochastic_depth_grows_with_depth_and_can_be_left_out() -> None:
    def rates(share: float) -> list[float]:
        net = build_backbone("B0", 32, 3, stochastic_depth=share)
        return [layer.rate for layer in net.layers if isinstance(layer, keras.layers.Dropout)]

    usual = rates(0.2)
    assert usual == sorted(usual)
    np.testing.assert_allclose(rates(0.1), 0.5 * np.array(usual))
    assert set(rates(0.0)) == {0.0}


@pytest.mark.parametrize("backbone", ["B0", "B2"])
@pytest.mark.parametrize("size", [32, 96])
@shallow_efficientnet()
def test_any_efficientnet_at_any_multiple_of_32(backbone: str, size: int) -> None:
    model = particle_zoo.create("effnet_ae_mask25", backbone=backbone, size=size)
    assert model.output["image"].shape == (None, size, size, 3)


# === Decoder ===


def test_the_decoder_mirrors_widths_depths_and_strides(tiny: Any) -> None:
    layout = blocks(tiny.encoder.get_layer("backbone"))
    names = [layer.name for layer in tiny.decoder.layers if layer.name.endswith("_dwconv")]
    assert names == [f"unblock{block.name}_dwconv" for block in reversed(layout)]
    for block in layout:
        depthwise = tiny.decoder.get_layer(f"unblock{block.name}_dwconv")
        project = tiny.decoder.get_layer(f"unblock{block.name}_project")
        assert depthwise.kernel_size == (block.kernel, block.kernel)
        assert depthwise.input.shape[-1] == block.filters_expanded
        assert project.filters == block.filters_in
    spreads = [layer.name for layer in tiny.decoder.layers if isinstance(layer, InsertZeros)]
    assert spreads == [f"unblock{block.name}_spread" for block in reversed(layout) if block.stride == 2]


def test_residual_blocks_begin_as_the_identity(tiny: Any, rasters: np.ndarray) -> None:
    inputs = tiny.encoder.get_layer("adapter")(tiny.enlarge(rasters[:4]))
    for net in (tiny.encoder.get_layer("backbone"), tiny.decoder):
        adds = [layer for layer in net.layers if isinstance(layer, keras.layers.Add)]
        # B0 repeats the blocks of its stages 1, 2, 2, 3, 3, 4 and 1 times.
        assert len(adds) == 9
        probe = keras.Model(net.inputs, [[layer.input[1], layer.output] for layer in adds])
        for before, after in probe(inputs, training=True):
            assert np.ptp(np.asarray(before)) > 0
            np.testing.assert_array_equal(before, after)
        inputs = tiny.encoder(tiny.enlarge(rasters[:4]), training=False)


def test_the_decoder_sees_nothing_but_the_last_map(tiny: Any, rasters: np.ndarray) -> None:
    features = tiny.encoder(tiny.enlarge(rasters), training=False)
    drawn = tiny.decoder(features, training=False)
    for name, head in tiny.reconstruct(rasters).items():
        np.testing.assert_allclose(np.asarray(drawn[name]), head, atol=1e-5)


@shallow_efficientnet()
def test_a_dense_latent_is_all_the_decoder_sees(timepix3: Clusters) -> None:
    model = particle_zoo.create("tiny_effnet_ae", latent="dense", latent_size=17)
    inputs = model.preprocess(timepix3[:2])
    assert model.encode(inputs).shape == (2, 17)
    from_latent = keras.Model(model.get_layer("unlatent").input, model.output)
    drawn = from_latent(model.encode(inputs), training=False)
    np.testing.assert_allclose(np.asarray(drawn["image"]), model.reconstruct(inputs)["image"], atol=1e-5)


def test_the_latent_vector_is_the_mean_of_the_last_map(tiny: Any, rasters: np.ndarray) -> None:
    features = np.asarray(tiny.encoder(tiny.enlarge(rasters), training=False))
    np.testing.assert_allclose(tiny.encode(rasters), features.mean(axis=(1, 2)), atol=1e-5)
    assert tiny.encode(rasters).shape == (12, 1280)


# === Heads, losses, hiding ===


def test_mask_heads_are_probabilities_and_can_be_left_out(tiny: Any, rasters: np.ndarray) -> None:
    heads = tiny.reconstruct(rasters)
    assert {name: head.shape[-1] for name, head in heads.items()} == {"image": 3, "mask": 1, "over_threshold": 1}
    for name in ("mask", "over_threshold"):
        assert heads[name].min() > 0
        assert heads[name].max() < 1
    image_only = built_shallow("tiny_effnet_ae", mask_heads=False)
    assert set(image_only.output) == {"image"}


@shallow_efficientnet()
def test_pixels_are_hidden_from_the_encoder_in_training_and_never_from_the_target(rasters: np.ndarray) -> None:
    keras.utils.set_random_seed(0)
    model = particle_zoo.create("tiny_effnet_ae", mask_rate=0.5, mask_seed=1)
    seen = keras.Model(model.input, model.get_layer("visible").output)
    full = model.enlarge(rasters)
    np.testing.assert_array_equal(np.asarray(seen(rasters, training=False)), full)
    part = np.asarray(seen(rasters, training=True))
    hidden = (part != full).any(axis=-1)
    assert hidden.any()
    assert (part[hidden] == 0).all()
    assert not (hidden & (full[..., 0] == 0)).any(), "background changed"
    # A prediction equal to the full image has no image loss, whatever was hidden.
    perfect = {"image": full, "mask": (full[..., :1] > 0) * 1.0, "over_threshold": full[..., -1:]}
    perfect = {name: head.astype(np.float32) for name, head in perfect.items()}
    assert float(model.compute_loss(x=rasters, y_pred=perfect)) < 1e-4
    shown = {**perfect, "image": part}
    assert float(model.compute_loss(x=rasters, y_pred=shown)) > 0.02


def test_losses_are_about_1_for_nothing_and_0_for_everything() -> None:
    hit = np.zeros((2, 8, 8, 1), np.float32)
    hit[0, 2, 2:7], hit[1, 3, 3] = 1, 1
    np.testing.assert_allclose(np.asarray(per_hit(np.square(hit), hit)), [1, 1])
    np.testing.assert_allclose(np.asarray(soft_dice(hit, hit)), [0, 0], atol=1e-6)
    assert (np.asarray(soft_dice(hit, np.zeros_like(hit))) >= 0.5).all()
    np.testing.assert_allclose(np.asarray(huber(np.array([0, 0.5, -0.5, 3.0], np.float32))), [0, 0.125, 0.125, 2.5])


@pytest.mark.parametrize("image_loss", ["mse", "mae", "huber"])
@pytest.mark.parametrize("mask_loss", ["bce", "dice", "bce_dice"])
def test_losses_and_weights_come_from_the_configuration(
    image_loss: str, mask_loss: str, tiny: Any, rasters: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = {"image_weight": 2.0, "mask_weight": 0.5, "over_weight": 3.0}
    chosen = {**tiny.zoo_config.model_dump(), "image_loss": image_loss, "mask_loss": mask_loss, **weights}
    # Nothing but the loss depends on these settings.
    monkeypatch.setattr(tiny, "zoo_config", type(tiny.zoo_config)(**chosen))
    tiny.reset_metrics()
    luck = np.random.default_rng(0)
    truth = tiny.enlarge(rasters).astype(float)
    heads = {
        "image": truth + luck.normal(0, 1, truth.shape),
        "mask": luck.uniform(0.1, 0.9, (*truth.shape[:3], 1)),
        "over_threshold": luck.uniform(0.1, 0.9, (*truth.shape[:3], 1)),
    }
    heads = {name: head.astype(np.float32) for name, head in heads.items()}
    total = float(tiny.compute_loss(x=rasters, y_pred=heads))
    hit = (truth[..., 0] > 0)[..., None] * 1.0
    pixels = hit.sum(axis=(1, 2, 3))
    off = np.abs(heads["image"] - truth)
    image = {"mse": off**2, "mae": off, "huber": np.where(off < 1, off**2 / 2, off - 0.5)}[image_loss]
    expected = {"image": (image.sum(axis=(1, 2, 3)) / pixels).mean()}
    for name, mask in (("mask", hit), ("over_threshold", truth[..., -1:])):
        p = heads[name].astype(float)
        bce = -(mask * np.log(p) + (1 - mask) * np.log(1 - p)).sum(axis=(1, 2, 3)) / pixels
        both, either = (v.sum(axis=(1, 2, 3)) for v in (mask * p, mask + p))
        dice = 1 - (2 * both + 1) / (either + 1)
        expected[name] = {"bce": bce, "dice": dice, "bce_dice": bce + dice}[mask_loss].mean()
    for name, value in expected.items():
        assert float(getattr(tiny, f"{name}_tracker").result()) == pytest.approx(value, rel=1e-3)
    weighted = 2 * expected["image"] + 0.5 * expected["mask"] + 3 * expected["over_threshold"]
    assert total == pytest.approx(weighted, rel=1e-3)


# === Weights from elsewhere ===


@shallow_efficientnet()
def test_the_weights_know_nothing_of_the_size(timepix3: Clusters) -> None:
    tiny, larger = built_shallow("tiny_effnet_ae"), particle_zoo.create("tiny_effnet_ae", size=96)
    larger.start_from(tiny)
    inputs = larger.preprocess(timepix3[:2])
    assert np.isfinite(larger.reconstruct(inputs)["image"]).all()
    assert [w.shape for w in larger.weights] == [w.shape for w in tiny.weights]


@shallow_efficientnet()
def test_a_classifier_starts_from_the_encoder_of_an_autoencoder(rasters: np.ndarray) -> None:
    tiny = built_shallow("tiny_effnet_ae")
    classifier = particle_zoo.create("tiny_effnet_classifier", size=96)
    classifier.start_from(tiny)
    same_size = particle_zoo.create("tiny_effnet_classifier")
    same_size.start_from(tiny)
    np.testing.assert_allclose(same_size.encode(rasters), tiny.encode(rasters), atol=1e-4)


@pytest.mark.parametrize(
    ("model", "settings", "start", "other", "message"),
    [
        ("tiny_effnet_classifier", {}, "tiny_effnet_ae", {"backbone": "B1"}, "EfficientNet B1, this model B0"),
        ("tiny_effnet_classifier", {}, "tiny_effnet_ae", {"time": "drop"}, "time channel drop, this model toa"),
        ("tiny_effnet_classifier", {}, "tiny_effnet_ae", {"over_kev": 100}, "threshold in keV 100"),
        ("tiny_effnet_classifier", {}, "tiny_timepix_cnn", {}, "that run holds a tiny_timepix_cnn"),
        ("tiny_effnet_classifier", {"classes": 3}, "tiny_effnet_classifier", {}, "do not fit"),
        ("tiny_effnet_ae", {}, "tiny_effnet_classifier", {}, "that run holds a tiny_effnet_classifier"),
        ("tiny_effnet_classifier", {}, "tiny_effnet_ae", {"time": "zero"}, "never saw times of arrival"),
        ("tiny_effnet_ae", {}, "tiny_effnet_ae", {"mask_heads": False}, "mask_heads=False, this model True"),
        ("tiny_effnet_ae", {}, "tiny_effnet_ae", {"latent": "dense"}, "latent=dense, this model pool"),
    ],
)
def test_weights_of_another_encoder_are_refused(
    model: str, settings: dict[str, Any], start: str, other: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        built_shallow(model, **settings).start_from(built_shallow(start, **other))
    assert "\n" not in str(error.value)


def keras_applications_file(net: keras.Model, path: Path) -> None:
    """Write weights as the files of keras.applications hold them: a group a layer, its arrays named in an attribute."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in net.layers]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.4.0"
        for layer in net.layers:
            group = file.create_group(layer.name)
            # Trainable before the rest, as Keras 2 kept them.
            arrays = [np.asarray(weight) for weight in (*layer.trainable_weights, *layer.non_trainable_weights)]
            names = [f"{layer.name}/weight_{i}:0".encode() for i in range(len(arrays))]
            group.attrs["weight_names"] = names
            for name, array in zip(names, arrays, strict=True):
                group.create_dataset(name.decode(), data=array)


@shallow_efficientnet()
def test_a_local_file_of_keras_applications_is_loaded(tmp_path: Path) -> None:
    keras.utils.set_random_seed(5)
    donor = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(64, 64, 3))
    (normalization,) = (layer for layer in donor.layers if isinstance(layer, keras.layers.Normalization))
    photographs = [np.full_like(values, 0.25) for values in normalization.get_weights()]
    normalization.set_weights(photographs)
    path = tmp_path / "efficientnetb0_notop.h5"
    keras_applications_file(donor, path)
    model = particle_zoo.create("tiny_effnet_classifier", encoder_weights=str(path))
    net = model.encoder.get_layer("backbone")
    (own,) = (layer for layer in net.layers if isinstance(layer, keras.layers.Normalization))
    for theirs, ours in zip(photographs[:2], own.get_weights()[:2], strict=True):
        assert (theirs == 0.25).all()
        assert not np.isclose(ours, 0.25).any()
    for layer in ("stem_conv", "block4a_dwconv", "top_bn"):
        np.testing.assert_array_equal(net.get_layer(layer).get_weights()[0], donor.get_layer(layer).get_weights()[0])
    # A run rebuilds the model from its configuration and must not need the file again.
    path.unlink()
    from particle_zoo import registry

    assert (
        registry.build("tiny_effnet_classifier", **model.zoo_config.model_dump()).count_params() == model.count_params()
    )


def test_imagenet_without_a_network_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: Any, **kwargs: Any) -> None:
        raise Exception("URL fetch failure on weights.h5: None -- [Errno -3] Temporary failure\nin name resolution")

    with shallow_efficientnet():
        net = build_backbone("B0", 32, 3)
    monkeypatch.setattr(keras.applications, "EfficientNetB0", unreachable)
    with pytest.raises(InputError, match=r"cannot be fetched \(URL fetch failure.*efficientnetb0_notop\.h5") as error:
        load_backbone_weights(net, "B0", "imagenet")
    assert "\n" not in str(error.value)


@shallow_efficientnet()
def test_files_that_hold_no_such_weights_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"existing file such as efficientnetb0_notop\.h5; received 'nowhere.h5'"):
        particle_zoo.create("tiny_effnet_ae", encoder_weights="nowhere.h5")
    (tmp_path / "bad.weights.h5").write_bytes(b"no HDF5")
    with pytest.raises(InputError, match="holds no weights of EfficientNetB0") as error:
        particle_zoo.create("tiny_effnet_ae", encoder_weights=str(tmp_path / "bad.weights.h5"))
    assert "\n" not in str(error.value)


def test_the_laptop_recipe_fills_in_what_is_not_set() -> None:
    from particle_zoo import registry

    config = registry.config_class("effnet_ae_mask50").from_settings({"recipe": "laptop", "epochs": 3})
    assert (config.backbone, config.size, config.batch_size, config.epochs) == ("B0", 64, 32, 3)
    assert config.mask_rate == 0.5
    again = registry.config_class("effnet_ae_mask50").from_settings(config.model_dump(mode="json"))
    assert again == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 100}, r"multiple of 32, such as 96; received .*\b100\b"),
        ({"size": 16}, "greater than or equal to 32"),
        ({"backbone": "B9"}, "backbone"),
        ({"progressive": [48]}, "multiples of 32 below size=64"),
        ({"progressive": [64]}, "multiples of 32 below size=64"),
        ({"progressive": [32], "latent": "dense"}, "ties the weights to one size"),
        ({"time": "drop", "encoder_weights": "imagenet"}, "three channels"),
        ({"mask_rate": 1.0}, "less than 1"),
    ],
)
def test_settings_that_cannot_be_are_one_sentence(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        particle_zoo.create("tiny_effnet_ae", **settings)
    assert "\n" not in str(error.value)
