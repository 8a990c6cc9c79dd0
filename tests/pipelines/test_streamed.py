from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from particle_zoo import Clusters, InputError
from particle_zoo.data import cluster_stream, store
from particle_zoo.data.cluster_stream import ClusterStream
from particle_zoo.pipelines import stream_order, streamed
from particle_zoo.pipelines.balance import flat_probabilities, size_bins
from particle_zoo.pipelines.ccd import CCDPreprocessor
from particle_zoo.pipelines.examples import Examples
from particle_zoo.pipelines.streamed import StreamedExamples
from particle_zoo.pipelines.timepix import TimepixPreprocessor

N = 900


def lines(sizes: np.ndarray, labels: list[str]) -> Clusters:
    """Rows of pixels of these sizes; the energy of every pixel is the number of its cluster."""
    place = np.concatenate([np.arange(size) for size in sizes])
    number = np.repeat(np.arange(len(sizes)), sizes)
    hits = np.stack([np.zeros(len(place)), place, number + 1], axis=1).astype(np.float32)
    table = {"id": [f"c{i}" for i in range(len(sizes))], "label": labels, "group": "train"}
    return Clusters.from_list(np.split(hits, np.cumsum(sizes)[:-1]), **table)


@pytest.fixture(scope="module")
def clusters() -> Clusters:
    """Sizes of five octaves, the larger the fewer; one muon in three."""
    rng = np.random.default_rng(1)
    low = np.array([1, 2, 4, 8, 16])[rng.choice(5, N, p=[0.5, 0.3, 0.12, 0.05, 0.03])]
    sizes = low + rng.integers(0, low)
    return lines(sizes, np.where(np.arange(N) % 3, "electron", "muon").tolist())


@pytest.fixture(scope="module")
def folder(clusters: Clusters, tmp_path_factory: pytest.TempPathFactory) -> Path:
    # One value for all: they stay in one split.
    return store.write(tmp_path_factory.mktemp("streamed") / "set", [clusters], split_by="group")


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_stream, "RECORDS", 20)
    monkeypatch.setattr(stream_order, "WINDOW", 4)


@pytest.fixture
def stream(folder: Path) -> ClusterStream:
    (split,) = (name for name in ("train", "validation", "test") if list(folder.glob(f"*-{name}.tfrecord*")))
    return ClusterStream.of_folder(folder, split, columns=())


def numbers(clusters: Clusters) -> np.ndarray:
    return clusters.hits[clusters.offsets[:-1], 2].astype(int) - 1


def first_numbers(stream: ClusterStream, steps: Any, **options: Any) -> list[list[int]]:
    """Numbers of the clusters of each batch, through what a model would be given."""
    examples = StreamedExamples(stream, lambda part: numbers(part)[:, None], **options)
    return [examples.batch(step)[0][:, 0].tolist() for step in steps]


