from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from particle_zoo import Clusters, InputError, simulate
from particle_zoo.detectors.morphology import ALL_FEATURES, FEATURES, features
from particle_zoo.detectors.skeleton import EXACT, walk
from particle_zoo.detectors.track_features import track_features

# Turned by nothing but a quarter turn at a time, these stay.
INVARIANT = (
    "linearity", "length_projected", "width_projected", "elevation", "length_3d_um", "let_kev_um", "diameter",
    "skeleton_length", "tortuosity",
)  # fmt: skip


def test_an_asymmetric_track_by_hand() -> None:
    # Rises two rows over four columns; its times grow with the column.
    hits = [
        (10, 20, 10.0, 100.0),
        (10, 21, 10.0, 110.0),
        (11, 22, 10.0, 120.0),
        (12, 23, 10.0, 130.0),
        (12, 24, 10.0, 140.0),
    ]
    clusters = Clusters.from_list([hits], columns=("row", "col", "energy", "toa"))
    found = features(clusters, ALL_FEATURES, thickness_um=500.0, pitch_um=55.0).iloc[0]
    assert (found["row_mean"], found["col_mean"]) == pytest.approx((11, 22))
    # Second moments: 2 along the columns, 0.8 along the rows, 1.2 together.
    azimuth = 0.5 * np.degrees(np.arctan2(2 * 1.2, 2 - 0.8))
    assert found["azimuth"] == pytest.approx(azimuth)
    x, y = np.cos(np.radians(azimuth)), np.sin(np.radians(azimuth))
    assert found["length_projected"] == pytest.approx(4 * x + 2 * y + 1)
    assert found["elevation"] == pytest.approx(np.degrees(np.arctan(500 / (55 * (4 * x + 2 * y)))))
    assert found["length_3d_um"] == pytest.approx(np.hypot(500, 55 * (4 * x + 2 * y)))
    assert found["let_kev_um"] == pytest.approx(50 / found["length_3d_um"])
    assert found["diameter"] == pytest.approx(np.hypot(4, 2))
    assert found["skeleton_length"] == pytest.approx(2 + 2 * 2**0.5, rel=1e-4)
    assert found[["end0_row", "end0_col", "end1_row", "end1_col"]].tolist() == [10, 20, 12, 24]
    assert found["tortuosity"] == pytest.approx((2 + 2 * 2**0.5) / np.hypot(4, 2), rel=1e-4)
    assert found["duration_ns"] == 40
    assert found["drift_ns_per_px"] == pytest.approx(
        10 * 2 * x / ((2 * x * x) + 0.8 * y * y + 2 * 1.2 * x * y)
        + 10 * 1.2 * y / (2 * x * x + 0.8 * y * y + 2.4 * x * y)
    )
    assert found["linearity"] == 1


def test_a_horseshoe_is_longer_than_it_seems() -> None:
    shape = [(0, c, 9.0) for c in range(8)] + [(r, 7, 9.0) for r in range(1, 6)] + [(5, c, 9.0) for c in range(7)]
    found = track_features(Clusters.from_list([shape]))
    ends = [found[name][0] for name in ("end0_row", "end0_col", "end1_row", "end1_col")]
    assert ends == [0, 0, 5, 0]
    # Both corners are cut.
    assert found["skeleton_length"][0] == pytest.approx(6 + 2**0.5 + 3 + 2**0.5 + 6, rel=1e-4)
    assert found["tortuosity"][0] > 3


def test_single_pixels_and_squares_have_no_direction() -> None:
    clusters = Clusters.from_list(
        [[(5, 6, 7.0)], [(r, c, 1.0) for r in (0, 1) for c in (0, 1)], [(1, 1, 0.0), (1, 2, 0.0)]]
    )
    found = features(clusters, ALL_FEATURES)
    assert np.isnan(found["azimuth"][:2]).all()
    assert found["azimuth"][2] == 0
    assert found["length_projected"].tolist() == [1, 2, 2]
    assert found["elevation"][0] == 90
    assert found["tortuosity"].tolist() == [1, pytest.approx(1, rel=1e-4), 1]
    assert found[["duration_ns", "drift_ns_per_px"]].isna().all().all()


def chamfer_diameter(pixels: np.ndarray) -> float:
    """By Dijkstra from everywhere."""
    step = np.abs(pixels[:, None] - pixels[None, :])
    near = step.max(-1) == 1
    weight = np.where(near, np.where(step.sum(-1) == 1, 1.0, 99 / 70), 0)
    distance = dijkstra(coo_array(weight))
    return float(distance[np.isfinite(distance)].max())


