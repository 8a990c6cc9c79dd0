from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.testing import assert_array_equal
from sklearn.metrics import average_precision_score, roc_auc_score

from particle_zoo import InputError
from particle_zoo.evaluation.anomaly import PixelScores
from particle_zoo.evaluation.anomaly.pixels import average_precision
from particle_zoo.evaluation.anomaly.score_bins import bin_of, lower_edge
from tests.evaluation.anomaly_frames import SHAPE, Frame, frame

quick = settings(max_examples=30, deadline=None)


@given(arrays.arrays(np.float32, 40, elements=st.floats(width=32, allow_nan=False)), st.integers(10, 31))
@quick
def test_bins_are_in_the_order_of_the_scores(scores: np.ndarray, bits: int) -> None:
    scores = np.sort(scores)
    number = bin_of(scores, bits)
    assert (np.diff(number) >= 0).all()
    assert (number >= 0).all()
    assert (number < 2**bits).all()
    finite = np.isfinite(scores)
    edge = lower_edge(number[finite], bits).astype(np.float64)
    assert (edge <= scores[finite]).all()
    assert_array_equal(bin_of(edge, bits), number[finite])
    above = lower_edge(number[finite] + 1, bits)
    known = np.isfinite(above)
    assert (above[known] > scores[finite][known]).all()


def test_the_width_of_bins() -> None:
    for bits, share in ((18, 2.0**-9), (20, 2.0**-11)):
        for score in (0.013, -7.5, 1e5):
            number = bin_of(score, bits)
            width = lower_edge(number + 1, bits) - lower_edge(number, bits)
            assert share / 2 <= width / abs(score) <= share * 1.001
    assert bin_of(-0.0, 18) == bin_of(0.0, 18)
    with pytest.raises(InputError, match="NaN"):
        bin_of([1.0, np.nan], 18)


def of(frames: list[Frame], bits: int = 22, coarse: int | None = None) -> PixelScores:
    scores = PixelScores(bits)
    for one in frames:
        scores.add(one.score if coarse is None else np.round(one.score, coarse), one.truth, one.instance)
    return scores


