from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from particle_zoo import InputError
from particle_zoo.detectors.camera import (
    FINDERS,
    Calibration,
    Finder,
    MatchedFilter,
    OnlineTrigger,
    RegionFinder,
    calibrate,
    describe,
    finder_from_dict,
)

SHAPE = (150, 200)


def unequal(seed: int = 0) -> np.ndarray:
    """Noise of a camera: most pixels near 3 counts, some of 10 to 40."""
    rng = np.random.default_rng(seed)
    sigma = 3 * np.exp(0.3 * rng.standard_normal(SHAPE))
    noisy = rng.random(SHAPE) < 0.03
    return np.where(noisy, rng.uniform(10, 40, SHAPE), sigma).astype(np.float32)


def noise(sigma: np.ndarray, seed: int) -> np.ndarray:
    return (sigma * np.random.default_rng((seed, 1)).standard_normal(SHAPE)).astype(np.float32)


def spot(width: float, row: float = 70.0, col: float = 90.0) -> np.ndarray:
    """1 at its top."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.exp(-((y - row) ** 2 + (x - col) ** 2) / (2 * width**2)).astype(np.float32)


@pytest.mark.parametrize(("width", "binning"), [(2.0, 1), (4.0, 1), (4.0, 2)])
def test_noise_has_unit_variance_everywhere(width: float, binning: int) -> None:
    sigma, veto = unequal(), np.random.default_rng(7).random(SHAPE) < 0.02
    finder = MatchedFilter(widths=(width,), binning=binning)
    scores = np.stack([finder.score(noise(sigma, seed), sigma, veto) for seed in range(60)])
    rms = np.sqrt((scores**2).mean(axis=0))
    assert np.sqrt((scores**2).mean()) == pytest.approx(1, rel=0.02)
    # 60 frames know each pixel to 9 %; the outermost pixels have a quarter to a half of a template.
    edge = np.concatenate([rms[0], rms[-1], rms[:, 0], rms[:, -1], rms[[0, 0, -1, -1], [0, -1, 0, -1]]])
    assert np.sqrt((edge**2).mean()) == pytest.approx(1, rel=0.06)
    assert 0.55 < rms.min() < rms.max() < 1.6


def test_a_spot_has_the_significance_of_the_best_linear_filter() -> None:
    sigma, veto = unequal(), np.zeros(SHAPE, bool)
    veto[65:69, 85:93] = True
    for row, col in ((70, 90), (0, 0), (149, 100)):
        shape = spot(4.0, row, col)
        ideal = 20 * np.sqrt(np.where(veto, 0, shape**2 / sigma**2).sum(dtype=np.float64))
        score = MatchedFilter(widths=(4.0,)).score(20 * shape, sigma, veto)
        assert score[row, col] == pytest.approx(ideal, rel=1e-4)
        assert score.max() <= ideal * (1 + 1e-4), "no linear filter of any place has more"
        both = MatchedFilter(widths=(4.0, 8.0)).score(20 * shape, sigma, veto)
        assert (both >= score).all()


def test_vetoed_pixels_do_not_count() -> None:
    sigma, image = unequal(), noise(unequal(), 1)
    veto = np.zeros(SHAPE, bool)
    veto[40, 50] = veto[100:140, 100:140] = True
    hot = np.where(veto, np.float32(1e4), image)
    finder = MatchedFilter()
    score = finder.score(hot, sigma, veto)
    assert_array_equal(score, finder.score(np.where(veto, np.float32(-7), image), np.where(veto, 1, sigma), veto))
    assert score.max() < 7
    assert score[120, 120] == 0, "nothing but vetoed pixels in reach"
    assert finder.score(hot, sigma)[40, 50] > 100


def test_it_tells_faint_spots_from_unequal_noise_better_than_a_plain_gaussian() -> None:
    sigma = unequal()
    places = [(row, col) for row in range(20, 140, 30) for col in range(20, 190, 30)]
    light = sum((spot(4.0, *place) for place in places), start=np.zeros(SHAPE, np.float32))
    matched, plain = MatchedFilter(widths=(4.0,)), RegionFinder(mode="positive", smoothing=4.0)
    zscored = RegionFinder(mode="zscore", smoothing=4.0)

    def found(finder: Finder) -> float:
        highest = [float(finder.score(noise(sigma, seed), sigma).max()) for seed in range(10, 30)]
        threshold = np.median(highest)
        scores = [finder.score(noise(sigma, seed) + 2.5 * light, sigma) for seed in range(10)]
        return float(np.mean([score[place] >= threshold for score in scores for place in places]))

    assert found(matched) > 0.9
    assert found(plain) < 0.3
    assert found(matched) > found(zscored) > found(plain)


def test_blocks_have_the_scores_of_their_pixels() -> None:
    sigma = np.full((30, 41), 3.0, np.float32)
    image = np.zeros((30, 41), np.float32)
    image[8:12, 20:24] = 12
    score = MatchedFilter(widths=(4.0,), binning=4).score(image, sigma)
    assert score.shape == (8, 11)
    assert np.unravel_index(score.argmax(), score.shape) == (2, 5)
    half = np.exp(-0.5 * np.arange(-4, 5) ** 2)
    expected = 12 * 16 / 9 / np.sqrt(16 / 9 * (half[2:] ** 2).sum() * (half**2).sum())
    assert score.max() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "finder", [MatchedFilter(widths=(2.0, 5.5), min_area=4), RegionFinder(mode="positive"), OnlineTrigger(blur=6.0)]
)
def test_a_finder_comes_back_from_its_description(finder: Finder) -> None:
    described = describe(finder)
    assert finder_from_dict(described) == finder
    assert finder_from_dict(json.loads(json.dumps(described))) == finder
    assert type(finder).__name__ in FINDERS


def test_a_calibration_survives_json_with_its_finder(tmp_path: Any) -> None:
    finder, sigma = MatchedFilter(), unequal()
    made = calibrate(finder, (finder.score(noise(sigma, seed), sigma) for seed in range(10)), (1.0,))
    loaded = Calibration.load(made.save(tmp_path / "calibration.json"))
    again = finder_from_dict(loaded.finder)
    loaded.check(again)
    assert again == finder
    assert loaded.threshold(1.0) == made.threshold(1.0)
    with pytest.raises(InputError, match="widths"):
        loaded.check(MatchedFilter(widths=(3.0,)))


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"kind": "Magic"}, "a finder has a kind, one of MatchedFilter, RegionFinder, OnlineTrigger"),
        ({"widths": [3.0]}, "received {'widths'"),
        ({"kind": "MatchedFilter", "blur": 2}, "MatchedFilter has no setting 'blur'"),
        ({"kind": "MatchedFilter", "widths": []}, "widths must be a list of numbers"),
        ({"kind": "MatchedFilter", "widths": [3, 0]}, "widths must be px above 0"),
        ({"kind": "MatchedFilter", "widths": "36"}, "widths must be a list of numbers"),
    ],
)
def test_descriptions_that_cannot_be(described: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        finder_from_dict(described)


def test_what_the_filter_needs() -> None:
    image = np.zeros(SHAPE, np.float32)
    with pytest.raises(InputError, match="give the sigma of a PedestalModel"):
        MatchedFilter().score(image)
    with pytest.raises(InputError, match="sigma has 150 x 199 px"):
        MatchedFilter().score(image, image[:, 1:] + 1)
    image[3, 4] = np.inf
    with pytest.raises(InputError, match=r"pixel \(row 3, col 4\)"):
        MatchedFilter().score(image, np.ones(SHAPE))
    assert_allclose(MatchedFilter().score(np.zeros(SHAPE), np.zeros(SHAPE)), 0)
