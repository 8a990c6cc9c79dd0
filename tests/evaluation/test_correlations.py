from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from particle_zoo import Clusters, InputError
from particle_zoo.evaluation import correlations, probe_tracks
from particle_zoo.evaluation.embedding import direction
from tests.evaluation.stand_in import line, tracks


def test_circular_linear_on_known_cases() -> None:
    angle = np.linspace(0, 180, 400, endpoint=False)
    doubled = np.radians(2 * angle)
    # Any phase of twice the angle is followed fully; the angle itself, 4 times it, and noise are not.
    followed = np.column_stack([3 * np.cos(doubled + phase) + 7 for phase in (0, 1, 2.5)])
    np.testing.assert_allclose(correlations.circular_linear(followed, angle), 1)
    assert correlations.circular_linear(np.cos(2 * doubled), angle)[0] < 1e-6
    # A saw tooth x against its first harmonic: R^2 = 6 / pi^2.
    assert correlations.circular_linear(angle, angle)[0] == pytest.approx(np.sqrt(6) / np.pi, abs=0.01)
    assert correlations.circular_linear(np.random.default_rng(0).normal(size=400), angle)[0] < 0.15
    assert np.isnan(correlations.circular_linear(np.ones(400), angle)[0])


@given(st.lists(st.tuples(st.floats(0, 180), st.floats(-5, 5)), min_size=5, max_size=30), st.integers(-3, 3))
def test_circular_linear_does_not_see_half_turns(pairs: list[tuple[float, float]], turns: int) -> None:
    angle, values = (np.array(column) for column in zip(*pairs, strict=True))
    # Angles without spread have no correlation to compare.
    angle[:5] = [0, 50, 100, 150, 20]
    found = correlations.circular_linear(values, angle)
    turned = angle + 180 * turns * (np.arange(len(angle)) % 2)
    np.testing.assert_allclose(correlations.circular_linear(values, turned), found, atol=1e-6)
    assert np.isnan(found) or 0 <= found <= 1


def test_spearman_is_that_of_scipy() -> None:
    rng = np.random.default_rng(1)
    values, other = rng.normal(size=(50, 3)), rng.integers(0, 9, 50)
    expected = [stats.spearmanr(column, other).statistic for column in values.T]
    np.testing.assert_allclose(correlations.spearman(values, other), expected)
    assert correlations.spearman(np.exp(other), other)[0] == pytest.approx(1)


def test_strongest_axes_are_those_that_were_planted() -> None:
    clusters, length, angle = tracks(200)
    truth = correlations.track_truth(clusters, direction(clusters))
    rng = np.random.default_rng(2)
    rows = pd.DataFrame(rng.normal(size=(200, 30)), columns=[f"z{i}" for i in range(30)])
    rows["z7"] = -length + rng.normal(0, 0.5, 200)
    rows["z11"] = np.sin(np.radians(2 * angle))
    rows["umap_x"], rows["umap_y"] = truth["energy"], rng.normal(size=200)
    found = correlations.strongest(rows, truth)
    assert found.index[:2].tolist() == ["umap_x", "umap_y"]
    assert found.loc["z7", "size"] < -0.9
    assert found.loc["z11", "angle"] > 0.95
    assert found.loc["umap_x", "energy"] == pytest.approx(1)
    assert found.loc["umap_y"].abs().max() < 0.4
    assert len(found) <= 2 + 4 * correlations.STRONGEST
    assert set(correlations.as_dict(found)["z7"]) == set(correlations.QUANTITIES)


def test_truth_has_directions_of_long_tracks_only() -> None:
    blob = [(r, c, 30) for r in range(4) for c in range(4)]
    clusters = Clusters.from_list([line(40, 16), line(170, 12), line(90, 8), blob])
    truth = correlations.track_truth(clusters, direction(clusters))
    np.testing.assert_allclose(truth["angle"], [40, 170, np.nan, np.nan], atol=3)
    assert truth["energy"].tolist() == [640, 480, 320, 480]


