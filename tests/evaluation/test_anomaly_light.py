from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from particle_zoo import InputError
from particle_zoo.detectors.camera import RegionFinder, Regions
from particle_zoo.detectors.camera.regions import REGION_COLUMNS
from particle_zoo.evaluation.anomaly import SUMS, frame_sums, measures, retained
from tests.evaluation.anomaly_frames import SHAPE, frame, regions_of

quick = settings(max_examples=40, deadline=None)


def test_a_frame_by_hand() -> None:
    labels = [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0]]
    signal = np.array([[0, 1, 4, 0], [0, 0, 3, 0], [0, 0, 2, 0], [0, 0, 0, 0]], float)
    redpix = np.array([[0, -1, 4, 0], [0, 0, 3, -2], [0, 0, 2, 0], [0, 0, 0, 0]], float)
    sums = frame_sums(regions_of(np.array(labels)), signal=signal, truth=signal >= 2, redpix=redpix)
    assert list(sums) == list(SUMS)
    assert sums == {
        "frames": 1, "pixels": 16, "region_pixels": 5, "box_pixels": 5, "regions": 2, "true_regions": 1,
        "signal": 10, "signal_kept": 7, "truth_pixels": 3, "truth_kept": 2,
        "redpix": 6, "redpix_kept": 5, "redpix_clipped": 9, "redpix_clipped_kept": 7,
    }  # fmt: skip
    values = {name: one.value for name, one in measures(pd.DataFrame([sums]), resamples=1).items()}
    assert values == pytest.approx(
        {
            "retention": 0.7, "retention_redpix": 5 / 6, "retention_redpix_clipped": 7 / 9,
            "area_kept": 5 / 16, "area_kept_boxes": 5 / 16, "purity": 2 / 5, "purity_regions": 1 / 2,
            "coverage": 2 / 3, "occupancy": 3 / 16, "regions_per_frame": 2,
            "area_discarded": 11 / 16, "area_discarded_boxes": 11 / 16,
        }
    )  # fmt: skip


def test_boxes_hold_more_than_masks() -> None:
    labels = np.zeros((6, 6), np.int32)
    labels[0, :4] = labels[:4, 0] = 1
    table = pd.DataFrame({name: np.zeros(1, kind) for name, kind in REGION_COLUMNS.items()}).assign(row1=4, col1=4)
    sums = frame_sums(Regions(table, labels))
    assert (sums["region_pixels"], sums["box_pixels"]) == (7, 16)


def test_measures_are_ratios_of_sums_not_means_of_ratios() -> None:
    nothing, everything = np.zeros(SHAPE), np.ones(SHAPE)
    bright, faint = frame(1).signal * 9, frame(2).signal
    rows = [
        frame_sums(regions_of(everything), signal=bright),
        frame_sums(regions_of(nothing), signal=faint),
    ]
    found = measures(pd.DataFrame(rows), resamples=200)
    assert found["retention"].value == pytest.approx(bright.sum() / (bright.sum() + faint.sum()))
    assert (found["retention"].low, found["retention"].high) == (0, 1)
    assert found["area_discarded"].value == 0.5


def test_what_is_not_known_is_left_out() -> None:
    dark = [frame_sums(regions_of(np.zeros(SHAPE))) for _ in range(5)]
    found = measures(pd.DataFrame(dark), resamples=20)
    assert set(found) == {
        "area_kept", "area_kept_boxes", "regions_per_frame", "area_discarded", "area_discarded_boxes"
    }  # fmt: skip
    assert found["area_discarded"].value == 1


@given(seed=st.integers(0, 10**6))
@quick
def test_shares_are_shares_and_fall_with_the_threshold(seed: int) -> None:
    one = frame(seed)
    finder = RegionFinder(mode="positive", smoothing=1.0, dilation=1, merge=1)
    score = finder.score(one.score)
    before: dict[str, float] = {}
    for threshold in (0.0, 2.0, 5.0, 10.0, 1000.0):
        regions = finder.regions(score, threshold, one.score)
        sums = frame_sums(regions, signal=one.signal, truth=one.truth, redpix=one.redpix)
        found = {name: value.value for name, value in measures(pd.DataFrame([sums]), resamples=1).items()}
        for name in ("retention", "area_kept", "area_kept_boxes", "retention_redpix_clipped", "coverage"):
            assert -1e-12 <= found[name] <= 1 + 1e-12
            assert found[name] <= before.get(name, 1) + 1e-12, "a higher threshold keeps no more"
        assert found["area_kept_boxes"] >= found["area_kept"]
        assert found["area_kept"] + found["area_discarded"] == pytest.approx(1)
        if "purity" in found:
            assert 0 <= found["purity"] <= 1
            assert 0 <= found["purity_regions"] <= 1
        before = found
    assert before["retention"] == 0


@given(seed=st.integers(0, 10**6))
@quick
def test_a_mask_and_its_complement_share_the_light(seed: int) -> None:
    one, mask = frame(seed), np.random.default_rng(seed).random(SHAPE) < 0.3
    kept, total = retained(one.redpix, mask)
    rest, again = retained(one.redpix, ~mask)
    assert total == again
    assert kept + rest == pytest.approx(total, abs=1e-9)
    clipped, _ = retained(one.redpix, mask, clipped=True)
    assert clipped >= kept


def test_images_of_other_frames() -> None:
    with pytest.raises(InputError, match="signal has 3 x 4 px, the regions 24 x 32 px; give those of one frame"):
        frame_sums(regions_of(np.zeros(SHAPE)), signal=np.zeros((3, 4)))
    with pytest.raises(InputError, match="light has 3 x 4 px"):
        retained(np.zeros((3, 4)), np.zeros(SHAPE, bool))
    with pytest.raises(InputError, match="intervals take frames and resamples; received 0"):
        measures(pd.DataFrame(columns=list(SUMS)))
