from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from particle_zoo import Clusters, InputError, data
from particle_zoo.data import cluster_stream, store
from particle_zoo.data.cluster_stream import ClusterStream
from tests.conftest import write_layout, write_pixel_files

FILES = "timepix1_clusters/files"


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_stream, "RECORDS", 16)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Options that name clusters in files of users, prepared once."""
    root = tmp_path_factory.mktemp("stream")
    return {"manual_dir": write_pixel_files(root / "files"), "data_dir": root / "data"}


@pytest.fixture(scope="module")
def stored(timepix3: Clusters, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of 60 clusters with times."""
    return store.write(tmp_path_factory.mktemp("stored") / "set", [timepix3[:25], timepix3[25:]], split_by="id")


def in_order(clusters: Clusters, like: Clusters) -> Clusters:
    rows = {name: row for row, name in enumerate(clusters.ids)}
    assert len(rows) == len(clusters)
    return clusters[[rows[name] for name in like.ids]]


def assert_same(found: Clusters, expected: Clusters) -> None:
    assert len(found) == len(expected)
    assert found.columns == expected.columns
    assert found.unit == expected.unit
    found = in_order(found, expected)
    assert found.hits.dtype == expected.hits.dtype
    np.testing.assert_array_equal(found.hits, expected.hits)
    np.testing.assert_array_equal(found.offsets, expected.offsets)
    pd.testing.assert_frame_equal(found.table, expected.table, check_like=True)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"split": "validation"},
        {"split": "all"},
        {"limit": 30},
        {"classes": ("electron",)},
        {"split": "all", "classes": ("proton",), "limit": 75},
        {"limit": 10_000},
    ],
)
def test_a_stream_has_the_clusters_that_load_gives(options: dict[str, Any], place: dict[str, Any]) -> None:
    stream = ClusterStream.open(FILES, **options, **place)
    expected = data.load(FILES, **options, **place, use_tfds=False)
    assert_same(Clusters.concat(stream), expected)
    assert len(stream) == len(expected)
    assert len(stream.groups) > 1
    np.testing.assert_array_equal(stream.survey.sizes, np.concatenate([part.sizes for part in stream]))
    labels = np.array(stream.survey.labels)[stream.survey.codes]
    np.testing.assert_array_equal(labels, np.concatenate([part.labels for part in stream]))
    assert stream.survey.counts.tolist() == [len(stream.read(group)) for group in range(len(stream.groups))]


def test_masks_and_single_precision_survive_too(tmp_path: Path) -> None:
    options: dict[str, Any] = {"manual_dir": write_layout(tmp_path / "layout", n=40, seed=2), "data_dir": tmp_path}
    dataset = "ccd_clusters/damic_labelled"
    direct = data.load(dataset, "all", use_tfds=False, **options)
    assert_same(Clusters.concat(ClusterStream.open(dataset, "all", **options)), direct)


def test_a_stored_folder_is_a_stream_with_times_and_truth(stored: Path, timepix3: Clusters) -> None:
    parts = [Clusters.concat(ClusterStream.of_folder(stored, split)) for split in ("train", "validation", "test")]
    whole = Clusters.concat(parts)
    assert_same(whole, timepix3)
    assert whole.hits.dtype == np.float64


def test_a_stream_loaded_is_in_the_order_of_its_source(place: dict[str, Any]) -> None:
    found, expected = (data.load(FILES, **place, use_tfds=through) for through in (True, False))
    assert found.ids.tolist() == expected.ids.tolist()
    pd.testing.assert_frame_equal(found.table, expected.table)
    with pytest.raises(InputError, match=r"use particle_zoo\.data\.load"):
        ClusterStream.open(FILES, limit=3, **place).load()


def test_only_the_columns_asked_for_are_read(stored: Path) -> None:
    stream = ClusterStream.of_folder(stored, columns=("theta",))
    assert list(stream.read(0).table) == ["id", "label", "theta"]


def test_groups_are_read_in_any_order(stored: Path) -> None:
    stream = ClusterStream.of_folder(stored)
    forwards = [stream.read(group) for group in range(len(stream.groups))]
    backwards = [stream.read(group) for group in reversed(range(len(stream.groups)))]
    assert [part.ids.tolist() for part in forwards] == [part.ids.tolist() for part in reversed(backwards)]


