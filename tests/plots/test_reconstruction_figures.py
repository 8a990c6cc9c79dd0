from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from particle_zoo import Clusters
from particle_zoo.detectors.holy import classify
from particle_zoo.plots.reconstruction import by_track_type
from tests.evaluation.stand_in import StandIn, image_only, line, perfect

BLOB = [(r, c, 30) for r in range(6) for c in range(6)]


@pytest.fixture
def clusters() -> Clusters:
    """A dot, two blobs and a track: three types."""
    return Clusters.from_list([[(1, 1, 50)], BLOB, [*BLOB, (6, 2, 30)], line(30, 16)])


@pytest.mark.parametrize(("draw", "pairs"), [(perfect, 3), (image_only, 2)])
def test_a_row_a_type_and_a_scale_a_pair(
    draw: Any, pairs: int, clusters: Clusters, drawn: list[Figure], tmp_path: Path
) -> None:
    by_track_type(StandIn(draw), clusters, classify(clusters), tmp_path / "r.png")
    (figure,) = drawn
    panels = [axis for axis in figure.axes if axis.images]
    # Three types; a pair for each head and the residual; a bar for each of these.
    assert len(panels) == 3 * (2 * pairs + 1)
    assert len(figure.axes) == len(panels) + pairs + 1
    labels = [axis.get_ylabel() for axis in panels if axis.get_ylabel()]
    assert labels == ["dot\n1 px", "heavy blob\n37 px", "straight track\n16 px"]
    first = [axis.images[0] for axis in panels[:3]]
    assert first[0].get_clim() == first[1].get_clim()
    residual = first[2].get_array()
    assert np.abs(residual).max() == pytest.approx(0 if draw is perfect else first[0].get_array().max() / 2)


def test_times_are_a_pair_where_there_are_any(clusters: Clusters, drawn: list[Figure], tmp_path: Path) -> None:
    class Timed(StandIn):
        def preprocess(self, clusters: Clusters) -> np.ndarray:
            images = super().preprocess(clusters)
            images[..., 1] = images[..., 0]
            return images

    by_track_type(Timed(), clusters, classify(clusters), tmp_path / "r.png")
    assert sum(bool(axis.images) for axis in drawn[0].axes) == 3 * 9


def test_two_channels_are_energy_and_threshold(clusters: Clusters, drawn: list[Figure], tmp_path: Path) -> None:
    class Untimed(StandIn):
        def preprocess(self, clusters: Clusters) -> np.ndarray:
            return super().preprocess(clusters)[..., [0, 2]]

    by_track_type(Untimed(image_only), clusters, classify(clusters), tmp_path / "r.png")
    assert sum(bool(axis.images) for axis in drawn[0].axes) == 3 * 5
