from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import normaltest

from particle_zoo import InputError
from particle_zoo.detectors.camera import CameraFrames, PedestalModel, open_frames, remove_common_mode
from particle_zoo.detectors.camera.pedestal_fit import omnibus
from tests.detectors.camera.camera_files import write_his
from tests.detectors.damage import broken, damages

SHAPE = (120, 150)
fuzzed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def white(n: int = 100, sigma: float = 3.0, level: float = 100.0, seed: int = 1) -> np.ndarray:
    return np.rint(np.random.default_rng(seed).normal(level, sigma, (n, *SHAPE))).astype(np.uint16)


@pytest.fixture(scope="module")
def fitted() -> PedestalModel:
    return PedestalModel.fit(white())


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


@pytest.mark.parametrize("robust", [True, False])
def test_a_hundred_frames_give_the_pedestal_to_a_tenth_of_its_noise(robust: bool) -> None:
    """The mean is known to sigma / sqrt(100) = 0.3 counts, sigma to 1 / sqrt(200) = 7 %."""
    model = PedestalModel.fit(white(), robust=robust)
    assert 0.25 < rms(model.mean - 100) <= 0.35
    assert 0.05 < rms(model.sigma / 3 - 1) <= 0.08
    assert (model.n_frames, model.shape, model.mean.dtype, model.sigma.dtype) == (100, SHAPE, np.float32, np.float32)
    assert model.hot.sum() == 0
    assert model.rtn.mean() < 1e-3


def test_without_outliers_it_is_the_mean_and_the_standard_deviation() -> None:
    frames = white(30)
    for robust in (True, False):
        model = PedestalModel.fit(frames, robust=robust, clip=50.0)
        assert_allclose(model.mean, frames.mean(0), atol=1e-4)
        assert_allclose(model.sigma, frames.std(0, ddof=1), atol=1e-4)


def test_rare_light_stays_out_of_a_robust_fit() -> None:
    frames = white()
    frames[20, 30:50, 40:60] += 60
    frames[[3, 70], 5, 5] = 40_000
    frames[0, 100, 100] = 3000
    bright = np.zeros(SHAPE, bool)
    bright[30:50, 40:60] = bright[5, 5] = bright[100, 100] = True
    plain, robust = PedestalModel.fit(frames, robust=False), PedestalModel.fit(frames)
    assert rms(robust.mean[bright] - 100) < 0.4
    assert rms(robust.sigma[bright] / 3 - 1) < 0.1
    assert (plain.sigma[bright] > 5).all()
    assert plain.mean[5, 5] > 800
    assert not robust.hot.any()
    assert robust.rtn[bright].mean() < 0.01


def test_telegraph_noise_and_hot_pixels_are_masked() -> None:
    rng = np.random.default_rng(7)
    frames, telegraph = white(), np.zeros(SHAPE, bool)
    telegraph[4::10, 4::10] = True
    for duty in (0.05, 0.2, 0.4):
        noisy = frames.copy()
        noisy[:, telegraph] += (25 * (rng.random((100, telegraph.sum())) < duty)).astype(np.uint16)
        model = PedestalModel.fit(noisy)
        assert model.rtn[telegraph].mean() > 0.85, duty
        assert model.rtn[~telegraph].mean() < 1e-3
        if duty > 0.1:
            # What belongs to the pixel is not left out of its noise.
            assert_allclose(model.sigma[telegraph].mean(), np.sqrt(9 + 625 * duty * (1 - duty)), rtol=0.05)
    # Noisier but Gaussian is no telegraph noise.
    wide = frames.copy()
    wide[:, telegraph] = np.rint(rng.normal(100, 7, (100, telegraph.sum())))
    assert PedestalModel.fit(wide).rtn[telegraph].mean() < 0.03
    frames[:, 60, 60] += 400
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    frames += np.rint(400 * np.exp(-((y - 80) ** 2 + (x - 20) ** 2) / 72)).astype(np.uint16)  # glow
    model = PedestalModel.fit(frames)
    assert np.argwhere(model.hot).tolist() == [[60, 60]]


