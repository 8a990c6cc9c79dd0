"""What is done in bands and by counting is what NumPy and SciPy do to the whole."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import correlate1d, gaussian_filter

from particle_zoo.detectors.camera import MatchedFilter, PedestalModel, remove_common_mode
from particle_zoo.detectors.camera import bands as bands_module
from particle_zoo.detectors.camera.bands import in_bands
from particle_zoo.detectors.camera.same import Same
from particle_zoo.detectors.camera.smoothing import correlated, gaussian_kernel


@pytest.fixture(params=[1, 3], ids=["one thread", "three threads"])
def bands(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(bands_module, "cores", lambda: request.param)
    monkeypatch.setattr(bands_module, "LEAST", 16)
    return int(request.param)


def by_numpy(residual: np.ndarray) -> np.ndarray:
    left = np.asarray(residual, np.float32) - np.float32(np.median(residual))
    left -= np.median(left, axis=1, keepdims=True)
    left -= np.median(left, axis=0)
    return left


def noise(shape: tuple[int, int], kind: str) -> np.ndarray:
    rng = np.random.default_rng(5)
    image = rng.normal(2.2, 3.3, shape) + rng.normal(0, 2, (shape[0], 1)) + rng.normal(0, 2, shape[1])
    if kind == "whole counts":
        image = np.rint(image)
    elif kind == "half the rows far up":
        image[: shape[0] // 2 + 1] += 1e4
    elif kind == "lit":
        image[rng.random(shape) < 0.2] += 1e5
    elif kind == "constant":
        image[:] = 7.25
    elif kind == "close":
        image = 1e-30 * image
    return image.astype(np.float32)


@pytest.mark.parametrize("shape", [(64, 90), (41, 77), (150, 33), (1, 5), (1, 1), (2, 2)])
@pytest.mark.parametrize("kind", ["noise", "whole counts", "half the rows far up", "lit", "constant", "close"])
def test_medians_are_those_of_numpy(shape: tuple[int, int], kind: str, bands: int) -> None:
    image = noise(shape, kind)
    kept = image.copy()
    assert_array_equal(remove_common_mode(image), by_numpy(image))
    assert_array_equal(image, kept)


def test_medians_of_a_view_and_of_the_tail_of_a_sample(bands: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image = noise((60, 50), "noise")[::-1, ::2].T
    # A sample of three whose values are beside the middle: the whole frame is looked at.
    monkeypatch.setattr("particle_zoo.detectors.camera.common_mode.SAMPLE", 3)
    monkeypatch.setattr("particle_zoo.detectors.camera.common_mode.SIGMAS", 0)
    assert_array_equal(remove_common_mode(image), by_numpy(image))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_frames_with_values_that_are_no_numbers(value: float) -> None:
    image = noise((20, 30), "noise")
    image[3, 4] = value
    assert_array_equal(remove_common_mode(image), by_numpy(image))


@pytest.mark.parametrize("shape", [(60, 700), (7, 5), (1, 40)])
@pytest.mark.parametrize("sigma", [0.1, 0.8, 4.0])
def test_smoothing_is_that_of_scipy(shape: tuple[int, int], sigma: float, bands: int) -> None:
    image = noise(shape, "lit" if sigma == 0.8 else "noise")
    expected = gaussian_filter(image, sigma, mode="constant")
    # Equal on x86; other compilers may fuse a product and a sum.
    assert_allclose(correlated(image, gaussian_kernel(sigma)), expected, rtol=2e-7, atol=1e-7 * np.abs(image).max())


def test_correlation_is_that_of_scipy(bands: int) -> None:
    image, kernel = noise((40, 30), "noise"), np.array([0.5, -1, 3, 7, 3, -1, 0.5])
    expected = correlate1d(correlate1d(image, kernel, axis=0, mode="constant"), kernel, axis=1, mode="constant")
    assert_allclose(correlated(image.T.copy().T, kernel), expected, rtol=2e-7, atol=1e-4)


def test_pedestals_are_subtracted_and_scaled_in_bands(bands: int) -> None:
    rng = np.random.default_rng(6)
    shape = (33, 40)
    sigma = rng.uniform(0, 4, shape).astype(np.float32)
    hot, rtn = rng.random((2, *shape)) < 0.05
    model = PedestalModel(rng.normal(100, 3, shape), sigma, hot, rtn, np.zeros(3))
    for frames in (rng.integers(0, 65536, shape, np.uint16), rng.integers(0, 300, (2, *shape))):
        expected = frames.astype(np.float32) - model.mean
        assert_array_equal(model.subtract(frames), expected)
        expected /= np.maximum(sigma, np.float32(12**-0.5))
        expected[..., hot | rtn] = 0
        assert_array_equal(model.normalise(frames, clip=None), expected)
        assert_array_equal(model.normalise(frames, clip=5.0), np.clip(expected, -5, 5))


def test_bands_make_up_the_whole_in_threads_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bands_module, "cores", lambda: 4)
    together = threading.Barrier(4, timeout=60)
    found: list[tuple[int, int]] = []

    def work(first: int, last: int) -> None:
        together.wait()
        found.append((first, last))

    in_bands(work, 10, 2**17)
    assert [n for pair in sorted(found) for n in range(*pair)] == list(range(10))
    found.clear()
    in_bands(lambda first, last: found.append((first, last)), 10, 2)
    assert found == [(0, 10)], "too few pixels to be worth a thread"


def test_an_error_in_a_band_is_not_lost(bands: int) -> None:
    with pytest.raises(ZeroDivisionError):
        in_bands(lambda first, last: 1 // (first - first), 30, 30)  # type: ignore[arg-type]


def test_arrays_are_keys_by_their_values() -> None:
    array = np.arange(5000.0)
    key = Same(array)
    assert key == Same(array)
    assert hash(key) == hash(Same(array.copy()))
    array[1] = -1
    assert key != Same(array)
    assert key == Same(np.arange(5000.0))
    assert key != Same(np.arange(5000, dtype=np.float32))
    fixed = np.arange(7.0)
    fixed.flags.writeable = False
    assert Same(fixed).array is fixed
    view = array.view()
    view.flags.writeable = False
    assert Same(view).array is not view


def test_the_noise_of_another_camera_is_not_that_of_the_last_frame() -> None:
    image, sigma = noise((40, 50), "noise"), np.full((40, 50), 3, np.float32)
    finder = MatchedFilter(widths=(2.0,))
    before = finder.score(image, sigma)
    sigma *= 2
    assert_allclose(finder.score(image, sigma), before / 2, rtol=1e-5, atol=1e-6)
