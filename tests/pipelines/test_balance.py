from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, ks_2samp

from particle_zoo import InputError
from particle_zoo.pipelines.balance import Reservoir, flat_probabilities, flatten, size_bins
from particle_zoo.plots import sizes as plot


def falling(n: int = 60_000, seed: int = 4) -> np.ndarray:
    """Cluster sizes that fall as a power law from 1 to some 500 px."""
    u = np.random.default_rng(seed).random(n)
    return np.floor(u ** (-1 / 1.2)).clip(1, 500).astype(int)


def chi_square(sizes: np.ndarray) -> float:
    """Probability that the filled bins are draws of a flat distribution."""
    return float(chisquare(np.unique(size_bins(sizes), return_counts=True)[1]).pvalue)


def test_bins_are_octaves() -> None:
    assert size_bins([1, 2, 3, 4, 7, 8, 1023, 1024]).tolist() == [0, 1, 1, 2, 2, 3, 9, 10]
    assert size_bins([1, 2, 3, 4, 5, 6, 8], 2).tolist() == [0, 2, 3, 4, 4, 5, 6]


def test_kept_bins_are_flat() -> None:
    sizes = falling()
    assert chi_square(sizes) < 1e-6
    kept = sizes[flatten(sizes, seed=0, least=100)]
    assert chi_square(kept) > 0.999
    bins, before = np.unique(size_bins(sizes), return_counts=True)
    enough = bins[before >= 100]
    np.testing.assert_array_equal(np.unique(size_bins(kept)), enough)
    assert len(kept) == len(enough) * before[before >= 100].min()


def test_sizes_inside_a_bin_are_an_unbiased_sample() -> None:
    """Over many seeds every cluster of a bin stays equally often."""
    sizes = falling(4000)
    times = np.zeros(len(sizes), int)
    for seed in range(300):
        times[flatten(sizes, seed=seed, least=50, most=60)] += 1
    bins = size_bins(sizes)
    for number in np.unique(bins[times > 0]):
        mine = times[bins == number]
        share = mine.mean() / 300
        assert share == pytest.approx(60 / len(mine))
        # Each count is binomial; the sum of their squared deviations is chi-square over the factor 1 - share.
        if share < 1:
            assert chisquare(mine).statistic / (1 - share) < len(mine) + 5 * np.sqrt(2 * len(mine))
            assert chisquare(mine).statistic / (1 - share) > len(mine) - 5 * np.sqrt(2 * len(mine))
    whole = falling()
    kept = whole[flatten(whole, seed=1, least=100)]
    for number in (2, 3, 4):
        assert ks_2samp(whole[size_bins(whole) == number], kept[size_bins(kept) == number]).pvalue > 1e-3


@given(
    st.lists(st.integers(1, 2000), max_size=200),
    st.integers(0, 9),
    st.integers(1, 3),
    st.integers(1, 5),
    st.none() | st.integers(1, 6),
)
def test_a_choice_is_an_ascending_subset_and_depends_on_the_seed_alone(
    sizes: list[int], seed: int, per_octave: int, least: int, most: int | None
) -> None:
    chosen = flatten(sizes, seed=seed, per_octave=per_octave, least=least, most=most)
    assert (np.diff(chosen) > 0).all()
    assert set(chosen.tolist()) <= set(range(len(sizes)))
    counts = np.unique(size_bins(np.array(sizes)[chosen], per_octave), return_counts=True)[1] if len(chosen) else []
    assert len(set(counts)) <= 1
    assert all(count <= (most or count) for count in counts)
    np.testing.assert_array_equal(chosen, flatten(sizes, seed=seed, per_octave=per_octave, least=least, most=most))


def test_another_seed_makes_another_choice() -> None:
    sizes = falling(2000)
    assert not np.array_equal(flatten(sizes, seed=0, least=20), flatten(sizes, seed=1, least=20))


@given(st.lists(st.integers(1, 300), min_size=1, max_size=150), st.integers(1, 20), st.randoms())
def test_a_stream_in_any_parts_and_order_is_flattened_like_the_whole(
    sizes: list[int], most: int, random: object
) -> None:
    values = np.array(sizes)
    ranks = np.random.default_rng(len(sizes)).permutation(len(sizes)).astype(np.uint64)
    whole, first, second = (Reservoir(least=2, most=most) for _ in range(3))
    whole.add(values, ranks)
    order = np.random.default_rng(most).permutation(len(sizes))
    for part in np.array_split(order, 5):
        (first if part.sum() % 2 else second).add(values[part], ranks[part])
    first.merge(second)
    np.testing.assert_array_equal(first.keep(values, ranks), whole.keep(values, ranks))
    assert first.limits == whole.limits


def test_memory_of_a_stream_is_bounded() -> None:
    reservoir = Reservoir(most=50)
    rng = np.random.default_rng(0)
    for _ in range(40):
        reservoir.add(falling(5000), rng.integers(0, 2**63, 5000, dtype=np.uint64))
    assert max(len(ranks) for ranks in reservoir._ranks.values()) == 50


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"least": 0}, "least"),
        ({"most": 0}, "most"),
        ({"per_octave": 0}, "per_octave"),
        ({"per_octave": 1.5}, "per_octave"),
    ],
)
def test_settings_that_cannot_be(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        flatten([1, 2, 3], seed=0, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="1 pixel or more"):
        flatten([0, 2], seed=0)


def test_no_clusters_and_none_frequent_enough() -> None:
    assert flatten([], seed=0).tolist() == []
    assert flatten([1, 2, 4], seed=0, least=2).tolist() == []


def test_figure_shows_both_histograms(tmp_path: Path) -> None:
    sizes = falling(5000)
    counts = plot.before_and_after(sizes, sizes[flatten(sizes, seed=0, least=30)], tmp_path / "sizes.png")
    before, after = counts["before"], counts["after"]
    assert before.sum() == 5000
    assert len(set(after[after > 0].tolist())) == 1
    assert (tmp_path / "sizes.png").stat().st_size > 5000


def test_draws_are_flat_and_leave_nothing_out() -> None:
    sizes = falling()
    chance = flat_probabilities(sizes, least=1)
    assert chance.min() > 0
    assert chance.sum() == pytest.approx(1)
    drawn = np.random.default_rng(0).choice(sizes, 20_000, p=chance)
    assert chi_square(drawn) > 1e-3
    # The smallest interval of 60,000 clusters holds a few hundred; alike chances inside one.
    bins = size_bins(sizes)
    for number in np.unique(bins):
        assert len(set(chance[bins == number])) == 1


def test_a_handful_of_clusters_is_not_drawn_over_and_over() -> None:
    sizes = np.r_[np.ones(1000), np.full(10, 400)].astype(int)
    assert flat_probabilities(sizes, least=50)[1000:].sum() == pytest.approx(0.2 / 1.2)
    assert flat_probabilities(sizes, least=10)[1000:].sum() == pytest.approx(0.5)
    with pytest.raises(InputError, match="least must be"):
        flat_probabilities(sizes, least=0)