def test_iterables_files_and_chunks_give_the_same(tmp_path: Path) -> None:
    frames = white(25)
    whole = PedestalModel.fit(frames)
    chunks = (part for part in np.array_split(frames, 4))
    lazy = open_frames(write_his(tmp_path / "a.his", frames))
    for other in (chunks, list(frames), CameraFrames.from_array(frames), lazy, lazy.chunks(7)):
        model = PedestalModel.fit(other)
        for name in ("mean", "sigma", "hot", "rtn", "level"):
            assert_array_equal(getattr(model, name), getattr(whole, name), name)


def test_memory_does_not_grow_with_the_run() -> None:
    def peak(n: int) -> int:
        rng = np.random.default_rng(1)
        stream: Iterator[np.ndarray] = (rng.integers(90, 110, SHAPE).astype(np.uint16) for _ in range(n))
        tracemalloc.start()
        PedestalModel.fit(stream)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(20)
    assert peak(300) < 1.1 * peak(40)


def test_the_drift_of_a_run_is_told_and_does_not_hide_outliers() -> None:
    drift = 40 * np.linspace(0, 1, 100)
    frames = np.rint(white().astype(float) + drift[:, None, None]).astype(np.uint16)
    model = PedestalModel.fit(frames)
    assert_allclose(model.level, drift - np.median(drift), atol=1.0)
    assert_allclose(model.mean.mean(), 120, atol=0.5)
    assert model.rtn.mean() < 1e-3


def striped(n: int, seed: int = 5) -> np.ndarray:
    """White noise of 3 counts with rows, columns and a level that shift from frame to frame."""
    rng = np.random.default_rng(seed)
    rows, cols = rng.normal(0, 4, (n, SHAPE[0], 1)), rng.normal(0, 2, (n, 1, SHAPE[1]))
    noise = rng.normal(100, 3, (n, *SHAPE)) + rows + cols + rng.normal(0, 3, (n, 1, 1))
    return np.rint(noise).astype(np.uint16)


def test_common_mode_is_removed_before_the_fit_and_afterwards() -> None:
    frames = striped(100)
    plain, model = PedestalModel.fit(frames), PedestalModel.fit(frames, common_mode=True)
    assert plain.noise == pytest.approx(np.sqrt(9 + 16 + 4 + 9), rel=0.05)
    assert model.noise == pytest.approx(3, rel=0.05)
    fresh = striped(1, seed=6)[0]
    assert model.subtract(fresh).std() == pytest.approx(3.0, rel=0.06)
    assert model.subtract(fresh, common_mode=False).std() > 4.5
    assert_array_equal(plain.subtract(fresh, common_mode=True), remove_common_mode(fresh - plain.mean))
    assert model.normalise(fresh).std() == pytest.approx(1.0, rel=0.08)


def test_common_mode_leaves_a_track_alone() -> None:
    track = np.zeros((60, 80), np.float32)
    track[20:24, 10:40] = 50
    rows, cols = np.arange(60)[:, None] % 5, np.arange(80)[None] % 3
    assert_allclose(remove_common_mode(track + rows + 7), track, atol=1e-4)
    # Bright pixels move the median of their row within the spread of the columns.
    assert_allclose(remove_common_mode(track + rows + cols), track, atol=1.01)