@given(st.integers(0, 2**32 - 1))
def test_longest_path_and_farthest_pixels_are_those_of_all_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = np.unique(np.cumsum(rng.integers(-1, 2, (int(rng.integers(1, 40)), 2)), axis=0), axis=0)
    order = rng.permutation(len(pixels))
    row, col = pixels[order].T
    found = walk(row, col, np.array([0, len(row)]))[0]
    farthest = max((np.hypot(*(a - b)) for a, b in itertools.product(pixels, pixels)), default=0)
    assert found[2] == pytest.approx(farthest)
    if len(pixels) <= EXACT:
        assert found[3] == pytest.approx(chamfer_diameter(pixels))
    else:
        assert 0.7 * chamfer_diameter(pixels) <= found[3] <= chamfer_diameter(pixels) + 1e-9


@given(st.integers(0, 2**32 - 1), st.integers(1, 7))
def test_turning_changes_nothing_but_directions(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = np.unique(np.cumsum(rng.integers(-1, 2, (int(rng.integers(2, 80)), 2)), axis=0), axis=0)
    energy = rng.uniform(1, 60, len(pixels))
    row, col = pixels.T
    if k & 4:
        row, col = col, row
    other = np.column_stack([-row if k & 1 else row, -col if k & 2 else col])
    one, two = (track_features(Clusters.from_list([np.column_stack([place, energy])])) for place in (pixels, other))
    for name in INVARIANT:
        assert two[name] == pytest.approx(one[name], rel=1e-5), name


def test_simulated_tracks_have_the_angles_they_came_with() -> None:
    muons = simulate("timepix3_500um", particle="muon", n=2000, seed=1, energy_mev=4000.0, angles="fixed:70")
    muons = muons[~muons.table["split"].to_numpy(bool)]
    found = features(muons, ALL_FEATURES, thickness_um=500.0)
    # Some cross the edge of the chip; threshold and diffusion change the length by a pixel.
    assert np.median(found["elevation"]) == pytest.approx(20, abs=2)
    azimuth = found["azimuth"].to_numpy()
    off = np.abs((azimuth - muons.table["phi"].to_numpy() + 90) % 180 - 90)
    # Few muons leave a square, which has no direction.
    assert np.isnan(azimuth).mean() < 0.01
    assert np.nanmedian(off) < 2
    assert np.median(found["let_kev_um"]) == pytest.approx(0.29, abs=0.06)


def test_properties_without_pixels_keep_what_is_known() -> None:
    clusters = Clusters.from_list([[(3, 4, 120.0)]], summed_pixels=[9])
    found = features(clusters, ALL_FEATURES).iloc[0]
    assert (found["size"], found["energy_sum"]) == (9, 120)
    assert found.drop(["size", "energy_sum"]).isna().all()


def test_properties_beside_ordinary_clusters() -> None:
    both = Clusters.concat(
        [Clusters.from_list([[(3, 4, 120.0)]], summed_pixels=[9]), Clusters.from_list([[(0, 0, 1), (0, 1, 1)]])]
    )
    found = features(both)
    assert found["size"].tolist() == [9, 2]
    assert found["length"].isna().tolist() == [True, False]


def test_a_pixel_hit_twice_is_one_pixel() -> None:
    track = [(0, c, 20.0) for c in range(7)] + [(1, 7, 20.0), (2, 8, 20.0)]
    doubled = [(0, 0, 15.0), *track[1:], (0, 0, 2.5), (0, 0, 2.5)]
    one, two = (track_features(Clusters.from_list([hits])) for hits in (track, doubled))
    for name in INVARIANT:
        assert two[name] == pytest.approx(one[name]), name


def test_a_damaged_coordinate_is_refused_before_it_fills_the_memory() -> None:
    far = Clusters.from_list([[(0, 0, 1.0), (15_000, 15_000, 1.0)]])
    for function in (features, track_features):
        with pytest.raises(InputError, match="extends over 15001 x 15001 px"):
            function(far)


def test_units_and_bad_sensors() -> None:
    tot = Clusters.from_list([[(0, 0, 3.0), (0, 1, 4.0)]], unit="ToT")
    assert np.isnan(track_features(tot)["let_kev_um"]).all()
    assert len(features(Clusters.empty(), ALL_FEATURES)) == 0
    assert set(FEATURES) < set(ALL_FEATURES)
    with pytest.raises(InputError, match="thickness_um must be positive; received 0"):
        track_features(tot, thickness_um=0)
