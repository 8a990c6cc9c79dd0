"""What anomaly models are shown of frames: crops, and light that is added to them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from particle_zoo import registry
from particle_zoo.detectors.camera import CameraFrames, PedestalModel
from particle_zoo.training import injection
from particle_zoo.training.frame_crops import FrameCrops
from tests.camera_runs import TRAINED, dark


@pytest.fixture(scope="module")
def pedestal() -> PedestalModel:
    return PedestalModel.fit(dark(16, 0), common_mode=True)


def crops(pedestal: PedestalModel, *, seed: int = 1, bank: Any = None, **settings: Any) -> FrameCrops:
    config = registry.config_class("tiny_pedestal_ae")(**{"crop": 48, "crops": 3, "batch_size": 4, **settings})
    return FrameCrops(CameraFrames.from_array(dark(10, 2)), pedestal, config, seed=seed, bank=bank)


def test_crops_follow_from_seed_and_step(pedestal: PedestalModel) -> None:
    first = crops(pedestal)
    batches = [first.batch(step)[0] for step in range(2 * len(first))]
    assert len(first) == 12
    assert {b.shape for b in batches} == {(4, 48, 48, 1)}
    again = crops(pedestal)
    for step in (17, 2, 23, 0):
        np.testing.assert_array_equal(again.batch(step)[0], batches[step])
    np.testing.assert_array_equal(next(crops(pedestal).between(1, 2))[0], batches[12])
    for found, expected in zip(crops(pedestal).between(0, 2), batches, strict=True):
        np.testing.assert_array_equal(found[0], expected)
    flat = np.concatenate(batches).reshape(-1, 48 * 48)
    assert len(np.unique(flat, axis=0)) == len(flat)
    assert not np.array_equal(crops(pedestal, seed=2).batch(0)[0], batches[0])


def test_crops_are_cut_from_normalised_frames(pedestal: PedestalModel) -> None:
    one = FrameCrops(
        CameraFrames.from_array(dark(1, 2)),
        pedestal,
        registry.config_class("tiny_pedestal_ae")(crop=96, crops=2, batch_size=2),
        seed=0,
    )
    inputs, targets = one.batch(0)
    whole = pedestal.normalise(dark(1, 2)[0])
    # The frame has 80 rows: the square is cut to them.
    assert inputs.shape == (2, 80, 96, 1)
    places = [np.flatnonzero([np.array_equal(crop[..., 0], whole[:, c : c + 96]) for c in range(9)]) for crop in inputs]
    assert all(len(found) == 1 for found in places)
    np.testing.assert_array_equal(inputs, targets)


def test_denoising_sees_the_same_frames_with_light(pedestal: PedestalModel) -> None:
    masked = replace(pedestal, hot=np.random.default_rng(0).random(TRAINED) < 0.2)
    plain = np.concatenate([crops(masked, crop=104).batch(step)[0] for step in range(6)])
    parts = [crops(masked, crop=104, objective="denoise").batch(step) for step in range(6)]
    inputs, targets = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    np.testing.assert_array_equal(targets, plain)
    added = (inputs - targets)[..., 0]
    assert added.min() >= -1e-4
    assert added.max() > 3
    assert (inputs[:, masked.masked] == 0).all()
    assert inputs.max() <= 50


def test_monte_carlo_light_is_drawn_by_one_objective_and_left_out_by_the_other(pedestal: PedestalModel) -> None:
    bank = injection.EventBank(0, n=6, largest=128)
    assert 3 <= len(bank.images) <= 6
    assert max(image.max() for image in bank.images) > 10
    plain = crops(pedestal).batch(0)[0]
    found = {o: crops(pedestal, bank=bank, monte_carlo=1.0, objective=o).batch(0) for o in ("mse", "denoise")}
    np.testing.assert_array_equal(found["mse"][0], found["mse"][1])
    np.testing.assert_array_equal(found["denoise"][0], found["mse"][0])
    np.testing.assert_array_equal(found["denoise"][1], plain)
    added = found["mse"][0] - plain
    assert added.max() > 3
    some = crops(pedestal, bank=bank, monte_carlo=0.4)
    lit = np.concatenate([(a != b).any((1, 2, 3)) for a, b in zip(
        (some.batch(step)[0] for step in range(6)), (crops(pedestal).batch(step)[0] for step in range(6)), strict=True
    )])  # fmt: skip
    assert 0 < lit.mean() < 0.8


def test_synthetic_light_is_of_many_sizes_and_heights() -> None:
    lights = [injection.synthetic((128, 128), np.random.default_rng(k)) for k in range(60)]
    heights = np.array([light.max() for light in lights])
    # With 0.75 objects on average, about half of the images stay dark.
    assert 0.2 < (heights < 1e-3).mean() < 0.75
    lit = heights[heights > 1e-3]
    assert lit.min() < 3
    assert lit.max() > 20
    areas = np.array([(light > 0.5 * light.max()).sum() for light in lights if light.max() > 1e-3])
    assert areas.max() > 20 * areas.min()
