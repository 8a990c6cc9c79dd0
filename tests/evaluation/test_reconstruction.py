from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from particle_zoo import Clusters, InputError
from particle_zoo.detectors.holy import classify
from particle_zoo.evaluation import image_pca, reconstruction
from particle_zoo.evaluation.image_pca import ImagePCA, enlarged
from particle_zoo.evaluation.sharpness import sharpness, thin_tracks
from particle_zoo.simulation import simulate
from tests.evaluation.stand_in import StandIn, line, perfect, tracks


@pytest.fixture(scope="module")
def mixed() -> Clusters:
    """Electrons and alphas of all track types but long ones, and straight tracks."""
    parts = [simulate("timepix_300um", particle=name, n=40, seed=1) for name in ("electron", "alpha")]
    parts = [Clusters(p.hits[:, :3], p.columns[:3], p.offsets, p.table[["id", "label"]]) for p in parts]
    every = Clusters.concat([*parts, tracks(12)[0]])
    return every[every.features()["long_side"].to_numpy() <= 24]


def test_perfect_and_empty_reconstructions(mixed: Clusters) -> None:
    model = StandIn()
    pca = ImagePCA.of(model, mixed, 4)
    found = reconstruction.rows(model, mixed, pca)
    assert list(found) == ["stand_in", "PCA", "all zero"]
    ours, empty = found["stand_in"], found["all zero"]
    assert (ours["error"] == 0).all()
    assert (ours["iou"] == 1).all()
    assert (ours["enlarged_iou"] == 1).all()
    assert (ours["over_iou"].dropna() == 1).all()
    assert (ours["sharpness"].dropna() == 1).all()
    assert (empty["error"] == 1).all()
    assert (empty["iou"] == 0).all()
    assert (empty["sharpness"].dropna() == 0).all()
    assert found["PCA"]["error"].between(0, 1, inclusive="neither").mean() > 0.5


def test_without_mask_head_the_mask_is_half_the_threshold() -> None:
    keV = np.array([[[0.0, 2.4], [2.6, 400.0]]])
    image = np.sqrt(keV / 100)[..., None].repeat(3, axis=-1)
    assert reconstruction.hits({"image": image}).tolist() == [[[False, False], [True, True]]]
    head = np.array([[[0.5, 0.49], [0.0, 1.0]]])[..., None]
    assert reconstruction.hits({"image": image, "mask": head}).tolist() == [[[True, False], [False, True]]]
    np.testing.assert_allclose(reconstruction.energies(image), keV)
    assert (reconstruction.energies(-image) == 0).all()


@given(st.lists(st.tuples(st.floats(0, 1500), st.floats(0, 1500)), min_size=4, max_size=4), st.floats(1e-3, 1e3))
def test_energy_error_has_no_unit_and_counts_energy_beside_the_cluster(
    pairs: list[tuple[float, float]], unit: float
) -> None:
    truth, drawn = (np.array(column) for column in zip(*pairs, strict=True))
    truth[:2] = [100, 0]
    error = reconstruction.energy_error(truth, drawn)
    assert error >= 0
    np.testing.assert_allclose(reconstruction.energy_error(unit * truth, unit * drawn), error, rtol=1e-9)
    ghost = drawn.copy()
    ghost[1] += 50
    assert reconstruction.energy_error(truth, ghost) > error


def test_strong_pixels_weigh_most() -> None:
    truth = np.array([1000.0, 10.0])
    weak, strong = truth * [1, 0], truth * [0, 1]
    assert reconstruction.energy_error(truth, weak) < 1e-3
    assert reconstruction.energy_error(truth, strong) > 0.99


def test_a_rim_a_fifth_of_a_pixel_off_costs_the_enlarged_mask_and_not_the_pixels() -> None:
    hit = np.zeros((40, 40), bool)
    hit[15:20, 5:35] = True
    drawn = hit.copy()
    drawn[20] = hit[19]
    assert reconstruction.iou(hit.ravel(), drawn.ravel()) == pytest.approx(5 / 6)

    def overlap(guess: np.ndarray, factor: float = 5.0) -> float:
        true, found = reconstruction.on_detector(hit, factor, hit, guess)
        return float(reconstruction.iou(true >= 0.5, found >= 0.5))

    assert overlap(drawn) == 1
    far = drawn.copy()
    far[30:35, 5:10] = True
    assert overlap(far) == pytest.approx(6 / 7), "one pixel far below the track"
    assert overlap(np.roll(hit, 5, axis=0)) == 0, "one pixel too low"
    assert overlap(drawn, 0.5) == pytest.approx(5 / 6), "pixels of averaged blocks stand for themselves"


def test_energies_on_the_detector_are_those_of_the_enlarged_pixels() -> None:
    energy = np.array([[30.0, 0, 70], [0, 20, 0]])
    image = np.zeros((40, 40))
    image[12:22, 7:22] = np.kron(energy, np.ones((5, 5)))
    (found,) = reconstruction.on_detector(image > 0, 5.0, image)
    assert sorted(found[found > 0]) == [20, 30, 70]
    assert found.sum() == pytest.approx(energy.sum())


def test_iou_known_by_hand() -> None:
    one, two = np.array([[[1, 1, 0, 0]]], bool), np.array([[[0, 1, 1, 0]]], bool)
    assert reconstruction.iou(one, two) == pytest.approx(1 / 3)
    assert np.isnan(reconstruction.iou(one & False, two)).all()


