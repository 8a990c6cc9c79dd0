from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from particle_zoo import Clusters, Frames, Hits, InputError
from particle_zoo.detectors.clustering import cluster, cluster_stream
from particle_zoo.detectors.hits import STEP_NS

Rng = np.random.Generator


def brute_force(hits: Hits, window_ns: float = 200.0, connectivity: int = 8) -> set[frozenset[int]]:
    """All pairs of hits; the reference."""
    row, col, toa, chip, run = (np.asarray(getattr(hits, n), np.int64) for n in ("row", "col", "toa", "chip", "run"))

    def apart(values: np.ndarray) -> np.ndarray:
        return np.abs(values[:, None] - values[None, :])

    reach = np.maximum(apart(row), apart(col)) if connectivity == 8 else apart(row) + apart(col)
    near = (reach <= 1) & (apart(toa) * STEP_NS <= window_ns) & (apart(chip) == 0) & (apart(run) == 0)
    label = connected_components(coo_array(near), directed=False)[1]
    return {frozenset(hits.energy[label == i].astype(int).tolist()) for i in np.unique(label)}


def partition(found: Clusters) -> set[frozenset[int]]:
    """Hits are told apart by their energy, which is their number in the stream."""
    return {frozenset(h[:, 2].astype(int).tolist()) for h in found}


def stream(rng: Rng) -> Hits:
    """A few tens of hits made to be difficult: tracks that start together, on the same pixels again a little later, at
    the edges, exactly one window apart, twice in a pixel; on up to three chips and two runs, in any order."""
    side = int(rng.choice([3, 8, 256]))
    parts = []
    for _ in range(rng.integers(1, 6)):
        length = int(rng.integers(1, 9))
        angle = rng.uniform(0, 2 * np.pi)
        along = np.arange(length)
        row = np.clip(np.rint(rng.integers(side) + along * np.sin(angle)), 0, side - 1)
        col = np.clip(np.rint(rng.integers(side) + along * np.cos(angle)), 0, side - 1)
        toa = rng.choice([0, 128, 129, 640, 2**34]) + rng.choice([0, 1, 64, 128, 129], size=length).cumsum()
        parts.append(np.stack([row, col, toa]))
        if rng.random() < 0.4:
            # The same pixels 1 us later, and some of them at the very same time.
            parts.append(np.stack([row, col, toa + rng.choice([0, 640, 128])]))
    row, col, toa = np.concatenate(parts, axis=1).astype(np.int64)
    n = len(row)
    chip = rng.integers(0, rng.integers(1, 4), n)
    run = rng.integers(0, rng.integers(1, 3), n)
    order = rng.permutation(n) if rng.random() < 0.7 else np.argsort(toa, kind="stable")
    return Hits(row[order], col[order], np.arange(n), toa[order], chip[order], run=run[order])


def test_the_same_partition_as_all_pairs_on_1000_random_streams() -> None:
    rng = np.random.default_rng(11)
    joined = 0
    for _ in range(1000):
        hits = stream(rng)
        window = float(rng.choice([0.0, 100.0, 200.0, 201.0]))
        connectivity = int(rng.choice([4, 8]))
        expected = brute_force(hits, window, connectivity)
        joined += len(hits) - len(expected)
        assert partition(cluster(hits, window_ns=window, connectivity=connectivity)) == expected
    # The streams are worth something: many hits were joined to others.
    assert joined > 5000


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_stream_in_parts_gives_the_clusters_of_the_whole(size: int) -> None:
    rng = np.random.default_rng(5)
    for _ in range(60):
        hits = stream(rng).sorted()
        # Late by up to the disorder allowed.
        order = np.lexsort((hits.toa + rng.integers(0, 640, len(hits)), hits.run))
        late = hits[order]
        parts = [late[i : i + size] for i in range(0, len(late), size)]
        found = list(cluster_stream(parts, disorder_ns=1000.0, source="s"))
        assert partition(Clusters.concat(found)) == partition(cluster(hits)) == brute_force(hits)
        ids = list(itertools.chain.from_iterable(part.ids for part in found))
        assert ids == [f"s:{i}" for i in range(len(ids))]


def test_a_stream_keeps_only_what_is_open() -> None:
    """A million hits of a steady stream in parts; what waits for the next part is what the disorder allows."""
    toa = np.arange(200_000, dtype=np.int64) * 1000
    hits = Hits(np.arange(200_000) * 7 % 256, np.arange(200_000) * 5 % 256, np.arange(200_000), toa)
    seen = []
    for i, found in enumerate(
        cluster_stream((hits[k : k + 10_000] for k in range(0, 200_000, 10_000)), disorder_ns=1e5)
    ):
        seen.append(len(found.hits))
        assert sum(seen) >= min(10_000 * (i + 1), 200_000) - 100
    assert sum(seen) == 200_000


