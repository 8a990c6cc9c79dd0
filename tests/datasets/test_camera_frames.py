from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow_datasets as tfds

from particle_zoo import InputError
from particle_zoo.data import camera
from particle_zoo.data.camera import SPLITS, load_frames, load_truth
from particle_zoo.data.camera_prepared import events_from_json, events_to_json
from particle_zoo.data.camera_simulated import Simulated
from particle_zoo.datasets.camera_frames.camera_frames_dataset_builder import Builder
from particle_zoo.simulation.optical_tpc import benchmark_set

pytestmark = pytest.mark.filterwarnings("ignore")

COUNTS = {"pedestal_train": 5, "pedestal_calibration": 3, "pedestal_test": 2, "signal": 3}
SMALL: dict[str, Any] = {"shape": (64, 80), "events_per_frame": 1, "energies_kev": (0.5, 1.0), "frames": COUNTS}


def write(folder: Path) -> Path:
    """40 dark frames and 3 with light."""
    for name, n in (("pedestal", 40), ("signal", 3)):
        (folder / name).mkdir(parents=True)
        np.save(folder / name / "run.npy", np.random.default_rng(n).integers(90, 110, (n, 6, 9)).astype(np.uint16))
    return folder


class TestSimulated(tfds.testing.DatasetBuilderTestCase):
    """TFDS's own checks: registration, tags, keys, shapes, splits, disjointness, reload."""

    DATASET_CLASS = Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ["simulated_realistic"]  # noqa: RUF012
    EXAMPLE_DIR = str(Path(__file__).parent)
    SKIP_CHECKSUMS = True
    SPLITS = COUNTS

    @classmethod
    def setUpClass(cls) -> None:
        cls.patch = pytest.MonkeyPatch()
        # TFDS gives a builder nothing but folder, configuration and version.
        cls.patch.setattr(Builder, "__init__", functools.partialmethod(Builder.__init__, **SMALL))
        super().setUpClass()

    @classmethod
    def tearDownClass(cls) -> None:
        super().tearDownClass()
        cls.patch.undo()