def planted(noise: float, n: int = 400) -> tuple[np.ndarray, pd.DataFrame, np.ndarray]:
    """Latent vectors that hold length and angle linearly in mixed columns, and nuisances."""
    rng = np.random.default_rng(3)
    length, angle = rng.uniform(9, 60, n), rng.uniform(0, 180, n)
    doubled = np.radians(2 * angle)
    known = np.column_stack([(length - 35) / 15, np.cos(doubled), np.sin(doubled), rng.normal(size=(n, 9))])
    vectors = known @ rng.normal(size=(12, 16)) + rng.normal(0, noise, (n, 16))
    return vectors, pd.DataFrame({"length": length, "angle": angle}), rng.choice([1.0, 2.0, 5.0], n)


def test_probe_recovers_what_was_planted() -> None:
    found = probe_tracks.probe(*planted(0.05))
    assert found["length_r2"] > 0.97
    assert found["angle_median"] < 4
    assert (found["length_n"], found["angle_n"]) == (400, 400)
    worse = probe_tracks.probe(*planted(2.0))
    assert found["length_r2"] > worse["length_r2"] > 0.1
    assert found["angle_median"] < worse["angle_median"] < 40


def test_probe_finds_nothing_where_nothing_is() -> None:
    vectors, truth, factors = planted(0.05)
    found = probe_tracks.compare({"noise": np.random.default_rng(0).normal(size=vectors.shape)}, truth, factors)
    assert list(found) == ["enlargement alone", "noise"]
    for row in found.values():
        assert row["length_r2"] < 0.05
        assert 40 < row["angle_mean"] < 50
    # A track of length 100 / factor px is known from the enlargement.
    truth["length"] = 100 / factors
    assert probe_tracks.compare({}, truth, factors)["enlargement alone"]["length_r2"] > 0.999


def test_many_latent_values_do_not_hide_what_the_enlargement_knows() -> None:
    _, truth, factors = planted(0.05, n=200)
    truth["length"] = 100 / factors + np.random.default_rng(1).normal(0, 3, 200)
    noise = np.random.default_rng(0).normal(size=(200, 600))
    found = probe_tracks.compare({"noise": noise}, truth, factors)
    alone = found["enlargement alone"]["length_r2"]
    assert alone > 0.95
    assert found["noise"]["length_r2"] == pytest.approx(alone, abs=0.03)
    assert found["enlargement alone"]["length_beyond"] == 0
    # A length known to 1 px and, from the enlargement, to 3 px is known to 3/sqrt(10) px: 9/10 of what was open.
    knows = (truth["length"] + np.random.default_rng(2).normal(0, 1, 200)).to_numpy()[:, None]
    known = probe_tracks.compare({"length": knows}, truth, factors)["length"]
    assert known["length_beyond"] == pytest.approx(1 - 1 / 10, abs=0.06)


def test_probe_leaves_out_what_has_no_angle_and_refuses_too_few() -> None:
    vectors, truth, factors = planted(0.05)
    truth.loc[100:, "angle"] = np.nan
    assert probe_tracks.probe(vectors, truth, factors)["angle_n"] == 100
    truth["angle"] = np.nan
    assert np.isnan(probe_tracks.probe(vectors, truth, factors)["angle_median"])
    with pytest.raises(InputError, match="at least 20 tracks; received 12"):
        probe_tracks.probe(vectors[:12], truth[:12], factors[:12])


def test_angles_are_compared_modulo_half_turns() -> None:
    one, other = np.array([179.0, 0, 90, 10]), np.array([1.0, 180, 0, 375])
    assert probe_tracks.angle_error(one, other).tolist() == [2, 0, 90, 5]


def test_tracks_are_longer_than_eight_pixels_and_no_blobs() -> None:
    blob = [(r, c, 30) for r in range(-4, 5) for c in range(-4, 5) if r * r + c * c <= 16]
    clusters = Clusters.from_list([line(40, 16), line(90, 8), blob, [(3, 4, 5.0)]])
    truth = correlations.track_truth(clusters, direction(clusters))
    assert probe_tracks.tracks(clusters, truth, 8).tolist() == [True, False, False, False]
