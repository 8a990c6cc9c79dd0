"""Patches: cut out of frames, scaled, read from files and simulated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from particle_zoo import InputError
from particle_zoo.data.patches import load_patches
from particle_zoo.evaluation.deep_clustering.hand_features import hand_features
from particle_zoo.pipelines.patches import LIMIT, PatchPreprocessor, cut_patches
from particle_zoo.simulation.optical_tpc import Digitiser
from particle_zoo.simulation.optical_tpc.patches import (
    KINDS,
    LabelledPatches,
    _dealt,
    _event,
    _light,
    labelled_patches,
)

SIMULATED = "camera_frames/simulated_white"


def regions(*boxes: tuple[int, int, int, int], centre: tuple[float, float] | None = None) -> pd.DataFrame:
    table = pd.DataFrame(boxes, columns=["row0", "row1", "col0", "col1"])
    middle = (table["row0"] + table["row1"]) / 2, (table["col0"] + table["col1"]) / 2
    return table.assign(row=middle[0] if centre is None else centre[0], col=middle[1] if centre is None else centre[1])


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.arange(1, 40 * 60 + 1, dtype=np.float64).reshape(40, 60)


@pytest.fixture(scope="module")
def simulated() -> LabelledPatches:
    return labelled_patches(40, seed=3, size=64)


# --- Cutting ---


@pytest.mark.parametrize("size", [1, 8, 9])
def test_the_centroid_lies_in_the_middle_pixel(image: np.ndarray, size: int) -> None:
    patches, several = cut_patches(image, regions((18, 23, 30, 33)), size)
    assert patches.dtype == np.float32
    first = (20 - size // 2, 31 - size // 2)
    np.testing.assert_array_equal(patches[0], image[first[0] : first[0] + size, first[1] : first[1] + size])
    assert not several.any()


def test_what_lies_beyond_the_border_is_zero(image: np.ndarray) -> None:
    corners = pd.concat([regions((0, 1, 0, 1), centre=(0.0, 0.2)), regions((39, 40, 59, 60), centre=(40.0, 60.0))])
    patches, several = cut_patches(image, corners, 10)
    np.testing.assert_array_equal(patches[0, 5:, 5:], image[:5, :5])
    assert not patches[0, :5].any()
    assert not patches[0, :, :5].any()
    np.testing.assert_array_equal(patches[1, :6, :6], image[-6:, -6:])
    assert not patches[1, 6:].any()
    assert not several.any()
    assert cut_patches(image, corners, 200)[0].sum() == pytest.approx(2 * image.sum())


def test_another_box_in_the_patch_is_told(image: np.ndarray) -> None:
    # Patches of 10 around (10, 10), (10, 30) and (30, 30); the second region is long and reaches into the first patch.
    table = regions((8, 12, 8, 12), (9, 11, 14, 46), (28, 32, 28, 32))
    np.testing.assert_array_equal(cut_patches(image, table, 10)[1], [True, False, False])
    # Side by side is not within.
    table.loc[1, "col0"] = 15
    assert not cut_patches(image, table, 10)[1].any()


def test_no_regions_are_no_patches(image: np.ndarray) -> None:
    patches, several = cut_patches(image, regions((0, 1, 0, 1))[:0], 10)
    assert patches.shape == (0, 10, 10)
    assert several.shape == (0,)


@pytest.mark.parametrize(
    ("changes", "size", "text"),
    [
        ({"row": 40.5}, 10, "lies outside the 40 x 60 px"),
        ({"col": float("nan")}, 10, "lies outside"),
        ({}, 0, "1 or more px; received 0"),
        ({}, True, "received True"),
    ],
)
def test_regions_of_another_frame_are_refused(
    image: np.ndarray, changes: dict[str, float], size: Any, text: str
) -> None:
    with pytest.raises(InputError, match=text):
        cut_patches(image, regions((5, 8, 5, 8)).assign(**changes), size)
    with pytest.raises(InputError, match="received no row1"):
        cut_patches(image, regions((5, 8, 5, 8)).drop(columns="row1"), 10)


# --- Scaling ---


@pytest.mark.parametrize("scaling", ["sqrt", "log"])
def test_scaling_is_odd_and_in_widths_of_the_noise(scaling: str) -> None:
    patches = np.zeros((1, 2, 2), np.float32)
    patches[0] = [[8 * 3.0, -8 * 3.0], [0, 1e7]]
    scaled = PatchPreprocessor(size=2, scaling=scaling, noise=3.0)(patches)
    assert scaled.shape == (1, 2, 2, 1)
    assert scaled.dtype == np.float32
    of = (lambda x: np.log(1 + x)) if scaling == "log" else (lambda x: np.sqrt(1 + x) - 1)
    np.testing.assert_allclose(scaled[0, ..., 0], [[of(8), -of(8)], [0, of(LIMIT)]], rtol=1e-6)


def test_the_noise_is_that_of_dark_pixels(simulated: LabelledPatches) -> None:
    rng = np.random.default_rng(0)
    patches = rng.normal(0, 3.3, (20, 32, 32)).astype(np.float32)
    patches[:, :4] = 0
    patches[:, 10:14, 10:14] += 500
    fitted = PatchPreprocessor(size=32).fit(patches)
    assert fitted.noise == pytest.approx(3.3, rel=0.05)
    assert PatchPreprocessor.from_dict(fitted.to_dict()) == fitted
    # LIME's camera has 3.3 counts, a little more with its noisy pixels.
    assert 3.3 < PatchPreprocessor(size=64).fit(simulated.images).noise < 4.5


@pytest.mark.parametrize(
    ("patches", "text"),
    [
        (np.zeros((0, 8, 8)), "received an empty array"),
        (np.ones((3, 9, 9)), "takes patches of 8 x 8 px; received an array of shape"),
        (np.ones((8, 8)), "received an array of shape"),
        (
            np.where(np.arange(3)[:, None, None] == 1, np.nan, np.ones((3, 8, 8))),
            "patch 1 holds pixels that are no finite",
        ),
        (np.zeros((3, 8, 8)), "all pixels of the patches are 0"),
    ],
)
def test_unusable_patches_end_in_a_sentence(patches: np.ndarray, text: str) -> None:
    with pytest.raises(InputError, match=text) as error:
        PatchPreprocessor(size=8).fit(patches)
    assert "\n" not in str(error.value)


# --- Files ---


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Two files of 3 and 2 patches, one of each format."""
    patches = np.arange(5 * 16, dtype=np.float32).reshape(5, 4, 4)
    np.savez(tmp_path / "a.npz", patches=patches[:3], several=[False, True, False], kind=["nr", "er", "nr"])
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["patches"], file["kind"] = patches[3:], ["mip", "mip"]
    (tmp_path / "notes.txt").write_text("of run 7")
    return tmp_path


