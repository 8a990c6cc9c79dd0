"""Clusters a second from records on disk or from memory to model inputs, beside what one would use instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.data import store
from particle_zoo.data.cluster_stream import ClusterStream
from particle_zoo.evaluation.pipeline import rivals
from particle_zoo.evaluation.pipeline.material import Material
from particle_zoo.evaluation.pipeline.packed import PackedClusters
from particle_zoo.evaluation.pipeline.reading import Groups, batches
from particle_zoo.evaluation.pipeline.timing import fastest
from particle_zoo.pipelines.examples import Examples

TOLERANCE = 1e-5
"""Pixels of a rival differ by at most this: a shrunken image is a sum in another order."""

Batches = Iterator[tuple[Any, np.ndarray]]


def measure(material: Material, scratch: Path, *, batch_size: int, seed: int, repeats: int) -> dict[str, Any]:
    """Time every way for one kind of clusters.

    Args:
        material: the clusters.
        scratch: folder for the records; they remain in it.
        batch_size: clusters a batch.
        seed: of all orders.
        repeats: passes of each way after one that does not count; the fastest counts.

    Returns:
        `speeds`, clusters a second of each of `rivals.WAYS`, those of PyTorch None where it is not installed: `first_pass` from
        records of TFDS, one a cluster, `packed` from records of many, both read ahead by two threads; `in_memory` from hits in
        memory by `Examples`, batch by batch in one thread, `cached` from images that were kept; `generator` and `loader_N` as in
        `rivals`, from hits in memory, too. `ratio` is that of `in_memory` to `generator`; records and cache do not enter it.
        `same_order` says whether an epoch from disk repeats under its seed and the next is another one; `mb` how large the records
        are.

    Raises:
        AssertionError: a rival, or the records, give other inputs.
    """
    stream, packed = records(material, scratch)
    chosen: dict[str, Any] = {"batch_size": batch_size, "seed": seed, "shuffle": True, "classes": material.classes}
    drawn = Examples(material.clusters, material.preprocess, cache=0, **chosen)
    kept = Examples(material.clusters, material.preprocess, cache=2**62, **chosen)
    order = np.random.default_rng((seed, 0, 0)).permutation(len(material.clusters)).tolist()
    loaders = _loaders(material, drawn, order, batch_size)
    hits = list(material.clusters)
    targets = drawn.targets
    assert targets is not None

    def from_disk(stored: Groups, epoch: int) -> Batches:
        return batches(stored, material.preprocess, material.classes, batch_size=batch_size, seed=seed, epoch=epoch)

    def by_hand() -> Batches:
        return rivals.generated(hits, targets, material.example, order, batch_size)

    check_same(material, _epoch(drawn), by_hand())
    check_same(material, _epoch(drawn), _epoch(kept))
    for loader in loaders.values():
        check_same(material, _epoch(drawn), _arrays(loader))
    check_equal_sets(material, from_disk(stream, 0), from_disk(packed, 0), by_hand())

    ways: dict[str, Callable[[], Batches]] = {
        "first_pass": lambda: from_disk(stream, 0),
        "packed": lambda: from_disk(packed, 0),
        "in_memory": lambda: _epoch(drawn),
        "cached": lambda: _epoch(kept),
        "generator": by_hand,
        **{name: lambda loader=loader: iter(loader) for name, loader in loaders.items()},  # type: ignore[misc]
    }
    n = len(material.clusters)
    speeds: dict[str, Any] = dict.fromkeys(rivals.WAYS)
    speeds |= {name: n / seconds for name, seconds in fastest(ways, repeats).items()}
    return {
        "input": material.name,
        "clusters": n,
        "mean_pixels": float(material.clusters.sizes.mean()),
        "speeds": speeds,
        "ratio": speeds["in_memory"] / speeds["generator"],
        "same_order": _repeats(from_disk, stream),
        "mb": {"first_pass": _mb(Path(scratch) / "records"), "packed": _mb(packed.path)},
    }


def records(material: Material, scratch: Path) -> tuple[ClusterStream, PackedClusters]:
    """The clusters in records of TFDS, one a cluster, and packed; only what is preprocessed is read of their tables."""
    folder, file = Path(scratch) / "records", Path(scratch) / "packed.tfrecord"
    if not folder.exists():
        # Every id is in the training split.
        store.write(folder, [material.clusters], split_by="id")
        PackedClusters.write(file, [material.clusters])
    read = frozenset(material.preprocess.TABLE)
    return ClusterStream.of_folder(folder, columns=read), PackedClusters(file, columns=read)


def check_same(material: Material, ours: Batches, theirs: Batches) -> None:
    """See that two ways give the same inputs and targets, batch by batch."""
    for (image, target), (other, wanted) in zip(ours, theirs, strict=True):
        assert np.array_equal(target, wanted), f"{material.name}: the targets differ"
        assert np.allclose(material.filled_up(image), material.filled_up(other), atol=TOLERANCE, rtol=0), (
            f"{material.name}: the inputs differ"
        )


def check_equal_sets(material: Material, *ways: Batches) -> None:
    """See that ways in different orders give inputs of the same classes and total."""
    found = []
    for way in ways:
        total, count = 0.0, np.zeros(len(material.classes), np.int64)
        for image, target in way:
            total += float(image.sum(dtype=np.float64))
            count += np.bincount(target, minlength=len(material.classes))
        found.append((total, count))
    for total, count in found[1:]:
        assert np.array_equal(count, found[0][1]), f"{material.name}: the records hold other clusters"
        assert np.isclose(total, found[0][0], rtol=1e-6), f"{material.name}: the records hold other clusters"


def _loaders(material: Material, drawn: Examples, order: Sequence[int], batch_size: int) -> dict[str, Any]:
    if not rivals.has_torch() or drawn.targets is None:
        return {}
    data = rivals.Mapped(list(material.clusters), drawn.targets, material.example)
    return {f"loader_{workers}": rivals.loader(data, order, batch_size, workers) for workers in rivals.WORKERS}


def _arrays(loader: Any) -> Batches:
    for images, targets in loader:
        yield images.numpy(), targets.numpy()


def _epoch(examples: Examples) -> Batches:
    """The first epoch."""
    for step in range(len(examples)):
        yield examples.batch(step)  # type: ignore[misc]


def _repeats(from_disk: Callable[[Groups, int], Batches], stream: ClusterStream) -> bool:
    """Whether an epoch has the same order each time, and the next one another."""
    first, again, following = (
        [(target.tobytes(), float(image.sum())) for image, target in from_disk(stream, epoch)] for epoch in (0, 0, 1)
    )
    return first == again and first != following


def _mb(path: Path) -> float:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6
