from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import binary_dilation, label

from particle_zoo import InputError
from particle_zoo.detectors.camera import PedestalModel, RegionFinder, Regions
from particle_zoo.detectors.camera.regions import REGION_COLUMNS
from particle_zoo.simulation import optical_tpc

compiled = settings(max_examples=40, deadline=None)
BARE: dict[str, Any] = {"mode": "positive", "smoothing": 0.0, "dilation": 0, "merge": 0}


def frame(*spots: tuple[int, int, float], shape: tuple[int, int] = (40, 50)) -> np.ndarray:
    """Squares of 3 x 3 px of equal counts; row and column of the middle."""
    image = np.zeros(shape, np.float32)
    for row, col, counts in spots:
        image[row - 1 : row + 2, col - 1 : col + 2] = counts
    return image


def found(image: np.ndarray, threshold: float = 5.0, **options: Any) -> Regions:
    finder = RegionFinder(**BARE | options)
    return finder.regions(finder.score(image), threshold, image)


def test_two_spots_by_hand() -> None:
    image = frame((10, 20, 10.0), (30, 5, 20.0))
    image[10, 21] = 30
    regions = found(image)
    expected = {
        "row0": [29, 9], "row1": [32, 12], "col0": [4, 19], "col1": [7, 22], "n_pixels": [9, 9],
        "peak": [20.0, 30.0], "peak_row": [29, 10], "peak_col": [4, 21], "integral": [180.0, 110.0],
        "row": [30.5, 10.5], "col": [5.5, 20.5 + 20 / 110],
    }  # fmt: skip
    assert list(regions.table) == list(REGION_COLUMNS) == list(expected)
    for name, values in expected.items():
        assert regions.table[name].tolist() == pytest.approx(values), name
    assert_array_equal(regions.labels, np.where(image > 0, np.where(np.arange(40)[:, None] > 20, 1, 2), 0))
    assert_array_equal(regions.mask, image > 0)
    assert_array_equal(regions.boxes, image > 0)


def test_the_threshold_belongs_to_the_regions() -> None:
    image = frame((10, 20, 5.0))
    assert (len(found(image, 5.0)), len(found(image, np.nextafter(np.float32(5), np.float32(6))))) == (1, 0)


def test_quiet_frames_have_none() -> None:
    regions = found(np.zeros((40, 50), np.float32))
    assert len(regions) == 0
    assert not regions.mask.any()
    assert not regions.boxes.any()
    assert {name: regions.table[name].dtype for name in REGION_COLUMNS} == REGION_COLUMNS
    assert repr(regions) == "Regions(0 in 40 x 50 px, 100.00% discarded)"


def test_diagonal_neighbours_touch() -> None:
    image = np.zeros((9, 9), np.float32)
    image[[2, 3, 6], [2, 3, 3]] = 9
    assert found(image).table["n_pixels"].tolist() == [2, 1]


def test_small_components_are_dropped_before_they_can_be_widened_or_merged() -> None:
    image = frame((10, 10, 10.0), (10, 20, 10.0))
    image[10, 15] = 50
    regions = found(image, min_area=2, dilation=1, merge=4)
    assert len(regions) == 2
    assert regions.table["peak"].tolist() == [10, 10]
    assert found(image, min_area=1, dilation=1, merge=4).table["n_pixels"].tolist() == [59]
    assert found(image, min_area=9).table["n_pixels"].tolist() == [9, 9]
    assert len(found(image, min_area=10)) == 0


@pytest.mark.parametrize(("merge", "count"), [(0, 2), (3, 2), (4, 1), (5, 1)])
def test_gaps_up_to_the_merge_distance_are_bridged(merge: int, count: int) -> None:
    """Columns 9..11 and 16..18: four between them. Diagonally alike."""
    for row in (10, 17):
        regions = found(frame((10, 10, 10.0), (row, 17, 10.0)), merge=merge)
        assert len(regions) == count
        assert regions.table["n_pixels"].sum() == 18, "what lies between is no part of a region"