def test_files_of_a_folder_follow_each_other(files: Path) -> None:
    found = load_patches("camera_frames/files", manual_dir=files)
    np.testing.assert_array_equal(found.images.ravel(), np.arange(80))
    assert found.kinds.tolist() == ["nr", "er", "nr", "mip", "mip"]
    assert found.several.tolist() == [False, True, False, False, False]
    assert found.ids.tolist() == ["a.npz-0", "a.npz-1", "a.npz-2", "b.h5-0", "b.h5-1"]
    assert found.labelled
    one = load_patches(str(files / "b.h5"), limit=1)
    assert len(one) == 1
    assert one.fingerprint != found.fingerprint == load_patches("camera_frames/files", manual_dir=files).fingerprint


def test_kinds_may_be_unknown(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", patches=np.ones((2, 4, 4), np.uint16))
    found = load_patches(str(tmp_path / "own.npz"))
    assert not found.labelled
    assert not found.several.any()
    assert found.images.dtype == np.float32


def write(path: Path, **arrays: Any) -> None:
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"patches": np.zeros((0, 8, 8))}, "an empty array"),
        ({"patches": np.zeros((2, 8, 9))}, r"received float64 of shape \(2, 8, 9\)"),
        ({"patches": np.full((2, 8, 8), "x")}, "counts; received <U1"),
        ({"patches": np.zeros((2, 8, 8)), "kind": ["nr"]}, "one kind and several a patch"),
        ({"images": np.zeros((2, 8, 8))}, "holds no patches but images"),
    ],
)
def test_files_without_patches_are_named(tmp_path: Path, arrays: dict[str, Any], text: str) -> None:
    write(tmp_path / "bad.npz", **arrays)
    with pytest.raises(InputError, match=text) as error:
        load_patches(str(tmp_path / "bad.npz"))
    assert "bad.npz" in str(error.value)