def flat(frames: list[Frame], coarse: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    score = np.concatenate([one.score.ravel() for one in frames])
    return np.concatenate([one.truth.ravel() for one in frames]), score if coarse is None else np.round(score, coarse)


@pytest.mark.parametrize("coarse", [None, 0], ids=["no ties", "ties"])
def test_auroc_and_aupr_are_those_of_scikit_learn(coarse: int | None) -> None:
    frames = [frame(seed) for seed in range(5)]
    truth, score = flat(frames, coarse)
    found = of(frames, coarse=coarse).values()
    assert found["AUROC"] == pytest.approx(roc_auc_score(truth, score), abs=1e-5)
    assert found["AUPR"] == pytest.approx(average_precision_score(truth, score), abs=1e-5 if coarse == 0 else 1e-4)


@pytest.mark.parametrize("bits", [10, 12, 14, 18])
def test_binning_costs_no_more_than_it_says(bits: int) -> None:
    frames = [frame(seed) for seed in range(8)]
    exact, found = of(frames).values(), of(frames, bits)
    errors = found.errors()
    assert set(errors) == set(exact)
    for name, value in found.values().items():
        assert abs(value - exact[name]) <= errors[name] + 1e-4
    assert bits < 18 or max(errors["AUROC"], errors["AUPRO 0.3"]) < 2e-3
    assert bits > 10 or errors["AUROC"] > 1e-3


def overlap_of_regions(frames: list[Frame], limit: float) -> float:
    """By definition: the mean overlap at every threshold that there is, integrated over the false positive rate."""
    none = np.concatenate([one.score[~one.truth] for one in frames])
    parts = [
        one.score[one.truth & (one.instance == i)]
        for one in frames
        for i in np.unique(one.instance[one.truth])
        if i > 0
    ]  # fmt: skip
    edges = np.unique(np.concatenate([none, *parts]))[::-1]
    rate = np.array([0.0, *(np.mean(none >= t) for t in edges)])
    overlap = np.array([0.0, *(np.mean([np.mean(part >= t) for part in parts]) for t in edges)])
    inside = rate <= limit
    x, y = np.append(rate[inside], limit), np.append(overlap[inside], np.interp(limit, rate, overlap))
    return float(np.trapezoid(y, x) / limit)


@pytest.mark.parametrize("limit", [1.0, 0.3, 0.01])
def test_overlap_of_regions_by_its_definition(limit: float) -> None:
    frames = [frame(seed) for seed in range(3)]
    found = of(frames).values((limit,))[f"AUPRO {limit:g}"]
    assert found == pytest.approx(overlap_of_regions(frames, limit), abs=2e-3)


def test_overlap_by_hand() -> None:
    """Four pixels without signal; one region of one pixel, seen first, one of two with one missed until the end."""
    score = np.array([[9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 1.0]])
    truth = np.array([[True, False, True, False, False, False, True]])
    instance = np.array([[1, 0, 2, 0, 0, 0, 2]])
    scores = PixelScores()
    scores.add(score, truth, instance)
    # Overlap 1/2 up to the first false pixel, 3/4 after the second region's first, 1 at the end only.
    found = scores.values((0.25, 1.0))
    assert found["AUPRO 0.25"] == pytest.approx(0.5)
    assert found["AUPRO 1"] == pytest.approx(0.25 * 0.5 + 0.75 * 0.75)
    assert found["AUROC"] == pytest.approx((4 + 3 + 0) / 12)
    assert found["AUPR"] == pytest.approx((1 + 2 / 3 + 3 / 7) / 3)


@given(seed=st.integers(0, 10**6), limit=st.floats(0.001, 1))
@quick
def test_measures_are_within_0_and_1_whatever_the_scale(seed: int, limit: float) -> None:
    frames = [frame(seed), frame(seed + 1)]
    found = of(frames).values((limit,))
    assert all(0 <= value <= 1 for value in found.values())
    doubled = PixelScores(22)
    for one in frames:
        doubled.add(2 * one.score, one.truth, one.instance)
    assert doubled.values((limit,)) == pytest.approx(found, abs=1e-9), "no range is assumed"
    reverse = PixelScores(22)
    for one in frames:
        reverse.add(-one.score, one.truth, one.instance)
    assert reverse.values()["AUROC"] == pytest.approx(1 - found["AUROC"], abs=1e-4)


def test_perfect_and_blind_scores() -> None:
    perfect, blind = PixelScores(), PixelScores()
    for seed in range(4):
        one = frame(seed)
        perfect.add(one.truth.astype(np.float32), one.truth, one.instance)
        blind.add(np.zeros(SHAPE, np.float32), one.truth, one.instance)
    assert perfect.values() == {"AUROC": 1, "AUPR": 1, "AUPRO 0.3": 1, "AUPRO 0.01": 1}
    assert blind.values()["AUROC"] == 0.5
    assert blind.values()["AUPR"] == pytest.approx(np.mean([frame(seed).truth for seed in range(4)]))
    assert blind.values()["AUPRO 0.3"] == pytest.approx(0.15)


def test_faint_tails_may_count_neither_way() -> None:
    frames = [frame(seed) for seed in range(3)]
    scores = PixelScores(22)
    for one in frames:
        scores.add(one.score, one.truth, one.instance, ignore=(one.signal > 0) & ~one.truth)
    kept = np.concatenate([((one.signal == 0) | one.truth).ravel() for one in frames])
    truth, score = flat(frames)
    assert scores.values()["AUROC"] == pytest.approx(roc_auc_score(truth[kept], score[kept]), abs=1e-5)


def test_intervals_are_over_frames() -> None:
    frames = [frame(seed) for seed in range(40)]
    scores = of(frames, 18)
    found = scores.summary(resamples=200, seed=3)
    again = of(frames, 18).summary(resamples=200, seed=3)
    assert found == again
    for name, value in scores.values().items():
        assert found[name].value == pytest.approx(value)
        assert found[name].low < value < found[name].high
    copies = of(frames * 4, 18).summary(resamples=200, seed=3)
    assert copies["AUROC"].high - copies["AUROC"].low < 0.7 * (found["AUROC"].high - found["AUROC"].low)


def test_precision_between_the_best_and_the_worst_order_of_ties() -> None:
    rng = np.random.default_rng(4)
    none, some = rng.integers(0, 9, 30), rng.integers(0, 9, 30)
    truth = np.concatenate([np.repeat([0, 1], [n, s]) for n, s in zip(none, some, strict=True)])
    order = np.arange(len(truth))
    assert average_precision(none, some, "best") == pytest.approx(average_precision_score(truth, order))
    worst = np.concatenate([np.repeat([1, 0], [s, n]) for n, s in zip(none, some, strict=True)])
    assert average_precision(none, some, "worst") == pytest.approx(average_precision_score(worst, order))


def test_memory_of_a_frame_does_not_depend_on_its_size() -> None:
    rng = np.random.default_rng(1)
    scores = PixelScores()
    image = rng.normal(0, 1, (700, 700)).astype(np.float32)
    scores.add(image, image > 4)
    tracemalloc.start()
    try:
        for _ in range(5):
            scores.add(image, image > 4)
        each = tracemalloc.get_traced_memory()[0] / 5
    finally:
        tracemalloc.stop()
    assert each < 4e5
    assert each < image.nbytes / 4


def test_what_cannot_be_judged() -> None:
    one = frame(1)
    with pytest.raises(InputError, match="add frames first"):
        PixelScores().values()
    with pytest.raises(InputError, match="bits must be a whole number from 10 to 22; received 30"):
        PixelScores(30)
    with pytest.raises(InputError, match=r"truth must have the shape of the scores, \(24, 32\)"):
        PixelScores().add(one.score, one.truth[1:])
    with pytest.raises(InputError, match="a limit is a false positive rate above 0 and up to 1; received 0"):
        of([one]).values((0.0,))
    dark = PixelScores()
    dark.add(one.score, np.zeros(SHAPE, bool))
    assert np.isnan(list(dark.values().values())).all()
    assert list(dark.values()) == ["AUROC", "AUPR"]
