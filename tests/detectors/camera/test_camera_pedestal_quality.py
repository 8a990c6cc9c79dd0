from __future__ import annotations

import numpy as np
import pytest

from particle_zoo import InputError
from particle_zoo.detectors.camera import CameraFrames, PedestalModel

SHAPE = (300, 360)


def realistic(n: int, seed: int) -> np.ndarray:
    """Pixel noise with a tail, rows and columns that shift, drift, flicker and pixels that flare up."""
    fixed, rng = np.random.default_rng(99), np.random.default_rng(seed)
    mean = 100 + fixed.normal(0, 1, SHAPE) + fixed.normal(0, 1, (1, SHAPE[1]))
    sigma = 2.5 + fixed.exponential(0.6, SHAPE)
    flicker = fixed.random(SHAPE) < 0.01
    frames = rng.normal(mean, sigma, (n, *SHAPE)) + 25 * flicker * (rng.random((n, *SHAPE)) < 0.3)
    frames += (
        rng.normal(0, 1.0, (n, SHAPE[0], 1)) + rng.normal(0, 0.5, (n, 1, SHAPE[1])) + rng.normal(0, 1.5, (n, 1, 1))
    )
    for frame in frames:
        frame[rng.integers(0, SHAPE[0], 5), rng.integers(0, SHAPE[1], 5)] = 2000
    return np.rint(np.clip(frames, 0, 65535)).astype(np.uint16)


def spot(photons: float, width: float, row: float = 150.0, col: float = 200.0) -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    shape = np.exp(-((y - row) ** 2 + (x - col) ** 2) / (2 * width**2))
    return photons * shape / shape.sum()


@pytest.fixture(scope="module")
def model() -> PedestalModel:
    return PedestalModel.fit(realistic(60, 1))


def test_realistic_pedestals_pass(model: PedestalModel) -> None:
    model.check_pedestals(CameraFrames.from_array(realistic(40, 2)))
    model.check_pedestals([realistic(5, 3), realistic(1, 4)[0]])


@pytest.mark.parametrize("width", [3.0, 6.0])
@pytest.mark.parametrize("kev", [1.0, 5.9])
def test_spots_are_found_where_they_are(model: PedestalModel, kev: float, width: float) -> None:
    """1,700 counts a keV (LIME); 0.5 keV and less may pass."""
    for seed in range(5):
        frame = (realistic(1, 10 + seed)[0] + np.rint(spot(1700 * kev, width))).astype(np.uint16)
        reason = model.signal_like(frame)
        assert reason.startswith("light around row ")
        row, col = (int(word.strip(",")) for word in reason.split()[3:6:2])
        assert abs(row - 150) < 6
        assert abs(col - 200) < 6


def test_a_faint_straight_track_is_found(model: PedestalModel) -> None:
    """A minimum ionising particle: 2.4 keV/cm, 0.15 mm a pixel, 61 counts a pixel of length."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    distance = (y - 40 - 0.5 * x) / np.hypot(1, 0.5)
    track = 61 * np.exp(-(distance**2) / 50) / (5 * np.sqrt(2 * np.pi))
    assert model.signal_like((realistic(1, 20)[0] + np.rint(track)).astype(np.uint16)).startswith("light around")


def test_sparks_and_light_everywhere(model: PedestalModel) -> None:
    frame = realistic(1, 30)[0].astype(np.int64)
    spark = frame.copy()
    spark[:, :60] += 700
    assert model.signal_like(spark).startswith("a spark, with")
    assert model.signal_like(frame + 30).startswith("a level +")
    assert model.signal_like(np.maximum(frame - 40, 0)).startswith("a level -")
    assert model.signal_like(frame) == ""


def test_the_spark_veto_is_that_of_the_reconstruction() -> None:
    """sum > 200 npix + 9e6 on 2304 x 2304 px at a pedestal of 100: 101.695 counts a pixel above it."""
    shape = (64, 64)
    nothing = np.zeros(shape, bool)
    model = PedestalModel(np.full(shape, 100.0), np.full(shape, 3.0), nothing, nothing, np.zeros(10))
    frame = np.full(shape, 201.69)
    assert model.signal_like(frame).startswith("a level")
    assert model.signal_like(frame + 0.01).startswith("a spark")


def test_the_first_frame_that_is_none_is_named(model: PedestalModel) -> None:
    frames = realistic(6, 40)
    frames[4] = np.rint(frames[4] + spot(17_000, 4)).astype(np.uint16)
    with pytest.raises(
        InputError, match=r"run, frame 4 is no pedestal: it has light around row 1\d\d, .*; leave it out"
    ):
        model.check_pedestals(CameraFrames.from_array(frames, source="run")[1:])
    with pytest.raises(InputError, match=r"^frame 4 is no pedestal"):
        model.check_pedestals(frames)
    model.check_pedestals(frames[:4])


def test_a_robust_fit_finds_the_signal_in_its_own_frames() -> None:
    frames = realistic(40, 50)
    frames[7] = np.rint(frames[7] + spot(10_000, 5)).astype(np.uint16)
    with pytest.raises(InputError, match="frame 7 is no pedestal"):
        PedestalModel.fit(frames).check_pedestals(frames)