def test_summary_counts_every_track_type(mixed: Clusters) -> None:
    kinds = classify(mixed)
    table = reconstruction.rows(StandIn(), mixed)["stand_in"]
    table["error"] = np.arange(len(table), dtype=float)
    found = reconstruction.summary(table, kinds)
    assert sum(part["n"] for part in found["by_type"].values()) == found["n"] == len(mixed)
    for kind, part in found["by_type"].items():
        assert part["error"] == pytest.approx(np.flatnonzero(kinds == kind).mean())
    assert found["thin_tracks"] >= 8


def test_pca_of_full_rank_is_perfect_and_fewer_components_are_worse(mixed: Clusters) -> None:
    model = StandIn()
    images = np.concatenate([part for _, _, part in enlarged(model, mixed)])
    errors = []
    for components in (1, 5, 20, len(mixed)):
        pca = ImagePCA([images[:7], images[7:]], components)
        drawn = pca.reconstruct(images)
        errors.append(float(((drawn - images) ** 2).sum()))
        assert pca.components <= min(components, len(mixed) - 1)
        assert pca.encode(images).shape == (len(mixed), pca.components)
    assert errors == sorted(errors, reverse=True)
    np.testing.assert_allclose(drawn, images, atol=1e-5)


def test_pca_draws_sizes_flat_and_the_same_for_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = [[(1, 1, 30.0), (1, 2, 20.0)]] * 900, [line(20, 16)] * 100
    clusters = Clusters.from_list([*small, *large])
    monkeypatch.setattr(image_pca, "CLUSTERS", 120)
    seen = []

    class Seen(StandIn):
        def preprocess(self, clusters: Clusters) -> np.ndarray:
            seen.append(clusters.ids)
            return super().preprocess(clusters)

    for seed in (0, 0, 1):
        assert ImagePCA.of(Seen(), clusters, 3, seed=seed).clusters == 120
    first, again, other = np.split(np.concatenate(seen), 3)
    assert (first == again).all()
    assert set(first) != set(other)
    # Without repetition, so somewhat fewer than half of them are large.
    assert len(set(first)) == 120
    assert 0.3 < (first.astype(int) >= 900).mean() < 0.6


def test_pca_of_one_cluster_is_refused() -> None:
    with pytest.raises(InputError, match="at least 2 training clusters; received 1"):
        ImagePCA.of(StandIn(), tracks(1)[0], 3)


def test_pca_agrees_with_that_of_the_covariance(mixed: Clusters) -> None:
    from sklearn.decomposition import PCA

    images = np.concatenate([part for _, _, part in enlarged(StandIn(side=24, size=24), mixed)])
    flat = images.reshape(len(images), -1).astype(float)
    known = PCA(6, svd_solver="full").fit(flat[:60])
    ours = ImagePCA([images[:60]], 6)
    expected = known.inverse_transform(known.transform(flat[60:]))
    np.testing.assert_allclose(ours.reconstruct(images[60:]).reshape(expected.shape), expected, atol=1e-5)
    np.testing.assert_allclose(np.abs(ours.encode(images[60:])), np.abs(known.transform(flat[60:])), atol=1e-8)


@pytest.mark.parametrize("degrees", [0, 17, 45, 72, 90, 130])
def test_sharpness_falls_with_every_blur_and_not_with_brightness(degrees: float) -> None:
    model = StandIn()
    clusters = Clusters.from_list([line(degrees)])
    truth = model.enlarge(model.preprocess(clusters))[0, ..., 0]
    assert sharpness(truth, truth, 4) == 1
    assert sharpness(truth, 0.3 * truth, 4) == pytest.approx(1)
    assert sharpness(truth, 0.05 * truth, 4) == 0
    found = [sharpness(truth, gaussian_filter(truth, width), 4) for width in (0.5, 1, 2, 3, 5)]
    assert found == sorted(found, reverse=True)
    assert found[0] < 1


@pytest.mark.parametrize("degrees", [0, 25, 45, 90])
def test_an_edge_twice_as_wide_is_half_as_sharp(degrees: float) -> None:
    rows, cols = np.indices((96, 96)) - 48
    x, y = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    along, across = cols * x + rows * y, rows * x - cols * y
    narrow, wide = ((np.abs(along) < 36) * np.exp(-((across / width) ** 2) / 2) for width in (3, 6))
    assert sharpness(narrow, wide, 5) == pytest.approx(0.5, abs=0.02)


def test_sharpness_is_not_taken_in_by_noise() -> None:
    model = StandIn()
    truth = model.enlarge(model.preprocess(Clusters.from_list([line(30, 20)])))[0, ..., 0]
    blurred = gaussian_filter(truth, 2)
    noisy = blurred + np.random.default_rng(0).normal(0, 0.05, truth.shape)
    assert sharpness(truth, noisy, 4) == pytest.approx(sharpness(truth, blurred, 4), rel=0.15)


def test_a_mask_head_sharpens_a_blurred_image() -> None:
    def blurred(images: np.ndarray) -> dict[str, np.ndarray]:
        return perfect(images) | {"image": gaussian_filter(images, (0, 2, 2, 0))}

    table = reconstruction.rows(StandIn(blurred), tracks(20)[0])["stand_in"]
    assert table["sharpness"].notna().sum() >= 15
    assert (table["sharpness_masked"] > table["sharpness"]).loc[table["sharpness"].notna()].all()


def test_thin_tracks_are_straight_long_and_narrow() -> None:
    wide = np.concatenate([line(0, 16) + np.array([step, 0, 0]) for step in range(4)])
    bent = np.unique(np.concatenate([line(0, 10), line(90, 10)]), axis=0)
    clusters = Clusters.from_list([line(20, 16), line(45, 9), line(20, 6), wide, bent])
    assert thin_tracks(clusters, np.ones(5)).tolist() == [True, True, False, False, False]
    assert not thin_tracks(clusters, np.full(5, 0.5)).any()
