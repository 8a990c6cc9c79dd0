from __future__ import annotations

import numpy as np
import pytest

from particle_zoo import InputError
from particle_zoo.evaluation.anomaly import difference, interval, intervals, ratio
from particle_zoo.evaluation.anomaly.bootstrap import resampled


def test_a_resample_has_as_many_frames_as_there_are() -> None:
    rows = np.concatenate(list(resampled(30, 120, seed=1)))
    assert rows.shape == (120, 30)
    assert (rows.sum(1) == 30).all()
    assert rows.max() > 1
    assert (rows == np.concatenate(list(resampled(30, 120, seed=1)))).all()
    assert (rows != np.concatenate(list(resampled(30, 120, seed=2)))).any()


def test_a_ratio_by_hand() -> None:
    statistic = ratio([1.0, 0.0, 3.0], [2.0, 2.0, 4.0])
    assert statistic(np.array([[1.0, 1, 1], [2, 1, 0], [0, 3, 0]])).tolist() == [0.5, 2 / 6, 0]
    assert np.isnan(ratio([0.0], [0.0])(np.ones((1, 1)))).all()


def test_intervals_hold_the_truth_nineteen_times_in_twenty() -> None:
    """The mean of 60 frames with 4 events on average, of which 70 % are found; the width is that of the binomial law."""
    held, widths = 0, []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        total = rng.poisson(4, 60)
        found = interval(ratio(rng.binomial(total, 0.7), total), 60, resamples=300, seed=seed)
        held += found.low <= 0.7 <= found.high
        widths.append(found.high - found.low)
    # Binomial with 0.95 in 150: below 133 once in a thousand.
    assert held >= 133
    assert np.mean(widths) == pytest.approx(2 * 1.96 * (0.7 * 0.3 / 240) ** 0.5, rel=0.1)


def test_frames_are_resampled_not_pixels() -> None:
    """Equal pixels of a frame do not narrow an interval."""
    rng = np.random.default_rng(2)
    kept = rng.random(40)
    few = interval(ratio(kept, np.ones(40)), 40)
    many = interval(ratio(1e6 * kept, 1e6 * np.ones(40)), 40)
    assert (many.low, many.high) == pytest.approx((few.low, few.high))


def test_a_difference_is_paired() -> None:
    rng = np.random.default_rng(3)
    light, kept = rng.uniform(1, 9, 80), rng.random(80)
    one, other = ratio(kept * light + 0.01 * light, light), ratio(kept * light, light)
    found = interval(difference(one, other), 80)
    assert (found.value, found.low, found.high) == pytest.approx((0.01, 0.01, 0.01))
    alone = interval(one, 80)
    assert alone.high - alone.low > 0.05


def test_infinite_values_have_a_rank() -> None:
    def statistic(weights: np.ndarray) -> np.ndarray:
        return np.where(weights[:, 0] > 0, 1.0, np.inf)

    found = interval(statistic, 5)
    assert (found.value, found.low, found.high) == (1, 1, np.inf)


def test_resamples_without_a_value_are_left_out() -> None:
    found = interval(ratio([1.0, 0.0, 0.0], [1.0, 0.0, 0.0]), 3)
    assert (found.value, found.low, found.high) == (1, 1, 1)
    nothing = interval(ratio([0.0], [0.0]), 1)
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()


def test_several_values_and_none() -> None:
    statistic = ratio(np.eye(3), np.ones((3, 3)))
    assert [one.value for one in intervals(statistic, 3, resamples=10)] == pytest.approx([1 / 3] * 3)
    with pytest.raises(InputError, match="one value; received 3, use intervals"):
        interval(statistic, 3)
    with pytest.raises(InputError, match="received 3 and 0"):
        interval(statistic, 3, resamples=0)
    assert str(interval(ratio([1.0, 2.0], [2.0, 4.0]), 2)) == "0.5 [0.5, 0.5]"
