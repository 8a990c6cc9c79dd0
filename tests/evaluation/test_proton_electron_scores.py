from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from particle_zoo.evaluation.proton_electron.results import LARGE, large, sentence
from particle_zoo.evaluation.proton_electron.scores import SIZE_BINS, TestSet, auc, bootstrap, resampled, size_bin

CLASSES = ("proton", "electron")


def clusters(n: int, seed: int = 0, **changes: Any) -> TestSet:
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "first": rng.random(n) < 0.5,
        "primary": np.arange(n),
        "size": rng.integers(1, 20, n),
        "energy_mev": 10 ** rng.uniform(-0.4, 2.6, n),
    }
    return TestSet(**(columns | changes), classes=CLASSES)


def guesses(test: TestSet, seed: int, right: float = 0.8) -> np.ndarray:
    """Probabilities that are right for this share of the clusters."""
    rng = np.random.default_rng(seed)
    correct = rng.random(len(test.first)) < right
    return np.where(correct == test.first, rng.uniform(0.5, 1, len(correct)), rng.uniform(0, 0.5, len(correct)))


def test_size_bins_at_their_edges() -> None:
    sizes = [1, 2, 3, 4, 5, 8, 9, 1000]
    assert [SIZE_BINS[i] for i in size_bin(np.array(sizes))] == [
        "1-2 px", "1-2 px", "3-4 px", "3-4 px", "5-8 px", "5-8 px", "> 8 px", "> 8 px"
    ]  # fmt: skip


def test_accuracies_of_a_handful_of_clusters() -> None:
    #                       right  wrong  right  wrong  right  right
    first = np.array([True, True, False, False, False, True])
    probability = np.array([0.9, 0.1, 0.2, 0.7, 0.4, 0.5])
    test = clusters(
        6, first=first, size=np.array([2, 3, 4, 8, 9, 9]), energy_mev=np.array([20.0, 300, 0.5, 0.6, 2, 20])
    )
    found = bootstrap(test, {"a": probability[None]}, 10).summary("a")
    values = {name: number["value"] for name, number in found.items()}
    assert values["balanced accuracy"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert values["ROC AUC"] == pytest.approx(roc_auc_score(first, probability))
    assert [values[f"accuracy, {size}"] for size in SIZE_BINS] == [1, 0.5, 0, 1]
    assert values["recall, proton, 17.8-31.6 MeV"] == 1
    assert values["recall, proton, 178-316 MeV"] == 0
    assert values["recall, electron, 0.316-0.562 MeV"] == 1
    # No electron has 17.8 MeV, and no bin of 1-2 px has both particles.
    assert "recall, electron, 17.8-31.6 MeV" not in values
    assert "balanced accuracy, 1-2 px" not in values
    assert values["balanced accuracy, > 8 px"] == 1


@pytest.mark.parametrize("levels", [3, 10**9], ids=["ties", "no ties"])
def test_weighted_auc_is_that_of_the_resampled_arrays(levels: int) -> None:
    rng = np.random.default_rng(1)
    test = clusters(300, primary=rng.integers(0, 120, 300))
    score = np.round(guesses(test, 2) * levels) / levels
    for weights in resampled(test, 20, seed=3):
        for row, value in zip(weights, auc(test.first, score, weights), strict=True):
            assert value == pytest.approx(roc_auc_score(np.repeat(test.first, row), np.repeat(score, row)), abs=1e-12)


def test_numbers_of_a_resample_are_those_of_its_clusters() -> None:
    rng = np.random.default_rng(1)
    test = clusters(300, primary=rng.integers(0, 120, 300))
    runs = np.stack([guesses(test, seed) for seed in (5, 6)])
    found = bootstrap(test, {"a": runs}, 60, seed=9)
    rows = np.concatenate(list(resampled(test, 60, seed=9)))
    drawn = set()
    for row, draw in zip(rows, found.draws["a"], strict=True):
        picked = np.repeat(np.arange(300), row)
        one, two = (balanced_accuracy_score(test.first[picked], run[picked] >= 0.5) for run in runs)
        (which,) = [i for i, value in enumerate((one, (one + two) / 2, two)) if value == pytest.approx(draw[0])]
        drawn.add(which)
    assert drawn == {0, 1, 2}, "one training twice, both, the other twice"


def test_resamples_take_or_leave_a_primary_as_a_whole() -> None:
    test = clusters(300, primary=np.repeat(np.arange(100) * 7, 3))
    for weights in resampled(test, 10, seed=0):
        of_primary = weights.reshape(-1, 100, 3)
        assert (of_primary == of_primary[:, :, :1]).all()
        assert (of_primary[:, :, 0].sum(1) == 100).all()
        assert of_primary.max() > 1


def width(test: TestSet, run: np.ndarray) -> float:
    found = bootstrap(test, {"a": run[None]}, 400).summary("a")["balanced accuracy"]
    return found["high"] - found["low"]


def test_copies_of_a_primary_do_not_narrow_the_interval() -> None:
    single = clusters(500)
    run = guesses(single, 1)
    copies = {name: np.repeat(getattr(single, name), 9) for name in ("first", "primary", "size", "energy_mev")}
    together = TestSet(**copies, classes=CLASSES)
    apart = TestSet(**(copies | {"primary": np.arange(4500)}), classes=CLASSES)
    assert width(together, np.repeat(run, 9)) == pytest.approx(width(single, run))
    # Nine times the clusters would make it three times as narrow.
    assert width(apart, np.repeat(run, 9)) == pytest.approx(width(single, run) / 3, rel=0.2)


def test_intervals_hold_the_truth_nineteen_times_in_twenty() -> None:
    held = 0
    for seed in range(200):
        test = clusters(400, seed)
        found = bootstrap(test, {"a": guesses(test, 1000 + seed, right=0.8)[None]}, 200).summary("a")
        held += found["balanced accuracy"]["low"] <= 0.8 <= found["balanced accuracy"]["high"]
    # Binomial with 0.95 in 200: below 180 once in a thousand.
    assert held >= 180


def test_an_interval_is_no_narrower_than_trainings_differ() -> None:
    test = clusters(20_000)
    runs = np.stack([guesses(test, seed, right) for seed, right in enumerate((0.7, 0.8, 0.9))])
    found = bootstrap(test, {"three": runs}, 400).summary("three")["balanced accuracy"]
    # Means of three draws out of 0.7, 0.8, 0.9: a standard deviation of 0.047.
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * 0.047, rel=0.25)


