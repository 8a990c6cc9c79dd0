from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from particle_zoo import InputError
from particle_zoo.detectors.clustering import breadth_first, cluster
from particle_zoo.detectors.clustering.union_find import components

small_frames = arrays(
    np.float32, st.tuples(st.integers(1, 12), st.integers(1, 9)), elements=st.sampled_from([0, 4000, 5000])
)


@given(small_frames, st.integers(1, 6))
def test_same_clusters_as_the_seeds_search(frame: np.ndarray, min_size: int) -> None:
    found = cluster(frame, min_size=min_size)
    ours = [sorted(map(tuple, h[:, :2].astype(int).tolist())) for h in found]
    assert ours == [sorted(pixels) for pixels in breadth_first(frame, 4000, min_size)]


def test_metadata_and_coordinates_of_a_known_frame() -> None:
    frame = np.full((20, 11), 3900.0)
    # A diagonal touches by corners only; one of its pixels is exactly at the threshold.
    for i in range(5):
        frame[10 + i, 3 + i] = 4000 + 100 * i
    found = cluster(frame, source="f")
    assert len(found) == 1
    row = found.table.iloc[0]
    assert (row["row0"], row["col0"], row["height"], row["width"], row["size"]) == (10, 3, 5, 5, 5)
    # The pixel at the threshold is a hit but adds nothing to the sum, as in the seed.
    assert row["energy_sum"] == 4100 + 4200 + 4300 + 4400
    assert row["id"] == "f:0"
    assert len(cluster(frame, connectivity=4)) == 0


def test_edge_is_cut_and_coordinates_stay() -> None:
    frame = np.zeros((30, 20))
    frame[:, 0:3] = 9000
    frame[12:15, 10:12] = 9000
    found = cluster(frame, edge=(0, 0, 5, 0))
    assert found.table[["row0", "col0"]].to_numpy().tolist() == [[12, 10]]


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (np.zeros(5), {}, "rows and columns"),
        (np.full((4, 4), np.nan), {}, "row 0, col 0"),
        (np.zeros((4, 4)), {"edge": (3, 3, 0, 0)}, "leaves nothing"),
        (np.zeros((4, 4)), {"connectivity": 6}, "4 or 8"),
    ],
)
def test_bad_frames(frame: np.ndarray, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        cluster(frame, **options)  # type: ignore[arg-type]


@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.7))
def test_components_are_those_of_a_labelling_by_image(seed: int, filled: float) -> None:
    from scipy import ndimage

    images = np.random.default_rng(seed).random((3, 7, 9)) < filled
    event, row, col = np.nonzero(images)
    starts = np.searchsorted(event, np.arange(4))
    label, _ = components(row, col, np.empty(0, np.int64), starts, 0, 7, 9, True)
    pairs = set()
    offset = 0
    for i in range(3):
        own, count = ndimage.label(images[i], np.ones((3, 3)))
        pairs |= set(zip(label[event == i].tolist(), (own[images[i]] + offset).tolist(), strict=True))
        offset += count
    assert len(pairs) == offset == len(set(label.tolist()))
