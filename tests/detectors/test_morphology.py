from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_zoo import Clusters
from particle_zoo.detectors.morphology import FEATURES, features


def of(pixels: list[tuple[int, int]]) -> dict[str, float]:
    cluster = Clusters.from_list([[(r, c, 2.0) for r, c in pixels]])
    return features(cluster).iloc[0].to_dict()


def test_a_line_is_long_thin_and_has_no_inner_pixel() -> None:
    line = of([(0, c) for c in range(12)])
    assert line["length"] == pytest.approx(12)
    assert line["std_across"] == pytest.approx(np.sqrt(1 / 12))
    assert line["inner"] == 0
    assert line["fill"] == 1


def test_a_disc_is_round() -> None:
    disc = of([(r, c) for r in range(21) for c in range(21) if (r - 10) ** 2 + (c - 10) ** 2 <= 100])
    assert disc["elongation"] == pytest.approx(1, abs=1e-6)
    assert 0.8 < disc["roundness"] < 1.05
    assert disc["inner"] + disc["border"] == disc["size"]


@pytest.mark.parametrize(
    ("pixels", "length"),
    [
        ([(0, 0)], 1.0),
        ([(0, 0), (0, 1)], 2.0),
        ([(0, 0), (1, 1)], 1 + np.sqrt(2)),
        ([(0, 0), (0, 1), (1, 0)], 1 + np.sqrt(2)),
        ([(0, 0), (0, 1), (1, 0), (1, 1)], 2.0),
        ([(0, 1), (1, 0), (1, 1), (1, 2), (2, 1)], 3.0),
        ([(i, i) for i in range(10)], 1 + 9 * np.sqrt(2)),
        ([(i, 2 * i) for i in range(10)], 1 + 9 * np.sqrt(5)),
    ],
)
def test_size_length_and_roundness_of_clusters_made_by_hand(pixels: list[tuple[int, int]], length: float) -> None:
    found = of(pixels)
    assert found["size"] == len(pixels)
    assert found["length"] == pytest.approx(length)
    # The share of the circle over the length that is hit: 4/pi for a full square, little for a line.
    assert found["roundness"] == pytest.approx(len(pixels) / (np.pi * length**2 / 4))


shapes = st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=16)


@given(shapes, st.integers(0, 250), st.integers(0, 250))
def test_every_shape_survives_turning_mirroring_and_moving(pixels: set[tuple[int, int]], row: int, col: int) -> None:
    first = of(sorted(pixels))
    turned = of(sorted((c + row, col + 9 - r) for r, c in pixels))
    mirrored = of(sorted((r + row, col + 9 - c) for r, c in pixels))
    for name in ("size", "length", "roundness", "std_along", "std_across", "inner", "border", "fill"):
        assert turned[name] == pytest.approx(first[name]), name
        assert mirrored[name] == pytest.approx(first[name]), name


def test_shape_with_equal_spread_has_no_axis_to_choose() -> None:
    # Rounding of the mean (32/9) used to decide along which diagonal its length was taken.
    odd = [(7, 34), (7, 36), (7, 37), (8, 34), (8, 35), (9, 34), (9, 37), (10, 35), (10, 36)]
    assert of(odd)["length"] == of([(c, 90 - r) for r, c in odd])["length"] == 4


def test_shape_is_the_same_after_turning_and_moving() -> None:
    pixels = [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (4, 3)]
    first, turned = of(pixels), of([(c + 40, 90 - r) for r, c in pixels])
    for name in set(FEATURES) - {"height", "width"}:
        assert turned[name] == pytest.approx(first[name]), name
    assert (turned["height"], turned["width"]) == (first["width"], first["height"])


def test_masks_take_their_energy_from_the_table() -> None:
    mask = Clusters.from_list([[(0, 0, 1)], [(0, 0, 1)]], unit="mask", energy_sum=[7.5, np.nan])
    found = features(mask)
    assert found["energy_sum"].tolist()[0] == 7.5
    assert np.isnan(found["energy_sum"][1])
    assert found["energy_max"].isna().all()