def test_a_sample_depends_on_the_seed_alone(place: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    stream = ClusterStream.open(FILES, "all", **place)
    first, again, other = (stream.sample(40, seed) for seed in (1, 1, 2))
    assert len(first) == 40
    assert first.ids.tolist() == again.ids.tolist()
    assert set(first.ids) != set(other.ids)
    assert len(stream.sample(1000, 1)) == len(stream)
    monkeypatch.setattr(cluster_stream, "SAMPLE_BYTES", 1)
    assert len(stream.sample(1000, 1)) <= 16


def test_the_digest_tells_streams_apart(place: dict[str, Any]) -> None:
    found = {ClusterStream.open(FILES, limit=limit, **place).survey.digest for limit in (30, 31, None)}
    assert len(found) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ("neutrino",), "limit": 5}, "no classes neutrino; .* has electron, proton"),
        ({"split": "training"}, "received 'training'"),
    ],
)
def test_names_that_are_not_there(options: dict[str, Any], message: str, place: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=message):
        ClusterStream.open(FILES, **options, **place)


@pytest.mark.parametrize("limit", [None, 5])
def test_labels_that_nothing_has(stored: Path, limit: int | None) -> None:
    stream = ClusterStream.of_folder(stored, classes=("neutrino",), limit=limit)
    for ask in (lambda: len(stream), lambda: stream.sample(3, 0), lambda: stream.survey):
        with pytest.raises(InputError, match="no clusters of the classes neutrino in"):
            ask()


def test_folders_that_are_no_streams(stored: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no prepared data set"):
        ClusterStream.of_folder(tmp_path)
    with pytest.raises(InputError, match="has no split 'all'; there is train"):
        ClusterStream.of_folder(stored, "all")
    other = Path(shutil.copytree(stored, tmp_path / "other"))
    about = json.loads((other / "dataset_info.json").read_text())
    for split in about["splits"]:
        split["filepathTemplate"] = split["filepathTemplate"].replace("{FILEFORMAT}", "riegeli")
    (other / "dataset_info.json").write_text(json.dumps(about | {"fileFormat": "riegeli"}))
    with pytest.raises(InputError, match="is in riegeli, and only TFRecord files"):
        ClusterStream.of_folder(other)


@pytest.mark.parametrize("content", ["{", "{}", "[]", ""])
def test_a_damaged_description_is_one_sentence(
    content: str, place: dict[str, Any], stored: Path, tmp_path: Path
) -> None:
    assert len(ClusterStream.open(FILES, **place))
    other = Path(shutil.copytree(place["data_dir"], tmp_path / "data"))
    (about,) = other.rglob("dataset_info.json")
    about.write_text(content)
    for ask in (ClusterStream.open, data.load):
        with pytest.raises(InputError, match=r"damaged .*remove this folder to have the data set prepared anew"):
            ask(FILES, manual_dir=place["manual_dir"], data_dir=other)
    folder = Path(shutil.copytree(stored, tmp_path / "set"))
    (folder / "dataset_info.json").write_text(content)
    with pytest.raises(InputError, match="holds no prepared data set"):
        ClusterStream.of_folder(folder)


def test_without_tfds_one_sentence(place: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="install tensorflow-datasets and tensorflow, or leave --stream out"):
        ClusterStream.open(FILES, **place)


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut off, lengthened, or with some bits flipped."""
    place = int(rng.integers(len(content)))
    kind = rng.integers(4)
    if kind == 0:
        return content[:place]
    if kind == 1:
        return content + content[place : place + 40]
    changed = bytearray(content)
    # The first bytes of a file are the length of a record.
    for at in [place] if kind == 2 else rng.choice(8, 2, replace=False).tolist():
        changed[at] ^= 1 << int(rng.integers(8))
    return bytes(changed)


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_file_is_one_sentence(seed: int, stored: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(stored, tmp_path / "set"))
    (path,) = folder.glob("*train.tfrecord*")
    path.write_bytes(damaged(path.read_bytes(), np.random.default_rng(seed)))
    with pytest.raises(InputError, match=f"{path.name} .*prepared anew") as error:
        list(ClusterStream.of_folder(folder))
    assert "\n" not in str(error.value)


def test_a_file_that_went_away_is_one_sentence(stored: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(stored, tmp_path / "set"))
    stream = ClusterStream.of_folder(folder)
    (path,) = folder.glob("*train.tfrecord*")
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        stream.read(0)
    with pytest.raises(InputError, match="cannot be read"):
        ClusterStream.of_folder(folder)