def test_dilation_is_a_square_inside_the_frame() -> None:
    regions = found(frame((1, 10, 10.0)), dilation=4)
    assert regions.table.loc[0, ["row0", "row1", "col0", "col1"]].tolist() == [0, 7, 5, 16]
    assert regions.table["n_pixels"].tolist() == [7 * 11]


@pytest.mark.parametrize("binning", [1, 2, 4])
def test_boxes_are_in_pixels_of_the_frame_at_any_binning(binning: int) -> None:
    image = np.zeros((42, 51), np.float32)
    image[8:16, 40:48] = 10
    finder = RegionFinder(**BARE | {"binning": binning})
    score = finder.score(image)
    assert score.shape == (-(-42 // binning), -(-51 // binning))
    regions = finder.regions(score, 9.0, image)
    assert regions.table.loc[0, ["row0", "row1", "col0", "col1"]].tolist() == [8, 16, 40, 48]
    assert regions.table["integral"].tolist() == [640]
    assert regions.labels.shape == image.shape
    image[41, 50] = 1000
    assert found(image, 50.0, binning=binning, dilation=3).table["row1"].tolist() == [42]


def test_blocks_are_means_without_vetoed_pixels() -> None:
    image = np.arange(35, dtype=np.float32).reshape(5, 7)
    veto = np.zeros(image.shape, bool)
    veto[0, 0] = veto[2:4, 4:6] = True
    score = RegionFinder(**BARE | {"binning": 2}).score(image, veto=veto)
    assert score[0, 0] == pytest.approx((1 + 7 + 8) / 3)
    assert score[1, 2] == 0
    assert score[0, 3] == pytest.approx((6 + 13) / 2)
    assert score[2, 3] == 34


def test_vetoed_pixels_contribute_nothing() -> None:
    rng = np.random.default_rng(1)
    image = rng.normal(0, 3, (60, 70)).astype(np.float32)
    veto = rng.random(image.shape) < 0.05
    finder = RegionFinder(mode="positive", smoothing=2.0)
    hot = np.where(veto, np.float32(5000), image)
    assert_array_equal(finder.score(hot, veto=veto), finder.score(image, veto=veto))
    assert np.abs(finder.score(hot)).max() > 100


@given(
    level=st.floats(0.01, 50),
    smoothing=st.sampled_from([0.0, 0.7, 3.0]),
    binning=st.integers(1, 3),
    seed=st.integers(0, 99),
)
@compiled
def test_a_flat_residual_scores_flat_whatever_is_vetoed(
    level: float, smoothing: float, binning: int, seed: int
) -> None:
    """Borders and vetoed pixels neither raise nor lower a score: the convolution is normalised."""
    veto = np.random.default_rng(seed).random((31, 37)) < 0.3
    finder = RegionFinder(mode="positive", smoothing=smoothing, binning=binning)
    score = finder.score(np.full((31, 37), level), veto=veto)
    seen = score != 0
    assert_allclose(score[seen], level, rtol=2e-5)
    assert seen.mean() > 0.5


def test_where_nearly_all_is_vetoed_the_score_is_zero() -> None:
    veto = np.zeros((60, 60), bool)
    veto[:, :30] = True
    score = RegionFinder(mode="positive", smoothing=2.0).score(np.ones((60, 60)), veto=veto)
    assert not score[:, :27].any()
    assert_allclose(score[:, 30:], 1, rtol=1e-5)


def test_modes() -> None:
    image = np.array([[-4.0, 2.0], [0.0, 6.0]])
    sigma = np.array([[2.0, 4.0], [1.0, 0.1]])
    assert_array_equal(RegionFinder(mode="absolute", smoothing=0).score(image), np.abs(image))
    assert_array_equal(RegionFinder(mode="positive", smoothing=0).score(image), image)
    zscore = RegionFinder(mode="zscore", smoothing=0).score(image, sigma)
    assert_allclose(zscore, [[-2, 0.5], [0, 6 * 12**0.5]], rtol=1e-6)


@pytest.mark.parametrize("mode", ["positive", "zscore"])
def test_smoothing_averages_noise_away(mode: str) -> None:
    """White noise falls by 2 sqrt(pi) sigma: 14 at 4 px. The mean of its size, 0.8 sigma, stays."""
    image = np.random.default_rng(3).normal(0, 3.3, (400, 400))
    sigma = np.full(image.shape, 3.3)
    scale = 1.0 if mode == "zscore" else 3.3
    inner = RegionFinder(mode=mode).score(image, sigma)[20:-20, 20:-20]
    assert inner.std() == pytest.approx(scale / (2 * np.pi**0.5 * 4), rel=0.1)
    absolute = RegionFinder(mode="absolute").score(image)[20:-20, 20:-20]
    assert absolute.mean() == pytest.approx(3.3 * (2 / np.pi) ** 0.5, rel=0.01)


def test_a_spot_of_two_kev_in_realistic_noise_is_one_region() -> None:
    shape = (256, 256)
    model = PedestalModel.fit(optical_tpc.pedestals(n=60, seed=5, shape=shape), common_mode=True)
    (event,) = optical_tpc.frames(
        n=1, seed=5, shape=shape, start=60, events_per_frame=1, classes=("nr",), energies_kev=(2.0,), z_cm=(25.0,), shutter=False
    )  # fmt: skip
    residual = model.subtract(event.counts)
    finder = RegionFinder(mode="zscore", smoothing=4.0, dilation=8)
    regions = finder.regions(finder.score(residual, model.sigma, model.masked), 0.5, residual)
    assert len(regions) == 1
    where = event.events.iloc[0]
    assert abs(regions.table["row"][0] - where["row"]) < 3
    assert abs(regions.table["col"][0] - where["col"]) < 3
    assert event.signal[regions.mask].sum() > 0.9 * event.signal.sum()


@given(
    seed=st.integers(0, 10**6),
    min_area=st.integers(1, 12),
    dilation=st.integers(0, 4),
    merge=st.integers(0, 5),
    binning=st.integers(1, 3),
)
@compiled
def test_invariants_of_regions(seed: int, min_area: int, dilation: int, merge: int, binning: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 1, (rng.integers(3, 40), rng.integers(3, 40))).astype(np.float32)
    finder = RegionFinder(
        mode="positive", smoothing=float(rng.choice([0, 1])), min_area=min_area, dilation=dilation, merge=merge, binning=binning
    )  # fmt: skip
    score = finder.score(image)
    masks = []
    for threshold in np.quantile(score, [0.5, 0.8, 0.95]):
        regions = finder.regions(score, threshold, image)
        table, mask = regions.table, regions.mask
        masks.append(mask)
        assert table["integral"].is_monotonic_decreasing
        assert table["n_pixels"].sum() == mask.sum()
        assert table["integral"].sum() == pytest.approx(image[mask].sum(dtype=np.float64), abs=1e-4)
        assert (table["peak"] >= np.float32(threshold)).all()
        assert (table["n_pixels"] >= min(min_area, image.size)).all() or binning > 1
        assert not (mask & ~regions.boxes).any()
        for i, row in enumerate(table.to_dict("records")):
            own = np.argwhere(regions.labels == i + 1)
            assert [row["row0"], row["col0"]] == own.min(0).tolist()
            assert [row["row1"], row["col1"]] == (own.max(0) + 1).tolist()
            assert row["row0"] <= row["row"] <= row["row1"]
            assert row["col0"] <= row["col"] <= row["col1"]
            assert regions.labels[row["peak_row"], row["peak_col"]] == i + 1
    assert not (masks[1] & ~masks[0]).any(), "a higher threshold keeps no other pixels"
    assert not (masks[2] & ~masks[1]).any()


@given(seed=st.integers(0, 10**6), min_area=st.integers(1, 30), dilation=st.integers(0, 3), binning=st.integers(1, 3))
@compiled
def test_reach_is_the_mask_at_all_thresholds(seed: int, min_area: int, dilation: int, binning: int) -> None:
    rng = np.random.default_rng(seed)
    image = np.round(rng.normal(0, 2, (50, 60)), 1).astype(np.float32)
    finder = RegionFinder(mode="positive", smoothing=1.0, min_area=min_area, dilation=dilation, binning=binning)
    score = finder.score(image)
    reach = finder.reach(score, (50, 60))
    for threshold in np.quantile(score, [0.91, 0.95, 0.99, 1.0]):
        assert_array_equal(reach >= np.float32(threshold), finder.regions(score, threshold, image).mask)


def test_settings_come_back() -> None:
    finder = RegionFinder(mode="absolute", smoothing=2.5, min_area=7, dilation=3, merge=1, binning=4)
    assert RegionFinder.from_dict(finder.to_dict()) == finder
    with pytest.raises(InputError, match="RegionFinder has no setting 'blur'; it takes min_area, dilation"):
        RegionFinder.from_dict({"blur": 8.0})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "square"}, "mode must be one of absolute, positive, zscore; received 'square'"),
        ({"smoothing": -1}, "smoothing must be px of 0 or more; received -1"),
        ({"smoothing": "4"}, "smoothing must be px"),
        ({"min_area": 0}, "min_area must be a whole number of 1 or more px; received 0"),
        ({"dilation": 2.5}, "dilation must be a whole number of 0 or more px; received 2.5"),
        ({"binning": True}, "binning must be a whole number of 1 or more px; received True"),
    ],
)
def test_settings_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        RegionFinder(**options)


