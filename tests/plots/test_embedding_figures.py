from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from particle_zoo import Clusters
from particle_zoo.evaluation.embedding import embed
from particle_zoo.plots import embedding
from tests.evaluation.stand_in import tracks


@pytest.mark.usefixtures("plain_map")
def test_representatives_show_energies_in_keV_and_masks_otherwise(tmp_path: Path, drawn: list[Figure]) -> None:  # noqa: N802
    clusters, length, _ = tracks(60)
    vectors = np.column_stack([length, np.random.default_rng(0).normal(size=(60, 4))])
    rows = embed(vectors, clusters, groups=3, neighbors=8, seed=0)
    embedding.overview(rows, clusters, tmp_path / "keV.png")
    adu = Clusters(clusters.hits, clusters.columns, clusters.offsets, clusters.table, "ADU")
    embedding.overview(rows, adu, tmp_path / "ADU.png")
    boxes = [[axis.images[0] for axis in figure.axes if axis.images and not axis.get_xlabel()] for figure in drawn]
    assert len(boxes[0]) == len(boxes[1]) == 3 * embedding.EXAMPLES
    # One more bar, that of the energies, and one scale for all.
    assert len(drawn[0].axes) == len(drawn[1].axes) + 1
    assert len({image.norm.vmax for image in boxes[0]}) == 1
    for image in boxes[0]:
        height, width = image.get_array().shape
        assert height == width
        assert 15 <= np.nanmax(image.get_array()) <= 90
    assert {image.get_array().shape for image in boxes[1]} == {(64, 64)}
    assert {float(image.get_array().max()) for image in boxes[1]} == {1.0}


def test_before_and_after_have_one_panel_each_and_the_same_colours(tmp_path: Path, drawn: list[Figure]) -> None:
    clusters, _, _ = tracks(40)
    rng = np.random.default_rng(0)
    rows = clusters.table.assign(umap_x=rng.normal(size=40), umap_y=rng.normal(size=40))
    later = rows.assign(umap_x=rows["umap_x"] + 5)
    embedding.before_and_after({"a": rows, "b": later}, {"a": "first", "b": "second"}, tmp_path / "m.png")
    (figure,) = drawn
    assert [axis.get_title() for axis in figure.axes] == ["first", "second"]
    colours = [[tuple(dots.get_facecolor()[0]) for dots in axis.collections] for axis in figure.axes]
    assert colours[0] == colours[1]
    assert len(set(colours[0])) == 2