class TestFiles(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ["files"]  # noqa: RUF012
    SKIP_CHECKSUMS = True
    SPLITS = dict(zip(SPLITS, (28, 6, 6, 3), strict=True))  # noqa: RUF012

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp())
        cls.EXAMPLE_DIR = str(write(cls.folder / "files"))
        # The default configuration, which is full size, is built but not prepared.
        super().setUpClass()

    @classmethod
    def tearDownClass(cls) -> None:
        super().tearDownClass()
        shutil.rmtree(cls.folder)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a small prepared `simulated_realistic`."""
    folder = tmp_path_factory.mktemp("prepared")
    load_frames("camera_frames", "signal", data_dir=folder, use_tfds=True, **SMALL)
    return folder


def both(dataset: str, split: str, folder: Path, direct: Path, **options: Any) -> None:
    through = load_frames(dataset, split, data_dir=folder, use_tfds=True, **options)
    straight = load_frames(dataset, split, data_dir=direct, use_tfds=False, **options)
    np.testing.assert_array_equal(list(through), list(straight))
    pd.testing.assert_frame_equal(through.table, straight.table)
    assert through.shape == straight.shape
    # Frames are reached one by one too, and not only forwards.
    np.testing.assert_array_equal(list(through[[1, 0, 1]]), list(straight[[1, 0, 1]]))


@pytest.mark.parametrize("split", SPLITS)
def test_frames_are_the_same_without_tfds(split: str, prepared: Path, tmp_path: Path) -> None:
    both("camera_frames/simulated_realistic", split, prepared, tmp_path, **SMALL)


@pytest.mark.parametrize("noise", ["white", "ecdf"])
def test_other_noises_are_the_same_without_tfds(noise: str, tmp_path: Path) -> None:
    options = SMALL | {"shape": (32, 32), "frames": {"pedestal_train": 2, "pedestal_calibration": 2, "signal": 0}}
    both(f"camera_frames/simulated_{noise}", "pedestal_calibration", tmp_path / "a", tmp_path / "b", **options)


def test_files_are_the_same_through_tfds(tmp_path: Path) -> None:
    folder = write(tmp_path / "files")
    for split in SPLITS:
        both("camera_frames/files", split, tmp_path / "data", tmp_path / "none", manual_dir=folder)
    assert not (tmp_path / "none").exists()


def test_no_frame_is_in_two_splits(prepared: Path) -> None:
    frames = [frame for split in SPLITS for frame in load_frames("camera_frames", split, data_dir=prepared, **SMALL)]
    assert len({frame.tobytes() for frame in frames}) == len(frames) == sum(COUNTS.values())


def test_truth_survives_storage(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {name: value for name, value in SMALL.items() if name != "frames"}
    expected = list(benchmark_set(**settings).split("signal", 3))
    monkeypatch.setattr(Simulated, "truth", lambda _: pytest.fail("simulated again"))
    found = list(load_truth("camera_frames", data_dir=prepared, **SMALL))
    for one, other in zip(found, expected, strict=True):
        assert one.number == other.number
        for name in ("counts", "signal", "drawn", "instance"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)
        pd.testing.assert_frame_equal(one.events, other.events, check_exact=True)
    assert len(list(load_truth("camera_frames", data_dir=prepared, limit=2, **SMALL))) == 2


def test_truth_of_a_set_that_is_not_there_is_simulated(tmp_path: Path) -> None:
    (frame,) = load_truth("camera_frames", data_dir=tmp_path, limit=1, use_tfds=True, **SMALL)
    assert frame.number == 300
    assert not list(tmp_path.rglob("*"))


def test_times_that_are_not_known_survive() -> None:
    (frame,) = benchmark_set("white", shape=(64, 64), events_per_frame=1, energies_kev=(1.0,)).split("signal", 1)
    assert frame.events["time_ms"].isna().all()
    pd.testing.assert_frame_equal(events_from_json(events_to_json(frame.events)), frame.events, check_exact=True)


def test_others_read_it_without_this_package(prepared: Path) -> None:
    (place,) = prepared.glob("source-*/camera_frames/simulated_realistic/1.0.0")
    assert "particle_zoo" not in (place / "features.json").read_text()
    builder = tfds.builder_from_directory(place)
    dark = list(tfds.as_numpy(builder.as_dataset(split="pedestal_train")))
    direct = load_frames("camera_frames", "pedestal_train", data_dir=prepared, **SMALL)
    np.testing.assert_array_equal([example["frame"] for example in dark], list(direct))
    assert [example["id"].decode() for example in dark] == direct.table["id"].tolist()
    assert dark[0]["signal"].size == 0
    lit = next(iter(tfds.as_numpy(builder.as_dataset(split="signal"))))
    truth = next(load_truth("camera_frames", data_dir=prepared, **SMALL))
    np.testing.assert_array_equal(lit["instance"], truth.instance)
    assert lit["number"] == 300


def test_order_holds_where_tfds_sorts_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tensorflow_datasets.core.shuffle.MAX_MEM_BUFFER_SIZE", 1)
    options = {"shape": (32, 32), "frames": {"pedestal_train": 30, "pedestal_test": 0, "signal": 0}}
    both("camera_frames/simulated_white", "pedestal_train", tmp_path / "a", tmp_path / "b", **options)


def test_a_limit_prepares_no_more_than_it_needs(prepared: Path, tmp_path: Path) -> None:
    part = load_frames("camera_frames", "pedestal_train", data_dir=tmp_path, use_tfds=True, limit=2, **SMALL)
    (place,) = tmp_path.glob("source-*/camera_frames/simulated_realistic/1.0.0")
    assert list(tfds.builder_from_directory(place).info.splits) == ["pedestal_train"]
    whole = load_frames("camera_frames", "pedestal_train", data_dir=prepared, limit=2, **SMALL)
    np.testing.assert_array_equal(list(part), list(whole))
    assert len(list(prepared.glob("source-*"))) == 1


def test_one_folder_never_answers_for_another_set(tmp_path: Path) -> None:
    options = {"config": "simulated_white", "data_dir": str(tmp_path), "shape": (32, 32)}
    few = {"frames": {"pedestal_calibration": 1, "pedestal_test": 1, "signal": 0}}
    Builder(**options, frames=few["frames"] | {"pedestal_train": 2}).download_and_prepare()
    Builder(**options, frames=few["frames"] | {"pedestal_train": 2}).download_and_prepare()
    with pytest.raises(InputError, match="prepared from another source"):
        Builder(**options, frames=few["frames"] | {"pedestal_train": 3}).download_and_prepare()


def test_a_damaged_set_is_one_sentence(prepared: Path, tmp_path: Path) -> None:
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    (path,) = tmp_path.rglob("*pedestal_test.tfrecord*")
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 1
    path.write_bytes(content)
    frames = load_frames("camera_frames", "pedestal_test", data_dir=tmp_path, **SMALL)
    with pytest.raises(InputError, match=r"is damaged \(frame 0 .*remove the folder"):
        list(frames)
    path.write_bytes(content[:-20])
    with pytest.raises(InputError, match=r"is damaged .*ends too early"):
        load_frames("camera_frames", "pedestal_test", data_dir=tmp_path, **SMALL)


def test_a_failure_leaves_nothing_half_written(tmp_path: Path) -> None:
    folder = write(tmp_path / "files")
    run = np.load(folder / "pedestal" / "run.npy").astype(np.float64)
    run[-1, 2, 3] = 0.5
    np.save(folder / "pedestal" / "run.npy", run)
    with pytest.raises(InputError, match=r"run.npy, frame 39: pixel \(row 2, col 3\) is 0.5"):
        load_frames("camera_frames/files", "signal", data_dir=tmp_path / "data", manual_dir=folder, use_tfds=True)
    crowded = SMALL | {"events_per_frame": 40, "frames": {"pedestal_train": 2, "signal": 1}}
    with pytest.raises(InputError, match="room"):
        load_frames("camera_frames", "signal", data_dir=tmp_path / "data", use_tfds=True, **crowded)
    assert not list((tmp_path / "data").iterdir())


@pytest.mark.parametrize(
    "options", [{"config": "files", "level": "hard"}, {"level": "loud"}, {"shape": (1, 1)}, {"frames": {"train": 1}}]
)
def test_settings_that_cannot_be_built(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError):
        Builder(**{"config": "simulated_white", "data_dir": str(tmp_path)} | options)


def test_the_readme_states_the_settings() -> None:
    text = (Path(camera.__file__).parents[1] / "datasets" / "camera_frames" / "README.md").read_text()
    for name in (*camera.CONFIGS, *SPLITS, *camera.OVERRIDES, "frames.json", "transpose", "rotate", "options"):
        assert f"`{name}`" in text
