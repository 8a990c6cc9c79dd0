from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from particle_zoo import Clusters, InputError
from particle_zoo.pipelines.augment import dihedral, transposes
from particle_zoo.pipelines.ccd import CCDPreprocessor
from particle_zoo.pipelines.chosen import Chosen
from particle_zoo.pipelines.examples import Examples
from particle_zoo.pipelines.rasterise import rasterise


def naive_downscale(image: np.ndarray, size: int) -> np.ndarray:
    """The seed's loop: mean of four neighbours, one pixel less along each axis, repeated."""
    while image.shape[0] > size:
        image = (image[:-1, :-1] + image[1:, :-1] + image[:-1, 1:] + image[1:, 1:]) / 4
    return image


@pytest.mark.parametrize("shape", [(65, 30), (100, 71), (40, 190), (64, 64), (7, 3)])
def test_downscaling_equals_the_seeds_loop(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    grid = np.where(rng.uniform(size=shape) < 0.3, rng.uniform(1, 9, shape), 0).astype(np.float32)
    grid[0, 0] = grid[-1, -1] = 1
    row, col = np.nonzero(grid)
    cluster = Clusters.from_list([np.column_stack([row + 11, col + 500, grid[row, col]])])
    side = max(*shape, 64)
    square = np.zeros((side, side))
    top, left = (side - shape[0]) // 2, (side - shape[1]) // 2
    square[top : top + shape[0], left : left + shape[1]] = grid
    np.testing.assert_allclose(rasterise(cluster, 64)[0], naive_downscale(square, 64), atol=1e-5)


def test_a_batch_equals_its_clusters_one_by_one(simulated: Clusters) -> None:
    batch = rasterise(simulated, 32, "mask")
    single = np.concatenate([rasterise(simulated[i], 32, "mask") for i in range(len(simulated))])
    np.testing.assert_array_equal(batch, single)


def test_masks_have_no_energies() -> None:
    mask = Clusters.from_list([[[0, 0, 1]]], unit="mask")
    with pytest.raises(InputError, match="input=mask"):
        rasterise(mask, 16, "energy")


def test_eight_different_symmetries_form_a_group() -> None:
    image = np.arange(9.0).reshape(1, 3, 3)
    all_eight = dihedral(np.repeat(image, 8, 0), np.arange(8))
    assert len({tuple(x.ravel()) for x in all_eight}) == 8
    twice = {tuple(dihedral(x[None], np.array([s]))[0].ravel()) for x in all_eight for s in range(8)}
    assert twice == {tuple(x.ravel()) for x in all_eight}
    np.testing.assert_array_equal(all_eight[0], image[0])


def test_transposing_symmetries_exchange_height_and_width() -> None:
    image = np.zeros((8, 9, 9))
    image[:, 4, 1:8] = 1
    turned = dihedral(image, np.arange(8))
    assert (turned.any(2).sum(1) == 7).tolist() == transposes(np.arange(8)).tolist()


def test_statistics_come_from_the_training_clusters_alone(simulated: Clusters) -> None:
    fitted = CCDPreprocessor(with_meta=True, input="energy").fit(simulated[:60])
    inputs = fitted(simulated[:60])
    np.testing.assert_allclose(inputs["meta"].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(inputs["meta"].std(0), 1, atol=1e-5)
    assert inputs["image"].min() == 0
    assert inputs["image"].max() == 1
    assert ((inputs["image"][..., 0] > 0).sum((1, 2)) == simulated[:60].sizes)[
        simulated[:60].features()["long_side"] <= 64
    ].all()
    assert CCDPreprocessor.from_dict(fitted.to_dict()) == fitted


def test_unknown_energy_sums_become_the_mean() -> None:
    masks = Clusters.from_list(
        [[[0, 0, 1]], [[0, 0, 1], [0, 1, 1]], [[0, 0, 1]]], unit="mask", energy_sum=[10.0, 1000.0, np.nan]
    )
    meta = CCDPreprocessor(with_meta=True).fit(masks)(masks)["meta"]
    assert np.isfinite(meta).all()
    assert meta[2, 3] == 0
    assert meta[:2, 3].tolist() == pytest.approx([-1, 1])


def test_examples_are_a_function_of_seed_and_step(simulated: Clusters) -> None:
    make = CCDPreprocessor(size=16, with_meta=True).fit(simulated)
    first, second = (Examples(simulated, make, batch_size=50, seed=4, augment=True, shuffle=True) for _ in range(2))
    for step in (7, 0, 4):
        a, b = first.batch(step)[0], second.batch(step)[0]
        np.testing.assert_array_equal(a["image"], b["image"])
        np.testing.assert_array_equal(a["meta"], b["meta"])
    assert not np.array_equal(first.batch(0)[0]["image"], first.batch(len(first))[0]["image"])


def test_metadata_turns_with_the_image(simulated: Clusters) -> None:
    make = CCDPreprocessor(size=64, with_meta=True).fit(simulated)
    examples = Examples(simulated, make, batch_size=200, seed=1, augment=True)
    inputs, _ = examples.batch(0)
    logs = inputs["meta"][:, :2] * np.array(make.meta_std[:2]) + np.array(make.meta_mean[:2])
    small = (simulated.features()["long_side"] <= 64).to_numpy()
    shown = np.stack([inputs["image"][..., 0].any(axis).sum(1) for axis in (2, 1)], axis=1)
    np.testing.assert_allclose(np.exp(logs)[small], shown[small], rtol=1e-4)


def test_labels_outside_the_classes_are_refused(simulated: Clusters) -> None:
    with pytest.raises(InputError, match="--classes"):
        Examples(simulated, CCDPreprocessor(size=16), classes=("xray", "muon"))


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_rare_classes_weigh_more_and_the_mean_weight_is_one(three_classes: Clusters, balance: float) -> None:
    classes = ("xray", "electron", "muon")
    examples = Examples(three_classes, CCDPreprocessor(size=16), classes=classes, balance=balance)
    assert examples.targets is not None
    weights = np.ones(3) if examples.weights is None else examples.weights
    count = np.bincount(examples.targets)
    np.testing.assert_allclose((weights * count).sum(), count.sum(), rtol=1e-5)
    np.testing.assert_allclose(weights / weights[0], (count / count[0]) ** -balance, rtol=1e-5)


def test_statistics_of_one_unit_are_not_applied_to_another(simulated: Clusters) -> None:
    from particle_zoo.simulation import ccd

    with_sums = CCDPreprocessor(size=16, with_meta=True).fit(simulated)
    with pytest.raises(InputError, match="energies in ADU, these clusters are in keV"):
        with_sums(ccd.to_kev(simulated))
    # A mask needs no energy.
    shapes = CCDPreprocessor(size=16).fit(simulated)
    np.testing.assert_array_equal(shapes(ccd.to_kev(simulated)), shapes(simulated))


def test_fixed_symmetries_are_the_same_in_every_epoch(simulated: Clusters) -> None:
    make = CCDPreprocessor(size=16)
    turns = np.arange(len(simulated)) % 8
    examples = Examples(simulated, make, batch_size=len(simulated), augment=True, symmetry=turns)
    for step in (0, 3):
        np.testing.assert_array_equal(examples.batch(step)[0], dihedral(make(simulated), turns))


@pytest.mark.parametrize("size", [8, 64])
def test_a_pixel_hit_twice_has_the_sum_and_is_one_pixel_of_the_mask(size: int) -> None:
    # 20 x 20 px: shrunken at 8, not at 64.
    corners = [[3, 4, 1], [22, 23, 2], [3, 4, 5], [10, 10, 0.5]]
    once = Clusters.from_list([[[3, 4, 6], [22, 23, 2], [10, 10, 0.5]]])
    twice = Clusters.from_list([corners, corners[:1]])
    np.testing.assert_allclose(rasterise(twice, size)[:1], rasterise(once, size), rtol=1e-6)
    np.testing.assert_array_equal(rasterise(twice, size, "mask")[:1], rasterise(once, size, "mask"))
    # The second cluster is drawn as if it were alone.
    np.testing.assert_array_equal(rasterise(twice, size)[1:], rasterise(twice[[1]], size))


def test_scaled_energies_are_clipped(simulated: Clusters) -> None:
    energy = simulated.column("energy")
    floor, scale = float(np.quantile(energy, 0.2)), float(np.quantile(energy, 0.8) - np.quantile(energy, 0.2))
    hits = simulated.hits.copy()
    hits[:, 2] = np.clip((energy - floor) / scale, 0, 1)
    by_hand = Clusters(hits, simulated.columns, simulated.offsets, simulated.table, simulated.unit)
    found = rasterise(simulated, 64, scaled=(floor, scale))
    np.testing.assert_array_equal(found, rasterise(by_hand, 64))
    assert found.max() <= 1 + 1e-6


def test_clusters_chosen_for_a_batch_are_those_of_the_set(simulated: Clusters) -> None:
    index = np.array([5, 0, 119, 5])
    chosen, selected = Chosen(simulated, index), simulated[index]
    assert len(chosen) == 4
    np.testing.assert_array_equal(chosen.hits, selected.hits)
    np.testing.assert_array_equal(chosen.offsets, selected.offsets)
    assert (chosen.columns, chosen.unit) == (selected.columns, selected.unit)
    assert chosen.table.equals(selected.table)
    assert not len(Chosen(simulated, index[:0]))


def test_batches_drawn_in_threads_at_once_are_the_same(simulated: Clusters) -> None:
    make = CCDPreprocessor(size=16, input="energy", with_meta=True).fit(simulated)
    first, second = (
        Examples(simulated, make, batch_size=7, seed=2, augment=True, shuffle=True, cache=0) for _ in range(2)
    )
    steps = [step for epoch in range(3) for step in (epoch * len(first), epoch * len(first) + 3)] * 4
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(first.batch, steps))
    for step, (inputs, _) in zip(steps, drawn, strict=True):
        for name, array in second.batch(step)[0].items():
            np.testing.assert_array_equal(inputs[name], array)


@pytest.mark.parametrize("cache", [0, 2**30])
def test_kept_images_are_those_drawn_batch_by_batch(simulated: Clusters, cache: int) -> None:
    make = CCDPreprocessor(size=16)
    examples = Examples(simulated, make, batch_size=50, shuffle=True, cache=cache)
    order = np.random.default_rng((0, 0, 0)).permutation(len(simulated))
    np.testing.assert_array_equal(examples.batch(1)[0], make(simulated[order[50:100]]))
