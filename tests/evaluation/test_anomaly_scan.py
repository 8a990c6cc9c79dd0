from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from particle_zoo import InputError
from particle_zoo.detectors.camera import Finder, OnlineTrigger, RegionFinder
from particle_zoo.evaluation.anomaly import ThresholdScan, event_light, frame_sums, measures
from particle_zoo.evaluation.anomaly.scan import BITS
from particle_zoo.evaluation.anomaly.score_bins import bin_of, lower_edge
from tests.evaluation.anomaly_frames import SHAPE, Frame, frame

FINDERS = {
    "plain": RegionFinder(mode="positive", smoothing=1.0, dilation=2),
    "binned": RegionFinder(mode="absolute", smoothing=1.0, dilation=1, binning=2),
    "trigger": OnlineTrigger(blur=2.0, kernel=9, dilation=3),
}
UNKNOWN = ["box_pixels", "regions", "true_regions"]


def scanned(finder: Finder, frames: list[Frame]) -> ThresholdScan:
    scan = ThresholdScan()
    for one in frames:
        scan.add(
            finder.reach(finder.score(one.score), SHAPE),
            signal=one.signal,
            truth=one.truth,
            redpix=one.redpix,
            instance=one.instance,
            events=one.events,
        )
    return scan


def directly(finder: Finder, frames: list[Frame], threshold: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows, events = [], []
    for position, one in enumerate(frames):
        regions = finder.regions(finder.score(one.score), threshold, one.score)
        rows.append(frame_sums(regions, signal=one.signal, truth=one.truth, redpix=one.redpix))
        events.append(event_light(one.events, one.signal, one.instance, regions.mask, position=position))
    return pd.DataFrame(rows), pd.concat(events, ignore_index=True)


@pytest.mark.parametrize("name", FINDERS)
@given(seed=st.integers(0, 10**6), threshold=st.floats(0.5, 20))
@settings(max_examples=15, deadline=None)
def test_a_scan_is_every_threshold_at_once(name: str, seed: int, threshold: float) -> None:
    finder, frames = FINDERS[name], [frame(seed + i) for i in range(3)]
    edge = float(lower_edge(bin_of(threshold, BITS), BITS))
    scan = scanned(finder, frames)
    rows, events = directly(finder, frames, edge)
    assert_frame_equal(scan.frames(edge).drop(columns=UNKNOWN), rows.drop(columns=UNKNOWN))
    found = scan.events(edge)
    assert_frame_equal(found[["id", "position", "light", "found"]], events[["id", "position", "light", "found"]])


@pytest.mark.parametrize("name", FINDERS)
@pytest.mark.parametrize("discarded", [0.0, 0.5, 0.9, 0.978, 1.0])
def test_thresholds_of_an_area(name: str, discarded: float) -> None:
    finder, frames = FINDERS[name], [frame(seed) for seed in range(12)]
    scan = scanned(finder, frames)
    threshold = scan.threshold(discarded)
    found = measures(scan.frames(threshold), resamples=1)["area_discarded"].value
    assert found >= discarded
    curve = scan.curve()
    lower = curve[curve["threshold"] < threshold]
    if len(lower):
        kept = lower["region_pixels"].iloc[-1] / (12 * SHAPE[0] * SHAPE[1])
        assert 1 - kept < discarded, "the next lower threshold discards too little"
    rows, _ = directly(finder, frames, threshold)
    assert measures(rows, resamples=1)["area_discarded"].value == pytest.approx(found)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_nothing_rises_with_the_threshold(seed: int) -> None:
    curve = scanned(FINDERS["plain"], [frame(seed), frame(seed + 1)]).curve()
    assert (np.diff(curve["threshold"]) > 0).all()
    for name in ("region_pixels", "signal_kept", "truth_kept", "redpix_clipped_kept"):
        assert (np.diff(curve[name]) <= 1e-9).all()
    assert curve["region_pixels"].iloc[0] == 2 * SHAPE[0] * SHAPE[1]
    assert curve["signal_kept"].iloc[0] == pytest.approx(frame(seed).signal.sum() + frame(seed + 1).signal.sum())


def test_an_event_is_found_up_to_the_threshold_of_its_median_light() -> None:
    signal = np.array([[1.0, 2.0, 3.0, 4.0]])
    reach = np.array([[8.0, 4.0, 2.0, 1.0]], np.float32)
    scan = ThresholdScan()
    events = pd.DataFrame({"id": [1, 2]})
    scan.add(reach, signal=signal, instance=np.ones((1, 4), int), events=events)
    assert scan.events(1.0)["reached"].tolist() == [2, -np.inf]
    assert scan.events(2.0)["found"].tolist() == [True, False]
    assert scan.events(2.01)["found"].tolist() == [False, False]


def test_what_was_not_given_is_not_known() -> None:
    one = frame(1)
    scan = ThresholdScan()
    scan.add(one.score)
    row = scan.frames(3.0).iloc[0]
    assert row["region_pixels"] == (one.score >= 3.0).sum()
    assert row[["signal", "signal_kept", "truth_pixels", "redpix_kept"]].isna().all()
    assert scan.curve()["signal_kept"].isna().all()
    with pytest.raises(InputError, match="there are no events"):
        scan.events(3.0)


def test_what_cannot_be_scanned() -> None:
    one, scan = frame(1), ThresholdScan()
    with pytest.raises(InputError, match="add frames first"):
        scan.threshold(0.5)
    with pytest.raises(InputError, match="signal must have the shape of the reach"):
        scan.add(one.score, signal=one.signal[1:])
    with pytest.raises(InputError, match="give both"):
        scan.add(one.score, events=one.events)
    scan.add(one.score)
    with pytest.raises(InputError, match=r"a share of the area, 0\.\.1; received 97"):
        scan.threshold(97)
    scan = ThresholdScan()
    scan.add(np.full(SHAPE, np.inf, np.float32))
    with pytest.raises(InputError, match=r"no threshold discards 0\.5 of the area"):
        scan.threshold(0.5)
