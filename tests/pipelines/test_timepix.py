"""Rasters of Timepix clusters, and their enlargement on the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from particle_zoo import Clusters, InputError
from particle_zoo.pipelines.enlarge import boxes, enlarge, reduce
from particle_zoo.pipelines.examples import Examples
from particle_zoo.pipelines.timepix import TimepixPreprocessor


def clusters(*hits: list[tuple[float, ...]], unit: str = "keV") -> Clusters:
    columns = ("row", "col", "energy", "toa")[: len(hits[0][0])]
    table = pd.DataFrame({"id": [f"c{i}" for i in range(len(hits))], "label": ""})
    return Clusters.from_list([np.array(h, float) for h in hits], table=table, columns=columns, unit=unit)


def line(extent: int, energy: float = 25.0) -> list[tuple[float, ...]]:
    """A track one pixel wide along the columns."""
    return [(7, 3 + i, energy, 1000.0 + i) for i in range(extent)]


def test_channels_are_square_roots_of_energy_and_time_and_a_map() -> None:
    found = TimepixPreprocessor(over_kev=40)(clusters([(9, 5, 100, 1025), (9, 6, 39.9, 1000), (10, 6, 40, 1100)]))
    assert found.shape == (1, 16, 16, 3)
    np.testing.assert_allclose(found[0, 0, 0], [1, 0.5, 1], rtol=1e-6)
    np.testing.assert_allclose(found[0, 0, 1], [np.sqrt(0.399), 0, 0], rtol=1e-6)
    np.testing.assert_allclose(found[0, 1, 1], [np.sqrt(0.4), 1, 1], rtol=1e-6)
    assert np.count_nonzero(found[..., 0]) == 3


def test_a_pixel_hit_twice_has_the_sum_of_energies_and_the_earlier_time() -> None:
    found = TimepixPreprocessor()(clusters([(0, 0, 10, 0), (0, 1, 30, 225), (0, 1, 70, 100)]))
    np.testing.assert_allclose(found[0, 0, 1], [1, 1, 1])


def test_values_stop_where_no_timepix_reads_further() -> None:
    found = TimepixPreprocessor()(clusters([(0, 0, 1e6, 0), (0, 1, 5, 1e9)]))
    np.testing.assert_allclose(found[0, 0, 0, 0], np.sqrt(15), rtol=1e-6)
    np.testing.assert_allclose(found[0, 0, 1, 1], np.sqrt(10), rtol=1e-6)


def test_without_times_the_channel_is_empty_and_can_be_left_out() -> None:
    with_times, without = clusters([(0, 0, 100, 5), (0, 1, 25, 30)]), clusters([(0, 0, 100), (0, 1, 25)])
    assert TimepixPreprocessor()(with_times)[..., 1].any()
    assert not TimepixPreprocessor()(without)[..., 1].any()
    np.testing.assert_array_equal(TimepixPreprocessor(time="zero")(with_times), TimepixPreprocessor()(without))
    dropped = TimepixPreprocessor(time="drop")(with_times)
    np.testing.assert_array_equal(dropped, TimepixPreprocessor()(with_times)[..., [0, 2]])


@pytest.mark.parametrize(
    ("extent", "size", "factor"),
    [(1, 384, 5), (76, 384, 5), (77, 384, 4), (128, 384, 3), (129, 384, 2), (192, 384, 2), (193, 384, 1),
     (256, 384, 1), (19, 96, 5), (20, 96, 4), (96, 96, 1), (97, 96, 1 / 2), (256, 96, 1 / 3), (256, 64, 1 / 4)],
)  # fmt: skip
def test_the_largest_factor_up_to_5_that_fits(extent: int, size: int, factor: float) -> None:
    preprocessor, track = TimepixPreprocessor(size=size), clusters(line(extent))
    assert preprocessor.factors(track)[0] == pytest.approx(factor)
    assert preprocessor.averaged(track) == (factor < 1)
    rasters = preprocessor(track)
    image = enlarge(rasters, size)[0]
    drawn = np.flatnonzero(image[..., 0].any(axis=0))
    expected = int(extent * factor) if factor >= 1 else int(np.ceil(extent * factor))
    assert len(drawn) == expected <= size
    assert abs((drawn[0] + drawn[-1]) - (size - 1)) <= 1, "not in the middle"
    if factor >= 1:
        np.testing.assert_array_equal(reduce(image, 1, extent)[0], rasters[0, 0, :extent])


def test_blocks_are_averaged_energy_over_all_pixels_and_time_over_hits() -> None:
    # 40 px into 16: blocks of 3.
    track = [(0, i, 90.0, 0.0 if i else 900.0) for i in range(40)]
    found = TimepixPreprocessor(size=16)(clusters(track))[0]
    assert np.count_nonzero(found[..., 0]) == 14
    np.testing.assert_allclose(100 * found[0, :14, 0] ** 2, [30] * 13 + [10], rtol=1e-5)
    np.testing.assert_allclose(100 * found[0, :14, 1] ** 2, [300] + [0] * 13, rtol=1e-5)
    np.testing.assert_allclose(found[0, :14, 2], [1 / 3] * 13 + [1 / 9], rtol=1e-5)


def test_small_and_averaged_clusters_share_a_batch() -> None:
    small, large = line(5), line(200)
    found = TimepixPreprocessor(size=64)(clusters(small, large))
    np.testing.assert_array_equal(
        found[0], np.pad(TimepixPreprocessor(size=64)(clusters(small))[0], ((0, 48), (0, 48), (0, 0)))
    )
    assert np.count_nonzero(found[1, ..., 0]) == 50


NAN = float("nan")

Pixels = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 40), st.floats(1, 1400, width=32)), min_size=1, max_size=30
)


@given(st.lists(Pixels, min_size=1, max_size=4), st.sampled_from([64, 96, 384]))
def test_enlarging_loses_nothing(hits: list[list[tuple[int, int, float]]], size: int) -> None:
    rasters = TimepixPreprocessor(size=size)(clusters(*hits))
    for image, raster, top, left, height, width in zip(enlarge(rasters, size), rasters, *boxes(rasters), strict=True):
        assert (top, left) == (0, 0)
        np.testing.assert_array_equal(reduce(image, int(height), int(width)), raster[:height, :width])


def test_a_model_that_never_saw_a_time_is_shown_none() -> None:
    with_times, without = clusters([(0, 0, 100, 5), (0, 1, 25, 30)]), clusters([(0, 0, 100), (0, 1, 25)])
    blind = TimepixPreprocessor().fit(without)
    assert not blind(with_times)[..., 1].any()
    assert blind(clusters([(0, 0, 100, float("nan"))])).any(), "times that nobody looks at may be anything"
    assert TimepixPreprocessor().fit(with_times)(with_times)[..., 1].any()


def test_hits_without_energy_are_no_pixels() -> None:
    lit = [(0, i, 25.0, 7.0) for i in range(1, 19)]
    dark = [(0, 0, 0.0, 0.0), *lit, (0, 19, -3.0, 0.0)]
    preprocessor = TimepixPreprocessor(size=96)
    assert preprocessor.factors(clusters(dark)) == preprocessor.factors(clusters(lit)) == 5
    np.testing.assert_array_equal(preprocessor(clusters(dark)), preprocessor(clusters(lit)))


def test_drawable_says_which_clusters_the_call_would_refuse() -> None:
    mixed = clusters(
        [(0, 0, 9.0, 0)], [(0, 0, 0.0, 0)], [(0, 0, NAN, 0)], [(0, 0, 9.0, NAN)], [(0, 0, 9.0, 1), (0, 1, 0.0, 1)]
    )
    sound = TimepixPreprocessor().drawable(mixed)
    assert sound.tolist() == [True, False, False, False, True]
    assert len(TimepixPreprocessor()(mixed[sound])) == 2


def test_only_whether_there_are_times_is_learned_from_the_clusters() -> None:
    preprocessor = TimepixPreprocessor(size=96, time="zero", over_kev=30)
    assert preprocessor.fit(clusters(line(4))) == preprocessor
    assert TimepixPreprocessor.from_dict(preprocessor.to_dict()) == preprocessor
    assert preprocessor.channels == 3
    assert TimepixPreprocessor(time="drop").channels == 2


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (clusters([(0, 0, 1.0, 0)])[[]], "received an empty batch"),
        (clusters([(0, 0, 1.0)], unit="mask"), "masks without pixel energies"),
        (clusters([(0, 0, 90.0)], unit="ToT"), "are in ToT; Timepix models need energies in keV"),
        (clusters([(0, 0, 9.0, 0)], [(0, 0, 0.0, 0), (0, 1, 0.0, 0)]), "cluster c1 has no energy"),
        (clusters([(0, 0, 9.0, 0)], [(0, 0, NAN, 0)]), "cluster c1 has a pixel energy of nan"),
        (clusters([(0, 0, 9.0, 0)], [(0, 0, 5.0, 3), (0, 1, 5.0, NAN)]), "cluster c1 has a time of arrival of nan"),
    ],
    ids=["empty", "masks", "ToT", "no energy", "NaN energy", "NaN ToA"],
)
@pytest.mark.parametrize("use", ["fit", "call"])
def test_bad_clusters_are_one_sentence(bad: Clusters, message: str, use: str) -> None:
    preprocessor = TimepixPreprocessor()
    action: Any = preprocessor.fit if use == "fit" else preprocessor
    with pytest.raises(InputError, match=message) as error:
        action(bad)
    assert "\n" not in str(error.value)


def test_a_cluster_without_energy_is_named_before_the_first_batch() -> None:
    with pytest.raises(InputError, match="cluster c1 has no energy"):
        Examples(clusters([(0, 0, 9.0, 0)], [(0, 0, 0.0, 0)]), TimepixPreprocessor(), batch_size=1)


@pytest.mark.parametrize(("extent", "side"), [(16, 16), (17, 32), (64, 64), (65, 80), (80, 80), (81, 128), (129, 256)])
def test_rasters_come_in_few_sides(extent: int, side: int) -> None:
    found = TimepixPreprocessor(size=384)(clusters(line(3), line(extent)))
    assert found.shape == (2, side, side, 3)
    assert np.count_nonzero(found[..., 0]) == 3 + extent