def test_arrays_that_cannot_be() -> None:
    finder, image = RegionFinder(mode="positive", binning=2), np.ones((20, 30))
    bad = image.copy()
    bad[3, 4] = np.nan
    with pytest.raises(InputError, match=r"pixel \(row 3, col 4\) of the residual is nan"):
        finder.score(bad)
    with pytest.raises(InputError, match=r"shape \(2, 20, 30\)"):
        finder.score(np.ones((2, 20, 30)))
    with pytest.raises(InputError, match="veto has 30 x 20 px, the residual 20 x 30 px"):
        finder.score(image, veto=np.zeros((30, 20), bool))
    with pytest.raises(InputError, match="give the sigma of a PedestalModel"):
        RegionFinder().score(image)
    score = finder.score(image)
    with pytest.raises(InputError, match=r"20 x 32 px at binning 2 have the shape \(10, 16\); received \(10, 15\)"):
        finder.regions(score, 0.5, np.ones((20, 32)))
    with pytest.raises(InputError, match="threshold must be a number, in units of the score; received nan"):
        finder.regions(score, float("nan"), image)
    with pytest.raises(InputError, match="the scores hold NaN"):
        finder.regions(np.full((10, 15), np.nan), 0.5, image)
    regions = finder.regions(score, 0.5, image)
    with pytest.raises(InputError, match="received none of the name integral"):
        Regions(regions.table.drop(columns="integral"), regions.labels)
    with pytest.raises(InputError, match=r"labels must be rows and columns of 0\.\.1"):
        Regions(regions.table, 2 * regions.labels)


