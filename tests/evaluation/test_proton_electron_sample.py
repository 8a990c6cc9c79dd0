from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

import particle_zoo.data
from particle_zoo import Clusters, InputError
from particle_zoo.evaluation.proton_electron import rivals, sample
from tests.evaluation.small_study import ORBIT, make_few, tiny


@pytest.fixture(autouse=True)
def _few_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    make_few(monkeypatch)


def test_shares_of_the_labels_are_nested_and_balanced() -> None:
    labels = sample.load(tiny()).train.labels
    for seed in (0, 1):
        kept = [set(sample.share(labels, fraction, seed).tolist()) for fraction in (0.01, 0.1, 0.5, 1.0)]
        assert [len(part) for part in kept] == [2, 20, 100, 200]
        assert all(small < large for small, large in pairwise(kept))
        for part in kept:
            assert np.sum(labels[list(part)] == "proton") == len(part) / 2
    assert set(sample.share(labels, 0.1, 0)) != set(sample.share(labels, 0.1, 1))


def test_training_clusters_are_the_first_of_each_particle() -> None:
    found = sample.load(tiny(train=101))
    everything = particle_zoo.data.load(ORBIT, "train")
    for name in ("proton", "electron"):
        ids = everything.ids[everything.labels == name][:50].tolist()
        assert found.train.ids[found.train.labels == name].tolist() == ids
    assert found.test.ids.tolist() == particle_zoo.data.load(ORBIT, "test").ids[:150].tolist()
    parts = [set(part.table["primary"]) for part in (found.train, found.validation, found.test)]
    assert not any(one & other for one, other in combinations(parts, 2))


def test_more_training_clusters_than_there_are() -> None:
    with pytest.raises(
        InputError, match=r"--train 100000 takes 50000 clusters of each class and there are \d+; give 2 to \d+"
    ):
        sample.load(tiny(train=100_000))


def test_cuts_and_trees_never_see_the_test_clusters() -> None:
    clusters = sample.load(tiny())
    train, test = rivals.table(clusters.train), rivals.table(clusters.test)
    target = (clusters.train.labels == "electron").astype(int)
    # One by one, shuffled or without the others: what is said of a cluster does not depend on the rest.
    for name, learn in rivals.RIVALS.items():
        whole = learn(train, target, test, 0)
        assert np.array_equal(learn(train, target, test.iloc[::-1], 0)[::-1], whole), name
        assert np.array_equal(learn(train, target, test.iloc[:3], 0), whole[:3]), name
        assert ((whole >= 0) & (whole <= 1)).all()


def test_the_cut_uses_energy_and_size_alone() -> None:
    clusters = sample.load(tiny())
    train, test = rivals.table(clusters.train), rivals.table(clusters.test)
    target = (clusters.train.labels == "electron").astype(int)
    scrambled = test.copy()
    others = [name for name in rivals.FEATURES if name not in ("energy_sum", "size")]
    scrambled[others] = -1.0
    cut = rivals.energy_size_cut(train, target, test, 0)
    assert np.array_equal(rivals.energy_size_cut(train, target, scrambled, 0), cut)
    # At most four regions, and better than a coin.
    assert 2 <= len(np.unique(cut)) <= 4
    assert np.mean((cut >= 0.5) == (clusters.test.labels == "proton")) > 0.65


def test_features_do_not_depend_on_place_or_direction() -> None:
    clusters = sample.load(tiny()).test
    hits = clusters.hits.copy()
    hits[:, [0, 1]] = 255 - hits[:, [1, 0]]
    turned = Clusters(hits, clusters.columns, clusters.offsets, clusters.table, clusters.unit)
    # Ways along the pixels of equal length are told apart by their place.
    steady = [name for name in rivals.FEATURES if name not in ("skeleton_length", "tortuosity")]
    found, again = rivals.table(clusters)[steady], rivals.table(turned)[steady]
    assert np.isclose(found, again, rtol=1e-4).mean() > 0.99
