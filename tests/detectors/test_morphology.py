from __future__ import annotations

import numpy as np
import pytest

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