def at_once(finder: RegionFinder, score: np.ndarray, threshold: float) -> tuple[np.ndarray, int]:
    """The mask and the number of regions, searched in the whole frame."""
    above = score >= np.float32(threshold)
    components, _ = label(above, np.ones((3, 3)))
    above &= np.bincount(components.ravel())[components] >= finder.min_area
    mask = binary_dilation(above, np.ones((2 * finder.dilation + 1,) * 2))
    # An array of zeros around it, so that the larger squares end nowhere.
    wide = binary_dilation(np.pad(mask, finder.merge + 1), np.ones((finder.merge + 1,) * 2))
    return mask, label(wide, np.ones((3, 3)))[1]


@pytest.mark.parametrize("seed", range(6))
def test_islands_are_searched_as_the_whole_frame_is(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 1, (300, 260)).astype(np.float32)
    image[np.arange(20, 250), np.arange(20, 250) // 2 + 60] += 8
    finder = RegionFinder(
        mode="positive", smoothing=1.5, min_area=int(rng.integers(1, 6)), dilation=int(rng.integers(0, 15)), merge=int(rng.integers(0, 40))
    )  # fmt: skip
    score = finder.score(image)
    for threshold in (0.7, 0.9, 1.1):
        regions = finder.regions(score, threshold, image)
        mask, count = at_once(finder, score, threshold)
        assert_array_equal(regions.mask, mask)
        assert len(regions) == count