def test_every_cluster_comes_once_an_epoch_in_an_order_of_seed_and_epoch(stream: ClusterStream) -> None:
    per_epoch = -(-N // 64)
    batches = first_numbers(stream, range(3 * per_epoch), batch_size=64, seed=5)
    assert [len(batch) for batch in batches] == ([64] * (per_epoch - 1) + [N % 64]) * 3
    epochs = [np.concatenate(batches[i : i + per_epoch]).tolist() for i in range(0, 3 * per_epoch, per_epoch)]
    assert all(sorted(epoch) == list(range(N)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert first_numbers(stream, [0], batch_size=64, seed=6)[0] != batches[0]
    # A window mixes its groups: no batch comes from one of them.
    groups = [set(numbers(stream.read(group)).tolist()) for group in range(len(stream.groups))]
    assert all(len(set(batch) & group) < 30 for batch in batches for group in groups)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("samples", [0, 100])
def test_a_batch_is_a_function_of_the_step_alone(stream: ClusterStream, flat: bool, samples: int) -> None:
    options: dict[str, Any] = {"batch_size": 32, "seed": 2, "flat": flat, "samples": samples}
    steps = list(range(44))
    forwards = first_numbers(stream, steps, **options)
    backwards = first_numbers(stream, steps[::-1], **options)
    assert forwards == backwards[::-1]
    assert first_numbers(stream, [41], **options) == [forwards[41]]


def test_inputs_targets_and_weights_are_those_of_examples(stream: ClusterStream, clusters: Clusters) -> None:
    make = CCDPreprocessor(size=8, input="energy", with_meta=True).fit(clusters)
    options: dict[str, Any] = {"classes": ("muon", "electron"), "batch_size": N, "balance": 1.0}
    here, there = StreamedExamples(stream, make, **options), Examples(clusters, make, **options)
    assert here.weights is not None
    assert there.weights is not None
    np.testing.assert_allclose(here.weights, there.weights, rtol=1e-6)
    assert len(here) == len(there)
    assert here.largest == there.largest
    order = numbers(here.clusters(0, N))
    inputs, targets = here.batch(0)
    expected, labels = there.batch(0)
    assert labels is not None
    for name, values in inputs.items():
        np.testing.assert_array_equal(values, expected[name][order])
    np.testing.assert_array_equal(targets, labels[order])


def test_the_largest_image_is_that_of_examples_and_clusters_turn(stream: ClusterStream, clusters: Clusters) -> None:
    make = TimepixPreprocessor(size=24).fit(clusters)
    examples = StreamedExamples(stream, make, batch_size=N, augment=True)
    assert examples.largest == Examples(clusters, make).largest
    turned = examples.batch(0)[0]
    lying = (turned[..., 0] > 0).any(axis=1).sum(axis=1)
    standing = (turned[..., 0] > 0).any(axis=2).sum(axis=1)
    assert ((lying > standing).sum(), (standing > lying).sum()) > (50, 50)


def test_flat_draws_have_every_octave_equally_often(stream: ClusterStream, clusters: Clusters) -> None:
    drawn = np.concatenate(first_numbers(stream, range(200), batch_size=50, seed=1, flat=True))
    found = np.bincount(size_bins(clusters.sizes[drawn])) / len(drawn)
    draw = flat_probabilities(clusters.sizes)
    expected = np.bincount(size_bins(clusters.sizes), weights=draw)
    np.testing.assert_allclose(found, expected, atol=0.02)
    # Common clusters take turns: none comes a second time before all have come once.
    common = drawn[size_bins(clusters.sizes)[drawn] == 0]
    count = Counter(common.tolist())
    assert set(count.values()) <= {min(count.values()), min(count.values()) + 1}
    assert len(count) == (clusters.sizes == 1).sum()


@pytest.mark.parametrize("pool", [None, 0])
def test_a_short_epoch_sees_as_many_different_rare_clusters_as_in_memory(
    stream: ClusterStream, clusters: Clusters, pool: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if pool is not None:
        monkeypatch.setattr(streamed, "POOL_BYTES", pool)
    rare = clusters.sizes >= 8
    draw = flat_probabilities(clusters.sizes)

    def different(examples: Any) -> float:
        found = [np.concatenate([examples.batch(epoch * 4 + i)[0][:, 0] for i in range(4)]) for epoch in range(20)]
        return float(np.mean([len(np.unique(epoch[rare[epoch]])) for epoch in found]))

    def make(part: Clusters) -> np.ndarray:
        return numbers(part)[:, None]

    here = StreamedExamples(stream, make, batch_size=25, seed=3, flat=True, samples=100)
    there = Examples(clusters, make, batch_size=25, seed=3, shuffle=True, draw=draw, samples=100)
    if pool is None:
        assert different(here) == pytest.approx(different(there), rel=0.1)
    else:
        # Without a pool they take turns, so that even more are different.
        assert different(here) >= 0.95 * different(there)


def test_memory_holds_a_window_and_a_pool_and_no_more(stream: ClusterStream, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = StreamedExamples(stream, lambda part: numbers(part)[:, None], batch_size=50, flat=True)
    assert examples._pool is not None
    assert len(examples._pool) < N / 4
    reads = Counter[int]()
    read = ClusterStream.read
    monkeypatch.setattr(ClusterStream, "read", lambda self, group: reads.update([group]) or read(self, group))
    for step in range(10):
        examples.batch(step)
        assert examples._window[1] is not None
        assert len(examples._window[1]) <= 4 * 20
    # No group twice in one pass.
    assert max(reads.values()) == 1


def test_nothing_is_drawn_that_was_not_asked_for(folder: Path, stream: ClusterStream) -> None:
    split = stream.groups[0].path.name.partition("-")[2].partition(".")[0]
    chosen = ClusterStream.of_folder(folder, split, classes=("muon",), limit=100)
    epochs = np.concatenate(first_numbers(chosen, range(4), batch_size=50)).tolist()
    assert sorted(epochs) == sorted(2 * list(set(epochs)))
    assert len(set(epochs)) == 100
    assert all(number % 3 == 0 for number in epochs)
    with pytest.raises(InputError, match=r"labels 'electron' are not among the classes muon"):
        StreamedExamples(stream, numbers, classes=("muon",))


def test_a_cluster_that_cannot_be_drawn_is_found_before_the_first_epoch(tmp_path: Path, clusters: Clusters) -> None:
    hits = clusters.hits.copy()
    hits[-1, 2] = np.nan
    bad = Clusters(hits, clusters.columns, clusters.offsets, clusters.table, clusters.unit)
    folder = store.write(tmp_path / "set", [bad], split_by="group")
    (path,) = folder.glob("*.tfrecord*")
    stream = ClusterStream.of_folder(folder, path.name.partition("-")[2].partition(".")[0])
    with pytest.raises(InputError, match=f"cluster c{N - 1} has a pixel energy of nan"):
        StreamedExamples(stream, TimepixPreprocessor(size=24))