def test_seeds_are_averaged_inside_a_resample_and_their_spread_stands_beside() -> None:
    test = clusters(2000)
    runs = np.stack([guesses(test, seed) for seed in range(4)])
    found = bootstrap(test, {"four": runs, "one": runs[:1]}, 300)
    four, one = (found.summary(name)["balanced accuracy"] for name in ("four", "one"))
    assert four["value"] == pytest.approx(np.mean(four["seeds"]))
    assert four["spread"] == pytest.approx(np.std(four["seeds"], ddof=1))
    assert "spread" not in one
    # Independent errors: the mean of four would be known twice as well, were it not for which four there are.
    assert 0.5 < (four["high"] - four["low"]) / (one["high"] - one["low"]) < 0.9


def test_a_difference_is_paired() -> None:
    test = clusters(2000)
    run = guesses(test, 1)
    better = run.copy()
    wrong = np.flatnonzero((run >= 0.5) != test.first)[:40]
    better[wrong] = test.first[wrong]
    found = bootstrap(test, {"a": run[None], "b": better[None]}, 300)
    difference = found.difference("b", "a")
    assert difference["value"] == pytest.approx(0.02, abs=0.003)
    # The errors they share cancel: alone, each is known to +-1.8 % only.
    assert 0.01 < difference["low"] < difference["high"] < 0.03
    assert found.difference("a", "a") == {"value": 0, "low": 0, "high": 0}


def test_sentences_say_what_the_interval_says() -> None:
    def verdict(low: float, value: float, high: float) -> str:
        return sentence("net", {"the random forest": {"value": value, "low": low, "high": high}})

    assert (
        verdict(0.001, 0.012, 0.02) == "net beats the random forest by +1.20 [+0.10, +2.00] points of balanced accuracy"
    )
    assert verdict(-0.001, 0.012, 0.02).startswith(
        "net does not beat the random forest by more than the interval: +1.20 [-0.10"
    )
    assert verdict(-0.02, -0.01, -0.001).startswith(
        "net does not beat the random forest, it is worse: -1.00 [-2.00, -0.10]"
    )


def test_what_is_said_of_large_clusters() -> None:
    forest = {LARGE: {"value": 0.994}}
    own = {LARGE: {"value": 0.99, "low": 0.985, "high": 0.993}}
    assert large("net", own, forest) == (
        "net reaches 99% over 8 px: balanced accuracy 99.00 [98.50, 99.30], the random forest 99.40"
    )
    own[LARGE]["value"] = 0.9899
    assert large("net", own, forest).startswith("net misses 99% over 8 px: balanced accuracy 98.99")


@pytest.mark.parametrize("first", [True, False])
def test_one_class_alone_has_no_balanced_accuracy(first: bool) -> None:
    test = clusters(50, first=np.full(50, first))
    found = bootstrap(test, {"a": guesses(test, 1)[None]}, 10).summary("a")
    assert "ROC AUC" not in found
    assert "balanced accuracy" not in found
    assert found[f"recall, {CLASSES[0] if first else CLASSES[1]}"]["seeds"]