def test_a_hit_that_comes_too_late_is_refused() -> None:
    parts = [Hits([1, 1], [1, 1], [1, 2], np.array([0, 100_000])), Hits([1], [1], [3], np.array([0]))]
    with pytest.raises(InputError, match=r"chip 0 at 0 ns comes 156 us after later ones.*raise disorder_ns"):
        list(cluster_stream(parts, disorder_ns=1e5, source="beam.t3pa"))
    assert sum(map(len, cluster_stream(parts, disorder_ns=2e5))) == 2


def test_two_tracks_over_the_same_pixels_a_microsecond_apart() -> None:
    track = np.arange(10)
    hits = Hits(np.tile(track, 2), np.tile(track, 2), np.arange(20), np.repeat([0, 640], 10))
    assert cluster(hits).sizes.tolist() == [10, 10]
    assert len(cluster(hits, window_ns=1000.0)) == 1
    assert len(cluster(hits, window_ns=999.9)) == 2


def test_the_edge_of_a_chip_is_not_the_beginning_of_the_next_row() -> None:
    hits = Hits([0, 1, 255, 5], [255, 0, 255, 0], [1, 2, 3, 4], np.zeros(4, np.int64))
    assert len(cluster(hits)) == 4


def test_the_table_and_the_order_of_clusters() -> None:
    hits = Hits([5, 9, 5], [5, 9, 6], [10, 20, 30], np.array([1600, 64, 1610]), np.array([0, 2, 0]))
    found = cluster(hits, source="a.t3pa")
    assert found.table.drop(columns="label").to_dict("list") == {
        "id": ["a.t3pa:0", "a.t3pa:1"],
        "run": [0, 0],
        "chip": [0, 2],
        "first_toa_ns": [2500.0, 100.0],
        "source": ["a.t3pa", "a.t3pa"],
    }
    assert (found.columns, found.unit) == (("row", "col", "energy", "toa"), "ToT")
    assert found.hits[:2].tolist() == [[5, 5, 10, 2500.0], [5, 6, 30, 2515.625]]
    assert cluster(hits, min_size=2).ids.tolist() == ["hits:0"]
    assert len(cluster(Hits.empty())) == 0


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        (Hits.empty(), {"window_ns": -1.0}, "window_ns"),
        (Hits.empty(), {"min_size": 0}, "min_size"),
        (Hits.empty(), {"connectivity": 6}, "4 or 8"),
        (Hits.empty(), {"edge": 3}, "Hits has no setting edge; it takes window_ns"),
        (Hits([-1], [0], [1], np.zeros(1, np.int64)), {}, "counted from 0"),
        ([[1, 2]], {}, "received list"),
        (Clusters.empty(), {}, "clusters already"),
    ],
)
def test_what_cannot_be_clustered(data: object, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        cluster(data, **settings)  # type: ignore[arg-type]


def frames_of(images: np.ndarray, **options: object) -> Frames:
    return Frames.from_dense(images, **options)  # type: ignore[arg-type]


@given(st.integers(0, 2**32 - 1), st.sampled_from([4, 8]))
def test_frames_have_the_clusters_of_their_images(seed: int, connectivity: int) -> None:
    """One by one as images, and together as sparse frames in any order of their pixels."""
    rng = np.random.default_rng(seed)
    images = np.where(rng.random((4, 7, 5)) < 0.4, rng.integers(1, 50, (4, 7, 5)), 0).astype(np.float32)
    frames = frames_of(images)
    order = np.lexsort((rng.random(len(frames.row)), frames.pixel_frame))
    shuffled = Frames(frames.row[order], frames.col[order], frames.energy[order], frames.offsets, frames.shape)
    expected = [
        sorted(map(tuple, h.tolist()))
        for image in images
        for h in cluster(image, threshold=1.0, min_size=1, connectivity=connectivity)
    ]
    for source in (frames, shuffled):
        found = cluster(source, connectivity=connectivity)
        assert sorted(sorted(map(tuple, h.tolist())) for h in found) == sorted(expected)
    assert cluster(frames).table["frame"].is_monotonic_increasing


def test_frames_with_times_are_told_apart_by_them() -> None:
    frames = Frames([1, 1, 1], [1, 2, 3], [9, 9, 9], [0, 3], (4, 4), toa=np.array([640, 0, 10]))
    found = cluster(frames)
    assert found.sizes.tolist() == [2, 1]
    assert found.column("toa").tolist() == [0.0, 15.625, 1000.0]
    assert cluster(frames, window_ns=None).sizes.tolist() == [3]


def test_frames_keep_what_their_table_says() -> None:
    import pandas as pd

    table = pd.DataFrame({"frame": [7, 8, 9], "start_s": [0.5, 1.5, 2.5], "source": ["a", "b", "c"]})
    images = np.zeros((3, 4, 4), np.int16)
    images[1, 0, 0] = images[2, 0, 0] = images[2, 3, 3] = 5
    found = cluster(frames_of(images, table=table), min_size=1)
    assert found.ids.tolist() == ["b:8:0", "c:9:0", "c:9:1"]
    assert found.table["start_s"].tolist() == [1.5, 2.5, 2.5]
    assert len(cluster(frames_of(images, table=table), threshold=6.0)) == 0