def test_normalise_masks_and_clips(fitted: PedestalModel) -> None:
    hot = np.zeros(SHAPE, bool)
    hot[3, 4] = True
    model = PedestalModel(np.full(SHAPE, 100), np.where(hot, 0, 2), hot, np.roll(hot, 1), np.zeros(10))
    frame = np.full(SHAPE, 104, np.uint16)
    frame[3, 4:6], frame[0, 0], frame[0, 1], frame[1, 1] = 60_000, 60_000, 0, 90
    found = model.normalise(frame, clip=20.0)
    assert found.dtype == np.float32
    assert found[3, 4:6].tolist() == [0, 0]
    assert (found[0, 0], found[0, 1], found[1, 1], found[9, 9]) == (20, -20, -5, 2)
    assert model.normalise(frame, clip=None)[0, 0] == 29950
    assert_array_equal(model.normalise(np.stack([frame, frame]))[1], model.normalise(frame))
    dead = PedestalModel(np.full(SHAPE, 100), np.zeros(SHAPE), ~hot & hot, ~hot & hot, np.zeros(10))
    assert dead.normalise(np.full(SHAPE, 101))[0, 0] == pytest.approx(np.sqrt(12))
    with pytest.raises(InputError, match="clip must be positive"):
        model.normalise(frame, clip=0.0)
    assert fitted.normalise(white(1, seed=9)[0]).std() == pytest.approx(1.0, rel=0.03)


