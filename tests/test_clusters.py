from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from particle_zoo import Clusters, InputError

pixel = st.tuples(st.integers(0, 300), st.integers(0, 200), st.floats(0, 1e4, width=32))
hit_lists = st.lists(st.lists(pixel, min_size=1, max_size=9), max_size=8)


def build(lists: list[list[tuple[int, int, float]]]) -> Clusters:
    return Clusters.from_list(lists, label=[f"c{i}" for i in range(len(lists))])


def content(clusters: Clusters) -> list[tuple[str, list[list[float]]]]:
    return [(label, hits.tolist()) for label, hits in zip(clusters.labels, clusters, strict=True)]


@given(hit_lists, st.data())
def test_selecting_like_a_list(lists: list[list[tuple[int, int, float]]], data: st.DataObject) -> None:
    clusters = build(lists)
    index = data.draw(st.lists(st.integers(0, max(len(lists) - 1, 0)), max_size=6)) if lists else []
    assert content(clusters[index]) == [content(clusters)[i] for i in index]
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(lists), max_size=len(lists))), bool)
    assert content(clusters[mask]) == [c for c, keep in zip(content(clusters), mask, strict=True) if keep]
    part = data.draw(st.slices(len(lists))) if lists else slice(None)
    assert content(clusters[part]) == content(clusters)[part]


@given(hit_lists, st.integers(0, 8))
def test_cutting_and_joining_gives_the_whole(lists: list[list[tuple[int, int, float]]], cut: int) -> None:
    clusters = build(lists)
    joined = Clusters.concat([clusters[:cut], clusters[cut:]])
    assert content(joined) == content(clusters)
    assert joined.offsets.dtype == np.int64


@given(hit_lists)
@settings(max_examples=50)
def test_one_row_of_features_a_cluster(lists: list[list[tuple[int, int, float]]]) -> None:
    clusters = build(lists)
    features = clusters.features()
    assert len(features) == len(lists)
    assert (features["size"] == clusters.sizes).all()
    # At most one pixel a place of the box, unless a pixel was hit twice.
    assert (features["long_side"] >= features["short_side"]).all()


def test_empty_set_and_single_pixel() -> None:
    empty = Clusters.empty()
    assert len(empty) == 0
    assert len(Clusters.concat([empty, empty])) == 0
    assert empty.images(16).shape == (0, 16, 16)
    one = Clusters.from_list([[[3, 7, 5.0]]])
    assert one.features()[["height", "width", "size", "energy_sum"]].iloc[0].tolist() == [1, 1, 1, 5]
    assert one[0].hits.tolist() == [[3, 7, 5]]
    assert one.images(4, "energy").sum() == 5


def test_masks_draw_as_masks_unless_told_otherwise() -> None:
    masks = Clusters.from_list([[[3, 7, 1.0], [3, 8, 1.0]]], unit="mask")
    assert masks.images(4).sum() == 2
    with pytest.raises(InputError, match="masks"):
        masks.images(4, "energy")


def test_hits_are_immutable_and_times_keep_double_precision() -> None:
    clusters = Clusters.from_list([[[0, 0, 1, 203346.875]]], columns=("row", "col", "energy", "toa"))
    assert clusters.hits.dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        clusters.hits[0, 0] = 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": [0, 2, 2]}, "no hits"),
        ({"offsets": [0, 1]}, "offsets"),
        ({"columns": ("x", "y", "energy")}, "row, col, energy"),
        ({"unit": "J"}, "unit"),
    ],
)
def test_contradictions_are_refused(change: dict[str, object], message: str) -> None:
    import pandas as pd

    parts = {
        "hits": np.ones((2, 3)),
        "columns": ("row", "col", "energy"),
        "offsets": [0, 1, 2],
        "table": pd.DataFrame(index=range(2)),
    }
    with pytest.raises(InputError, match=message):
        Clusters(**{**parts, **change})  # type: ignore[arg-type]


def test_units_do_not_mix() -> None:
    with pytest.raises(InputError, match="keV"):
        Clusters.concat([Clusters.empty(unit="keV"), Clusters.empty(unit="ADU")])