def test_damaged_and_missing_files_are_named(files: Path) -> None:
    whole = (files / "a.npz").read_bytes()
    (files / "torn.npz").write_bytes(whole[: len(whole) // 2])
    (files / "text.npz").write_text("not zipped")
    (files / "text.h5").write_text("no HDF5")
    for name in ("torn.npz", "text.npz", "text.h5", "gone.npz"):
        with pytest.raises(InputError, match=name):
            load_patches(str(files / name))
    (files / "empty").mkdir()
    for dataset, folder, text in (
        ("camera_frames/files", None, "needs --manual-dir"),
        ("camera_frames/files", files / "nowhere", "no folder"),
        ("camera_frames/files", files / "empty", "holds no .npz"),
        ("camera_frames/other", None, "received 'camera_frames/other'"),
        (SIMULATED, files, "takes no --manual-dir"),
    ):
        with pytest.raises(InputError, match=text):
            load_patches(dataset, manual_dir=folder)
    np.savez(files / "c.npz", patches=np.zeros((1, 6, 6)))
    for name in ("torn.npz", "text.npz", "text.h5"):
        (files / name).unlink()
    with pytest.raises(InputError, match=r"c\.npz has patches of 6 px, .*a\.npz of 4"):
        load_patches("camera_frames/files", manual_dir=files)


# --- Simulation ---


def test_simulated_patches_are_kept_and_the_same_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options: dict[str, Any] = {"n": 10, "size": 16, "data_dir": tmp_path}
    first = load_patches(SIMULATED, **options)
    assert "making 10 patches once" in capsys.readouterr().err
    again = load_patches(SIMULATED, **options)
    assert capsys.readouterr().err == ""
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.images, labelled_patches(10, seed=0, size=16, noise="white").images)
    other = load_patches(SIMULATED, **options, seed=1)
    assert other.fingerprint != first.fingerprint
    assert not np.array_equal(other.images, first.images)
    assert sorted(np.unique(first.kinds)) == sorted(KINDS)
    (path,) = (tmp_path / f"source-{first.fingerprint}").rglob("*.npz")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="remove the file, and it is made anew"):
        load_patches(SIMULATED, **options)


def test_mixes_deal_out_their_shares() -> None:
    for mix, expected in (("balanced", [72] * 5), ("unbalanced", [200, 10, 50, 50, 50])):
        dealt = _dealt(360, mix, 0)
        assert [dealt.count(kind) for kind in KINDS] == expected
        assert dealt != sorted(dealt)
        assert dealt != _dealt(360, mix, 1)
    for options in ({"mix": "even"}, {"noise": "pink"}, {"n": 0}, {"size": 4}, {"seed": -1}):
        with pytest.raises(InputError):
            labelled_patches(**{"n": 2, "seed": 0, **options})  # type: ignore[arg-type]


def test_every_kind_looks_as_it_should(simulated: LabelledPatches) -> None:
    features = hand_features(simulated.images, PatchPreprocessor(size=64).fit(simulated.images).noise)
    middle = features.groupby(simulated.kinds).median()
    assert middle["delta"]["nr"] > 1.5 * middle["delta"][["er_low", "mip"]].max()
    assert middle["length"]["er_track"] > 1.4 * middle["length"][["nr", "er_low"]].max()
    assert middle["delta"]["mip"] < 0.6 * middle["delta"]["er_track"]
    assert middle["slimness"][["nr", "er_low"]].min() > 0.8 > middle["slimness"][["er_track", "mip"]].max()
    assert (features["pixels"][simulated.kinds == "noise"] < 40).all()
    assert middle["integral"].idxmin() == "noise"


def test_light_alone_has_the_shape_of_its_kind() -> None:
    # In noise a dim track breaks into pieces.
    digitiser, rng = Digitiser(), np.random.default_rng(0)
    middle = {}
    for kind in KINDS[1:]:
        light = [_light(_event(kind, rng, digitiser)[0], 100, rng, digitiser) for _ in range(9)]
        middle[kind] = hand_features(np.array(light, np.float32), noise=1.0).median()
    assert max(middle, key=lambda kind: middle[kind]["length"]) == "mip"
    # Tracks of electrons that fly along the drift are as bright as recoils.
    assert middle["nr"]["delta"] > 1.5 * max(middle["er_low"]["delta"], middle["mip"]["delta"])
    assert middle["mip"]["length"] > 2 * middle["nr"]["length"]
    assert middle["mip"]["slimness"] < 0.5 < middle["nr"]["slimness"]


def test_light_is_where_the_table_says(simulated: LabelledPatches) -> None:
    table, images = simulated.table, simulated.images
    dark = simulated.kinds == "noise"
    assert (table["integral"][dark] == 0).all()
    assert table["energy_kev"][dark].isna().all()
    # The noise of 4096 pixels is 3.5 * 64 counts, more with its noisy pixels; masked ones take some of the light.
    summed = images.sum((1, 2))
    np.testing.assert_allclose(summed, table["integral"], atol=2500, rtol=0.1)
    assert np.corrcoef(summed, table["integral"])[0, 1] > 0.99
    spots = np.flatnonzero(simulated.kinds == "nr")
    for spot in images[spots]:
        light = np.maximum(spot - 15, 0)
        place = (np.indices(spot.shape) * light).sum((1, 2)) / light.sum()
        np.testing.assert_allclose(place, 32, atol=4)