def test_other_sizes_are_named(fitted: PedestalModel) -> None:
    with pytest.raises(InputError, match="the frames have 150 x 120 px, the pedestal 120 x 150 px"):
        fitted.subtract(np.zeros(SHAPE[::-1]))
    with pytest.raises(InputError, match=r"shape \(3,\)"):
        fitted.subtract(np.zeros(3))
    fitted.check((10, *SHAPE))


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        ([], {}, "at least 10 frames; received 0"),
        (white(9), {}, "at least 10 frames; received 9"),
        (white(12), {"skip_first": 5}, "at least 10 frames; received 7 after the first 5"),
        (white(30), {"minimum": 31}, "at least 31 frames; received 30"),
        (np.where(np.arange(12)[:, None, None] == 4, np.nan, white(12)), {}, "frame 4: pixel .* is nan"),
        (white(12) + 0.5, {}, "frame 0: pixel .* is .*5; camera frames hold whole counts"),
        ([*white(12), np.zeros((3, 3), np.uint16)], {}, "frame 12 has 3 x 3 px, those before 120 x 150 px"),
        ([np.zeros(4)], {}, r"shape \(4,\)"),
        (white(12), {"skip_first": -1}, "skip_first must be"),
        (white(12), {"clip": 0}, "clip must be positive"),
        (white(12), {"rtn_chance": 1}, "rtn_chance must be a probability"),
        (white(12), {"minimum": 0}, "minimum must be a whole number"),
    ],
)
def test_what_is_refused(frames: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PedestalModel.fit(frames, **options)


def test_saturated_frames_are_refused_unless_skipped() -> None:
    frames = white(14)
    frames[0] = 65535
    with pytest.raises(InputError, match=r"frame 0 is saturated: 100\.0% of its pixels are at 65535"):
        PedestalModel.fit(frames)
    assert PedestalModel.fit(frames, skip_first=1).n_frames == 13
    frames[:, 0, :5] = 65535
    assert PedestalModel.fit(frames[1:]).mean[0, 0] == 65535


def test_the_normality_test_is_scipys() -> None:
    rng = np.random.default_rng(3)
    values = rng.gamma(2.0, 1.5, (60, 500))
    moments = [np.mean(values**k, 0) for k in (1, 2, 3, 4)]
    assert_allclose(omnibus(np.full(500, 60), *moments), normaltest(values).statistic, rtol=1e-8)
    assert (omnibus(np.full(500, 19), *moments) == 0).all()
    assert omnibus(np.array([50]), *np.array([[2.0], [4.0], [8.0], [16.0]])).tolist() == [0]


def test_saved_pedestals_come_back(tmp_path: Path, fitted: PedestalModel) -> None:
    back = PedestalModel.load(fitted.save(tmp_path / "deep" / "pedestal.npz"))
    for name in ("mean", "sigma", "hot", "rtn", "level", "common_mode"):
        assert_array_equal(getattr(back, name), getattr(fitted, name), name)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["pedestal.npz"]
    with pytest.raises(InputError, match=r"\.npz files; received the name pedestal\.dat"):
        fitted.save(tmp_path / "pedestal.dat")


def test_a_rounded_pedestal_subtracts_the_same_and_takes_less_room(tmp_path: Path) -> None:
    level, width = np.random.default_rng(1).normal([[[100.0]], [[3.5]]], [[[2.0]], [[0.3]]], (2, 96, 96))
    frames = np.random.default_rng(2).normal(level, width, (40, 96, 96)).round().astype(np.uint16)
    fitted = PedestalModel.fit(frames)
    rounded = fitted.rounded()
    # 3.5 / sqrt(40) = 0.55 counts.
    assert (rounded.mean % 0.5 == 0).all()
    assert np.abs(rounded.mean - fitted.mean).max() <= 0.25
    assert np.abs(rounded.sigma - fitted.sigma).max() <= 0.25
    errors = [np.std(pedestal.mean - level) for pedestal in (fitted, rounded)]
    assert errors[0] < errors[1] < 1.045 * errors[0]
    sizes = [p.save(tmp_path / f"{i}.npz").stat().st_size for i, p in enumerate((fitted, rounded))]
    assert sizes[1] < sizes[0] / 2
    assert_array_equal(rounded.rounded().mean, rounded.mean)
    for name in ("hot", "rtn", "level", "common_mode"):
        assert_array_equal(getattr(rounded, name), getattr(fitted, name), name)


def test_rounding_leaves_no_pixel_without_noise_that_has_some(fitted: PedestalModel) -> None:
    sigma = np.full(fitted.shape, 4.0, np.float32)
    sigma[0, :3] = (0, 1e-3, 1e-2)
    rounded = replace(fitted, sigma=sigma).rounded()
    assert rounded.sigma[0, 0] == 0
    assert (rounded.sigma[0, 1:3] > 0).all()


def test_other_files_are_no_pedestals(tmp_path: Path, fitted: PedestalModel) -> None:
    path = tmp_path / "p.npz"
    with pytest.raises(InputError, match=r"p\.npz cannot be read \(No such file"):
        PedestalModel.load(path)
    for content in (b"", b"text", b"\x93NUMPY"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"p\.npz is no intact pedestal file"):
            PedestalModel.load(path)
    np.savez(path, mean=1)
    with pytest.raises(InputError, match=r"p\.npz is no intact pedestal file"):
        PedestalModel.load(path)
    parts = {name: getattr(fitted, name) for name in ("mean", "sigma", "hot", "rtn", "level", "common_mode")}
    np.savez(path, **parts, version=99)
    with pytest.raises(InputError, match="version 99 of pedestal files, this library reads 1"):
        PedestalModel.load(path)
    np.savez(path, **parts | {"sigma": -parts["sigma"]}, version=1)
    with pytest.raises(InputError, match=r"p\.npz .*sigma of a pedestal holds values that are no counts"):
        PedestalModel.load(path)


@given(**damages)
@fuzzed
def test_damaged_pedestal_files_are_one_sentence(tmp_path: Path, cut: int, flips: list[tuple[int, int]]) -> None:
    source = tmp_path / "whole.npz"
    if not source.exists():
        small = np.arange(12.0).reshape(3, 4)
        PedestalModel(small, small, small > 3, small < 0, small[0]).save(source)
    path = tmp_path / "p.npz"
    path.write_bytes(broken(source.read_bytes(), cut, flips))
    message = ""
    try:
        assert PedestalModel.load(path).shape == (3, 4)
    except InputError as error:
        message = str(error)
    assert not message or "p.npz" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"sigma": np.ones((2, 2))}, "sigma of a pedestal has 2 x 2 px, its mean 3 x 4 px"),
        ({"mean": np.ones(3)}, r"mean of a pedestal has the shape \(3,\)"),
        ({"mean": np.full((3, 4), np.nan)}, "mean of a pedestal holds values"),
    ],
)
def test_parts_of_a_pedestal_that_contradict_each_other(parts: dict[str, Any], message: str) -> None:
    good = {"mean": np.ones((3, 4)), "sigma": np.ones((3, 4)), "hot": np.zeros((3, 4)), "rtn": np.zeros((3, 4))}
    with pytest.raises(InputError, match=message):
        PedestalModel(**good | parts, level=np.zeros(4))
