from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from particle_zoo import InputError
from particle_zoo.detectors.camera import Calibration, Finder, OnlineTrigger, PedestalModel, RegionFinder, calibrate
from particle_zoo.detectors.camera.area_opening import opened, steps
from particle_zoo.simulation import optical_tpc
from tests.detectors.damage import broken, damages, fuzzed

SHAPE = (128, 160)
FINDER = RegionFinder(mode="positive", smoothing=2.0, dilation=3, merge=2)


def noise(n: int, seed: int, shape: tuple[int, int] = SHAPE) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 3.3, shape).astype(np.float32) for _ in range(n))


def scores(n: int, seed: int, finder: Finder = FINDER) -> Iterator[np.ndarray]:
    return (finder.score(image) for image in noise(n, seed))


def regions_per_frame(
    finder: Finder, maps: list[np.ndarray], threshold: float, shape: tuple[int, int] = SHAPE
) -> float:
    return float(np.mean([len(finder.regions(score, threshold, np.zeros(shape))) for score in maps]))


@given(
    seed=st.integers(0, 10**6),
    min_area=st.integers(1, 20),
    dilation=st.integers(0, 6),
    merge=st.integers(0, 9),
    binning=st.integers(1, 3),
)
@settings(max_examples=40, deadline=None)
def test_regions_are_counted_as_they_are_found(
    seed: int, min_area: int, dilation: int, merge: int, binning: int
) -> None:
    rng = np.random.default_rng(seed)
    finder = RegionFinder(
        mode="positive", smoothing=float(rng.choice([0, 1])), min_area=min_area, dilation=dilation, merge=merge, binning=binning
    )  # fmt: skip
    image = np.round(rng.normal(0, 3, (rng.integers(3, 50), rng.integers(3, 50))), int(rng.integers(0, 3)))
    score = finder.score(image)
    levels, counts, _ = steps(opened(score, finder.min_blocks)[0], finder.link)
    assert (np.diff(levels) < 0).all()
    for threshold in np.unique(score)[:: max(1, score.size // 15)]:
        passed = np.count_nonzero(levels >= threshold)
        found = len(finder.regions(score, threshold, image))
        assert found == (counts[passed - 1] if passed else 0)


@pytest.mark.parametrize(
    "finder",
    [
        FINDER,
        RegionFinder(mode="absolute", smoothing=2.0, min_area=12),
        RegionFinder(mode="positive", smoothing=3.0, binning=4, min_area=40),
        OnlineTrigger(blur=3.0, kernel=15, dilation=8),
    ],
    ids=["positive", "absolute with an area", "binned", "trigger"],
)
def test_the_frames_themselves_have_at_most_the_rate(finder: Finder) -> None:
    maps = list(scores(50, 1, finder))
    calibration = calibrate(finder, iter(maps), (0.1, 0.5, 1.0))
    for rate, threshold in calibration.thresholds.items():
        assert regions_per_frame(finder, maps, threshold) == pytest.approx(rate)
        below = float(np.nextafter(np.float32(threshold), np.float32(-np.inf)))
        assert regions_per_frame(finder, maps, below) > rate
        assert calibration.rate(threshold) == pytest.approx(rate)
        assert calibration.rate(below) == regions_per_frame(finder, maps, below)


@pytest.fixture(scope="module")
def dark() -> tuple[PedestalModel, list[np.ndarray]]:
    """A pedestal, and residuals of 500 other frames of its run; realistic noise at the nominal level."""
    shape, fitted = (96, 128), 60
    model = PedestalModel.fit(optical_tpc.pedestals(n=fitted, seed=7, shape=shape), common_mode=True)
    return model, [model.subtract(x) for x in optical_tpc.pedestals(n=500, seed=7, shape=shape, start=fitted)]


@pytest.mark.parametrize("mode", ["zscore", "positive", "absolute"])
def test_fresh_pedestals_have_the_rate_within_a_factor_of_two(
    dark: tuple[PedestalModel, list[np.ndarray]], mode: str
) -> None:
    model, residuals = dark
    finder = RegionFinder(mode=mode, smoothing=3.0, dilation=5, merge=5)
    maps = [finder.score(residual, model.sigma, model.masked) for residual in residuals]
    calibration = calibrate(finder, maps[:250], (0.1, 1.0))
    for rate, threshold in calibration.thresholds.items():
        assert rate / 2 <= regions_per_frame(finder, maps[250:], threshold, model.shape) <= 2 * rate


def test_changing_the_rate_takes_no_frames() -> None:
    calibration = calibrate(FINDER, scores(60, 2), (1.0,))
    for rate in (0.1, 0.3, 2.5):
        assert calibration.threshold(rate) == calibrate(FINDER, scores(60, 2), (rate,)).threshold(rate)
    rates = np.linspace(0.1, 5, 20)
    thresholds = [calibration.threshold(rate) for rate in rates]
    assert (np.diff(thresholds) <= 0).all()
    assert thresholds[0] > thresholds[-1]


def test_frames_dropped_on_the_way_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = calibrate(FINDER, scores(40, 3), (0.5,))
    monkeypatch.setattr("particle_zoo.detectors.camera.region_calibration.OFTEN", 7)
    parts = calibrate(FINDER, scores(40, 3), (0.5,))
    n = min(len(whole.levels), len(parts.levels))
    assert n >= 5 * 0.5 * 40
    assert_array_equal(whole.levels[:n], parts.levels[:n])


def test_memory_does_not_grow_with_frames() -> None:
    def peak(n: int) -> float:
        tracemalloc.start()
        try:
            calibrate(FINDER, scores(n, 4), (0.5,))
            return tracemalloc.get_traced_memory()[1] / (4 * SHAPE[0] * SHAPE[1])
        finally:
            tracemalloc.stop()

    peak(10)
    few, many = peak(10), peak(60)
    assert many < few + 3, "in maps of float32; 50 more of them would be 50"


def test_too_few_frames_for_a_rate() -> None:
    with pytest.raises(InputError, match=r"a rate of 0\.1 regions a frame takes 50 frames, .*; received 49"):
        calibrate(FINDER, scores(49, 5), (1.0, 0.1))
    calibration = calibrate(FINDER, scores(50, 5), (1.0, 0.1))
    with pytest.raises(InputError, match=r"0\.09 regions a frame takes 56 frames, .*; received 50"):
        calibration.threshold(0.09)


def test_what_was_not_counted_is_not_guessed() -> None:
    calibration = calibrate(FINDER, scores(50, 5), (0.1,))
    with pytest.raises(InputError, match=r"down to 1\.02 regions a frame, 5 are more; ask for fewer"):
        calibration.threshold(5)
    with pytest.raises(InputError, match="regions were counted above a score of"):
        calibration.rate(calibration.floor)
    with pytest.raises(
        InputError, match="these frames have 0 regions each at any threshold that was looked at, 1 are more"
    ):
        calibrate(FINDER, [np.zeros(SHAPE)] * 10, (1.0,))


def test_thresholds_belong_to_a_finder() -> None:
    calibration = calibrate(FINDER, scores(10, 6), (1.0,))
    calibration.check(RegionFinder.from_dict(FINDER.to_dict()))
    other = RegionFinder(mode="positive", smoothing=2.0, dilation=4, merge=2)
    with pytest.raises(InputError, match="calibrated with dilation = 3, the finder has 4; calibrate again"):
        calibration.check(other)
    with pytest.raises(InputError, match="calibrated with blur = None, the finder has 8"):
        calibration.check(OnlineTrigger())


@pytest.mark.parametrize(
    ("maps", "rates", "message"),
    [
        ([], (1.0,), "received no frame"),
        ([np.zeros((3, 4))], (), "rates must be regions a frame"),
        ([np.zeros((3, 4))], (0.0,), "rates must be regions a frame"),
        ([np.zeros((3, 4))], "1", "rates must be regions a frame"),
        ([np.zeros((3, 4)), np.zeros((4, 3))], (1.0,), r"one shape, \(3, 4\); received \(4, 3\)"),
        ([np.zeros((3, 4)), np.full((3, 4), np.nan)], (1.0,), "the scores of frame 1 hold values that are no numbers"),
    ],
)
def test_scores_that_cannot_be(maps: list[np.ndarray], rates: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        calibrate(FINDER, maps, rates)


def test_saved_calibrations_come_back(tmp_path: Path) -> None:
    calibration = calibrate(FINDER, scores(20, 8), (0.5, 2.0))
    back = Calibration.load(calibration.save(tmp_path / "deep" / "thresholds.json"))
    assert back.thresholds == calibration.thresholds
    assert_array_equal(back.levels, calibration.levels)
    assert (back.floor, back.n_frames, back.rates) == (calibration.floor, 20, (0.5, 2.0))
    back.check(FINDER)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["thresholds.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 9}, "version 9, this library reads 1"),
        ({"levels": [1.0, 2.0]}, "numbers that do not rise"),
        ({"levels": [1.0, None]}, "levels of a calibration must be numbers|no calibration of regions"),
        ({"floor": 50.0}, "the floor of a calibration must be below"),
        ({"n_frames": 0}, "one frame or more; received 0"),
        ({"rates": [-1]}, "rates above 0"),
        ({"finder": 3}, "has the settings of a finder"),
        ({"levels": [10**400]}, "no calibration of regions"),
    ],
)
def test_files_that_are_no_calibrations(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = calibrate(FINDER, scores(20, 8), (0.5,)).save(tmp_path / "c.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=rf"c\.json: .*({message})"):
        Calibration.load(path)


def test_a_field_that_is_missing_is_named(tmp_path: Path) -> None:
    path = calibrate(FINDER, scores(20, 8), (0.5,)).save(tmp_path / "c.json")
    values = json.loads(path.read_text())
    del values["floor"]
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=r"c\.json: a calibration of regions has 'floor'"):
        Calibration.load(path)


@given(**damages)
@settings(fuzzed, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_calibrations_are_one_sentence(tmp_path: Path, cut: int, flips: list[tuple[int, int]]) -> None:
    source = tmp_path / "whole.json"
    if not source.exists():
        Calibration({"kind": "RegionFinder"}, np.array([3.5, 2.25, 2.0]), 1.5, 10, (0.5,)).save(source)
    path = tmp_path / "c.json"
    path.write_bytes(broken(source.read_bytes(), cut, flips))
    message = ""
    try:
        assert Calibration.load(path).n_frames > 0
    except InputError as error:
        message = str(error)
    assert not message or "c.json" in message
    assert "\n" not in message
