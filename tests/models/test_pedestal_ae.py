"""The autoencoder of dark camera frames: any size, one architecture for both objectives, a code with bounds."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import particle_zoo
from particle_zoo import InputError
from particle_zoo.layers import CropToInput, PadToStride


@pytest.fixture(scope="module")
def tiny() -> Any:
    keras.utils.set_random_seed(2)
    return particle_zoo.create("tiny_pedestal_ae")


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(*shape, 1)).astype(np.float32)


def drawn(model: Any, frames: np.ndarray) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(model(frames, training=False)))


@pytest.mark.parametrize("shape", [(1, 1), (8, 16), (37, 50), (65, 23)])
def test_frames_of_any_size_come_back_in_it(tiny: Any, shape: tuple[int, int]) -> None:
    assert drawn(tiny, noise(2, *shape)).shape == (2, *shape, 1)


def test_the_padding_is_a_pedestal_below_and_to_the_right(tiny: Any) -> None:
    frame = noise(1, 37, 50)
    assert tiny.zoo_config.stride == 8
    padded = np.pad(frame, ((0, 0), (0, 3), (0, 6), (0, 0)))
    np.testing.assert_allclose(drawn(tiny, frame), drawn(tiny, padded)[:, :37, :50], atol=1e-6)


def test_layers_for_any_size_come_back_from_their_settings() -> None:
    pad = PadToStride.from_config(PadToStride(16).get_config())
    images = np.ones((1, 17, 16, 2), np.float32)
    assert pad(images).shape == (1, 32, 16, 2)
    assert pad.compute_output_shape((None, 17, None, 2)) == (None, 32, None, 2)
    assert CropToInput()(pad(images), images).shape == images.shape


def test_the_objectives_differ_in_nothing_else() -> None:
    models = [particle_zoo.create(name) for name in ("pedestal_ae", "pedestal_ae_denoise")]
    settings = [m.zoo_config.model_dump() for m in models]
    assert [s.pop("objective") for s in settings] == ["mse", "denoise"]
    assert settings[0] == settings[1]
    described = [[(layer.name, type(layer), layer.get_config()) for layer in m.layers] for m in models]
    assert described[0] == described[1]
    assert [w.shape for w in models[0].weights] == [w.shape for w in models[1].weights]


def test_a_bounded_code_draws_no_more_than_it_can_say() -> None:
    keras.utils.set_random_seed(3)
    spot = np.zeros((1, 64, 64, 1), np.float32)
    spot[:, 24:40, 24:40] = 1
    heights = {}
    for code in ("bounded", "linear"):
        model = particle_zoo.create("tiny_pedestal_ae", code=code)
        heights[code] = [float(np.abs(drawn(model, scale * spot)).max()) for scale in (1e3, 1e6)]
    assert heights["bounded"][1] == pytest.approx(heights["bounded"][0], rel=0.1)
    assert heights["linear"][1] > 100 * heights["linear"][0]


def test_the_noise_of_the_code_is_for_training_alone() -> None:
    model = particle_zoo.create("tiny_pedestal_ae", code_noise=0.5)
    frame = noise(1, 16, 16)
    first, second = (np.asarray(model(frame, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 1e-4
    np.testing.assert_array_equal(drawn(model, frame), drawn(model, frame))


def test_without_targets_the_input_is_the_target(tiny: Any) -> None:
    frame, other = noise(1, 16, 16), noise(1, 16, 16, seed=1)
    predicted = drawn(tiny, frame)
    assert float(tiny.compute_loss(frame, None, predicted)) == pytest.approx(
        np.mean((predicted - frame) ** 2), rel=1e-5
    )
    assert float(tiny.compute_loss(frame, other, predicted)) == pytest.approx(
        np.mean((predicted - other) ** 2), rel=1e-5
    )


@pytest.mark.parametrize(
    ("setting", "value"), [("objective", "sharpen"), ("filters", []), ("monte_carlo", 1.5), ("clip", 0), ("crop", 4)]
)
def test_settings_that_cannot_be_are_named(setting: str, value: Any) -> None:
    with pytest.raises(InputError, match=setting):
        particle_zoo.create("tiny_pedestal_ae", **{setting: value})


def test_a_model_without_a_pedestal_says_so(tiny: Any) -> None:
    with pytest.raises(InputError, match="pedestal of their camera"):
        tiny.preprocess(np.full((16, 16), 100, np.uint16))
