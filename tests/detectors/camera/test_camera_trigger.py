from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import convolve

from particle_zoo import InputError
from particle_zoo.detectors.camera import OnlineTrigger
from particle_zoo.detectors.camera.trigger import THRESHOLD

SHAPE = (150, 200)
LAPLACIAN = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]])


def residual(seed: int, noise: float = 3.3) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, noise, SHAPE).astype(np.float32)


def spot(counts: float, width: float, row: float = 70.0, col: float = 90.0) -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    shape = np.exp(-((y - row) ** 2 + (x - col) ** 2) / (2 * width**2))
    return (counts * shape / shape.sum()).astype(np.float32)


def step_by_step(image: np.ndarray) -> np.ndarray:
    """The mask of the program, as its description says, with loops over neighbours and two-dimensional kernels."""
    spark = convolve(image, LAPLACIAN, mode="constant") >= 400
    dilated = np.zeros_like(spark)
    for row, col in np.argwhere(spark):
        dilated[max(row - 1, 0) : row + 2, max(col - 1, 0) : col + 2] = True
    half = np.arange(-13, 14)
    kernel = np.exp(-(half[:, None] ** 2 + half**2) / (2 * 8.0**2))
    blurred = convolve(np.where(dilated, 0, image).astype(np.float64), kernel / kernel.sum(), mode="constant")
    mask = np.zeros_like(spark)
    for row, col in np.argwhere(blurred >= 0.5):
        mask[max(row - 20, 0) : row + 21, max(col - 20, 0) : col + 21] = True
    return mask


@pytest.mark.parametrize("seed", range(3))
def test_the_mask_is_that_of_the_description(seed: int) -> None:
    image = residual(seed) + spot(1500, 4) + spot(3000, 5, 5, 195)
    image[40, 120] = 900
    image[149, 0] = 60
    trigger = OnlineTrigger()
    mask = trigger.regions(trigger.score(image), THRESHOLD, image).mask
    expected = step_by_step(image)
    assert_array_equal(mask, expected)
    assert 0.02 < expected.mean() < 0.5


def test_a_spark_is_a_pixel_fifty_counts_above_its_neighbours() -> None:
    image = np.zeros(SHAPE, np.float32)
    image[20, 30], image[60, 70] = 50, 49.9
    sparks = OnlineTrigger().sparks(image)
    assert_array_equal(np.argwhere(sparks), [(row, col) for row in (19, 20, 21) for col in (29, 30, 31)])
    image[0, 0] = 50
    assert OnlineTrigger().sparks(image)[:2, :2].all(), "beyond the border is nothing"


def test_light_is_no_spark() -> None:
    assert not OnlineTrigger().sparks(spot(10_000, 2.4)).any()


def test_hot_pixels_leave_nothing_and_a_lower_one_does() -> None:
    image = np.zeros(SHAPE, np.float32)
    image[20, 30] = 3000
    assert not OnlineTrigger().score(image).any()
    image[20, 30] = 45
    assert OnlineTrigger().score(image).max() == pytest.approx(45 * OnlineTrigger().score(np.eye(1)).item(), rel=1e-5)


def test_the_kernel_is_normalised_and_cut_off() -> None:
    image = np.zeros(SHAPE, np.float32)
    image[70, 90] = 40
    score = OnlineTrigger().score(image)
    assert score.sum() == pytest.approx(40, rel=1e-5)
    assert_array_equal(np.argwhere(score).min(0), [57, 77])
    assert_array_equal(np.argwhere(score).max(0), [83, 103])
    assert score[70, 98] / score[70, 90] == pytest.approx(np.exp(-0.5), rel=1e-5)


def test_blurring_divides_white_noise_by_twenty_four() -> None:
    """An unlimited Gaussian of 8 px would by 28; cut off at 13 px its kernel is narrower."""
    score = OnlineTrigger().score(np.random.default_rng(1).normal(0, 3.3, (600, 600)))
    half = np.arange(-13, 14)
    kernel = np.exp(-0.5 * (half / 8) ** 2)
    assert 1 / np.sum((kernel / kernel.sum()) ** 2) == pytest.approx(24, abs=0.5)
    assert score[20:-20, 20:-20].std() == pytest.approx(3.3 / 24, rel=0.08)


def test_half_a_kev_in_white_noise_is_kept_and_a_dark_frame_is_empty() -> None:
    """850 counts are 0.5 keV in LIME; spots of 3 and 6 px."""
    trigger = OnlineTrigger()
    for seed, width in ((1, 3.0), (2, 6.0)):
        light = spot(850, width)
        dark = residual(seed)
        regions = trigger.regions(trigger.score(dark + light), 0.6, dark + light)
        assert len(regions) == 1
        assert light[regions.mask].sum() > 0.95 * light.sum()
        assert len(trigger.regions(trigger.score(dark), 0.6, dark)) == 0


def test_vetoed_pixels_are_set_to_zero() -> None:
    image, veto = residual(1), np.zeros(SHAPE, bool)
    veto[10:20, 30:40] = True
    assert_allclose(OnlineTrigger().score(image, veto=veto), OnlineTrigger().score(np.where(veto, 0, image)))


def test_settings_come_back() -> None:
    trigger = OnlineTrigger(dilation=5, blur=4.0, kernel=13, spark=200.0)
    assert OnlineTrigger.from_dict(trigger.to_dict()) == trigger
    assert OnlineTrigger.from_dict({}) == OnlineTrigger(
        min_area=1, dilation=20, merge=0, spark=400.0, blur=8.0, kernel=27
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"binning": 4}, "single pixels, binning 1; received 4"),
        ({"kernel": 26}, "kernel must be an odd number of px; received 26"),
        ({"blur": 0}, "blur must be a number above 0; received 0"),
        ({"spark": float("nan")}, "spark must be a number above 0; received nan"),
        ({"dilation": -1}, "dilation must be a whole number of 0 or more px; received -1"),
    ],
)
def test_settings_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        OnlineTrigger(**options)


def test_arrays_that_cannot_be() -> None:
    with pytest.raises(InputError, match="hold"):
        OnlineTrigger().score(np.full(SHAPE, np.inf))
    with pytest.raises(InputError, match=r"received an array of shape \(3,\)"):
        OnlineTrigger().score(np.zeros(3))
    with pytest.raises(InputError, match="veto has 3 x 3 px, the residual 150 x 200 px"):
        OnlineTrigger().score(residual(1), veto=np.zeros((3, 3), bool))
