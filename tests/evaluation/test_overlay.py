from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_zoo import Clusters, InputError
from particle_zoo.evaluation import overlay, transfer
from particle_zoo.evaluation.classifier import scores
from particle_zoo.plots.overlay import histograms

CLASSES = ("xray", "electron", "muon")


def of(values: list[float] | np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"size": np.asarray(values, float)})


def test_distance_of_distributions_known_by_hand() -> None:
    assert overlay.distances(of([1, 2, 3]), of([1, 2, 3]))["ks"].tolist() == [0]
    assert overlay.distances(of([1, 2]), of([3, 4]))["ks"].tolist() == [1]
    # Half of the first lies below all of the second.
    assert overlay.distances(of([1, 2, 3, 4]), of([3, 4]))["ks"].tolist() == [0.5]


def test_chance_holds_in_95_of_100_pairs_of_one_distribution() -> None:
    rng = np.random.default_rng(4)
    found = [overlay.distances(of(rng.normal(size=300)), of(rng.normal(size=500))).iloc[0] for _ in range(400)]
    below = np.mean([row["ks"] < row["chance"] for row in found])
    assert 0.92 < below < 0.98


def test_quantities_of_a_cluster_made_by_hand() -> None:
    clusters = Clusters.from_list([[(0, 0, 10.0), (0, 1, 30.0), (0, 2, 20.0)]])
    found = overlay.quantities(clusters).iloc[0].to_dict()
    assert found == pytest.approx(
        {"size": 3, "energy": 60, "energy per pixel": 20, "length": 3, "roundness": 4 / (3 * np.pi)}
    )
    assert list(overlay.quantities(overlay.as_masks(clusters))) == ["size", "length", "roundness"]
    # A mask whose table knows the energy is compared in energy too.
    known = overlay.quantities(overlay.as_masks(clusters.with_table(energy_sum=[45.0])))
    assert known[["energy", "energy per pixel"]].iloc[0].tolist() == [45, 15]


def test_nothing_to_compare_is_said() -> None:
    with pytest.raises(InputError, match="0 simulated and 1 real"):
        overlay.distances(of([]), of([1]))


def test_figure_is_drawn_for_wide_narrow_and_single_valued_quantities(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ours = pd.DataFrame({"size": rng.integers(1, 200, 300), "energy": rng.lognormal(3, 2, 300), "fill": np.ones(300)})
    theirs = ours.sample(120, random_state=1)
    found = overlay.distances(ours, theirs)
    histograms(ours, theirs, found, tmp_path / "a.png", title="t")
    assert (tmp_path / "a.png").read_bytes()[1:4] == b"PNG"


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 2)), min_size=1, max_size=25))
def test_no_single_cut_is_better_than_the_one_found(pairs: list[tuple[int, int]]) -> None:
    sizes, targets = (np.array(column) for column in zip(*pairs, strict=True))
    found = np.mean(transfer.cut(sizes, targets, sizes) == targets)
    best = max(
        np.mean(np.where(sizes <= limit, low, high) == targets)
        for limit in range(13)
        for low in range(3)
        for high in range(3)
    )
    assert found == pytest.approx(best)


def test_the_forest_carries_over_to_the_same_simulation_and_not_to_shuffled_labels(three_classes: Clusters) -> None:
    order = np.random.default_rng(0).permutation(len(three_classes))
    train, test = three_classes[order[: len(order) // 2]], three_classes[order[len(order) // 2 :]]
    honest = transfer.scores(train, test, CLASSES)
    assert list(honest) == ["forest, simulation", "size cut, simulation", "size cut, real", "forest, real"]
    assert honest["forest, simulation"]["balanced_accuracy"] > honest["size cut, simulation"]["balanced_accuracy"]
    assert honest["size cut, real"]["accuracy"] >= honest["size cut, simulation"]["accuracy"]
    shuffled = train.with_table(label=np.random.default_rng(1).permutation(train.labels))
    wrong = transfer.scores(shuffled, test, CLASSES)["forest, simulation"]
    assert wrong["balanced_accuracy"] < honest["forest, simulation"]["balanced_accuracy"] - 0.2


def test_distances_class_by_class_ignore_the_other_classes(three_classes: Clusters) -> None:
    same = transfer.shape_distances(three_classes, overlay.as_masks(three_classes), CLASSES)
    assert set(same["label"]) == set(CLASSES)
    assert set(same["quantity"]) == set(overlay.SHAPES)
    assert (same["ks"] == 0).all()


def test_scores_of_the_size_cut_are_those_of_two_classes() -> None:
    guess = transfer.cut(np.array([1, 2, 9, 10]), np.array([0, 0, 2, 2]), np.array([1, 5, 20]))
    assert scores(np.array([0, 1, 2]), guess, CLASSES)["recall"] == {"xray": 1.0, "electron": 0.0, "muon": 1.0}
