from __future__ import annotations

import json
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from particle_zoo import InputError, data
from particle_zoo.data import camera, camera_source
from particle_zoo.data.camera import CONFIGS, SPLITS, fingerprint, load_frames, load_truth
from particle_zoo.data.camera_simulated import Simulated
from particle_zoo.detectors.camera import CameraFrames
from particle_zoo.simulation.optical_tpc import benchmark_set
from tests.detectors.camera.camera_files import WRITERS, asymmetric

SMALL: dict[str, Any] = {
    "shape": (64, 80),
    "events_per_frame": 1,
    "energies_kev": (0.5, 1.0),
    "frames": {"pedestal_train": 5, "pedestal_calibration": 3, "pedestal_test": 2, "signal": 4},
}
DIRECT: dict[str, Any] = {"use_tfds": False}


def noise(n: int, seed: int = 0, shape: tuple[int, int] = (6, 9)) -> np.ndarray:
    return np.random.default_rng(seed).integers(90, 110, (n, *shape)).astype(np.uint16)


def write(folder: Path, **runs: np.ndarray) -> Path:
    """One .npy file a sub-folder."""
    for name, images in runs.items():
        (folder / name).mkdir(parents=True)
        np.save(folder / name / "run.npy", images)
    return folder


def stack(frames: CameraFrames) -> np.ndarray:
    return np.stack(list(frames))


@pytest.mark.parametrize("config", CONFIGS[:3])
def test_simulated_frames_are_those_of_the_benchmark(config: str, tmp_path: Path) -> None:
    small = SMALL if config != "simulated_ecdf" else SMALL | {"shape": (32, 32), "frames": {"signal": 0}}
    settings = {name: value for name, value in small.items() if name != "frames"}
    published = benchmark_set(config.removeprefix("simulated_"), **settings)
    for split in camera.source(f"camera_frames/{config}", **small).splits:
        frames = load_frames(f"camera_frames/{config}", split, data_dir=tmp_path, limit=3, **DIRECT, **small)
        expected = [getattr(frame, "counts", frame) for frame in published.split(split, len(frames))]
        np.testing.assert_array_equal(stack(frames), expected)
        assert frames.table["frame"].tolist() == [published.start(split) + k for k in range(len(frames))]


def test_the_default_is_realistic_and_full_size() -> None:
    assert camera.parse("camera_frames") == "simulated_realistic"
    source = camera.source("camera_frames")
    assert source.shape == (2304, 2304)
    assert [len(source.table(split)) for split in SPLITS] == [200, 50, 50, 200]
    assert len({i for split in SPLITS for i in source.table(split)["id"]}) == 500


def test_frames_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_frames("camera_frames", "pedestal_train", data_dir=tmp_path, **DIRECT, **SMALL)
    monkeypatch.setattr(Simulated, "frames", lambda *_: pytest.fail("made again"))
    again = load_frames("camera_frames", "pedestal_train", data_dir=tmp_path, **DIRECT, **SMALL)
    np.testing.assert_array_equal(stack(again), stack(first))
    # Of what is there, a limit takes a part.
    part = load_frames("camera_frames", "pedestal_train", data_dir=tmp_path, limit=2, **DIRECT, **SMALL)
    np.testing.assert_array_equal(stack(part), stack(first)[:2])
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".npy"]


def test_a_limit_makes_no_more_than_it_needs(tmp_path: Path) -> None:
    part = load_frames("camera_frames", "signal", data_dir=tmp_path, limit=2, **DIRECT, **SMALL)
    (path,) = tmp_path.rglob("*.npy")
    assert len(part) == len(np.load(path, mmap_mode="r")) == 2
    whole = load_frames("camera_frames", "signal", data_dir=tmp_path, **DIRECT, **SMALL)
    np.testing.assert_array_equal(stack(part), stack(whole)[:2])


def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Simulated.frames

    def interrupted(self: Simulated, split: str) -> Iterator[Any]:
        yield next(whole(self, split))
        raise KeyboardInterrupt

    monkeypatch.setattr(Simulated, "frames", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_frames("camera_frames", "pedestal_train", data_dir=tmp_path, **DIRECT, **SMALL)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_damaged_store_is_named(tmp_path: Path) -> None:
    load_frames("camera_frames", "pedestal_train", data_dir=tmp_path, **DIRECT, **SMALL)
    (path,) = tmp_path.rglob("*.npy")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=rf"{path.name} is truncated.*remove the file"):
        load_frames("camera_frames", "pedestal_train", data_dir=tmp_path, **DIRECT, **SMALL)
    np.save(path, noise(2))
    with pytest.raises(InputError, match=r"other frames.*remove the file"):
        load_frames("camera_frames", "pedestal_train", data_dir=tmp_path, **DIRECT, **SMALL)


def test_every_setting_is_part_of_the_fingerprint() -> None:
    changes: list[dict[str, Any]] = [
        {}, {"level": "hard"}, {"seed": 1}, {"preset": "quest"}, {"shape": (64, 64)}, {"frames": {"signal": 3}},
        {"events_per_frame": 2}, {"energies_kev": (1.0,)}, {"signal_run": 1},
    ]  # fmt: skip
    found = [fingerprint("camera_frames", **change) for change in changes]
    found += [fingerprint(f"camera_frames/{config}") for config in CONFIGS[1:3]]
    assert len(set(found)) == len(found)
    assert fingerprint("camera_frames/simulated_realistic", shape=[64, 64]) == found[4]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"colour": 1}, "no setting 'colour'; it takes preset"),
        ({"frames": {"train": 3}}, "no split 'train'"),
        ({"frames": {"signal": 201}}, "signal has 200 frames"),
        ({"frames": {"signal": -1}}, "frames of signal must be a whole number"),
        ({"frames": 5}, "must give a number"),
        ({"frames": dict.fromkeys(SPLITS, 0)}, "leaves no split any frame"),
        ({"shape": (64,)}, "shape must be rows and columns"),
        ({"shape": (5000, 5000)}, "must fit into"),
        ({"energies_kev": ()}, "energies_kev"),
        ({"events_per_frame": 0}, "events_per_frame"),
        ({"level": "loud"}, "must be one of"),
        ({"preset": "lhc"}, "must be one of"),
        ({"signal_run": -1}, "signal_run"),
        ({"limit": 0}, "limit must be a whole number of 1"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        load_frames("camera_frames", "pedestal_train", data_dir=tmp_path, **DIRECT, **settings)
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("dataset", "split", "message"),
    [
        ("camera_frames/simulated_pink", "signal", "no configuration 'simulated_pink'; there is simulated_realistic"),
        ("ccd_clusters", "signal", "unknown data set of camera frames 'ccd_clusters'"),
        ("camera_frames", "train", "no split 'train'; there is pedestal_train"),
        ("camera_frames", "signal", "no frames in signal, only in pedestal_train"),
    ],
)
def test_names_that_are_not_there(dataset: str, split: str, message: str, tmp_path: Path) -> None:
    settings = SMALL | {"frames": {"signal": 0}} if dataset == "camera_frames" else {}
    with pytest.raises(InputError, match=message):
        load_frames(dataset, split, data_dir=tmp_path, **DIRECT, **settings)


def test_clusters_of_it_name_the_commands() -> None:
    with pytest.raises(InputError, match=r"whole frames, not clusters; particle_zoo.train"):
        data.load("camera_frames/simulated_white", "train")
    with pytest.raises(InputError, match=r"there is ccd_clusters.*camera_frames"):
        data.load("frames", "train")


def test_truth_is_that_of_the_frames(tmp_path: Path) -> None:
    frames = load_frames("camera_frames", "signal", data_dir=tmp_path, **DIRECT, **SMALL)
    found = list(load_truth("camera_frames", data_dir=tmp_path, limit=3, **DIRECT, **SMALL))
    assert len(found) == 3
    for counts, number, frame in zip(frames, frames.table["frame"], found, strict=False):
        np.testing.assert_array_equal(frame.counts, counts)
        assert frame.number == number
    settings = {name: value for name, value in SMALL.items() if name != "frames"}
    for one, other in zip(found, benchmark_set(**settings).split("signal", 3), strict=True):
        np.testing.assert_array_equal(one.signal, other.signal)
        pd.testing.assert_frame_equal(one.events, other.events)


# The user's own files ------------------------------------------------------------------------------------------------


def of_files(folder: Path) -> dict[str, CameraFrames]:
    splits = camera.source("camera_frames/files", manual_dir=folder).splits
    return {split: load_frames("camera_frames/files", split, manual_dir=folder) for split in splits}


def test_dark_frames_are_split_and_none_is_in_two(tmp_path: Path) -> None:
    folder = write(tmp_path, pedestal=noise(40), signal=noise(4, seed=1))
    np.save(folder / "pedestal" / "more.npy", noise(20, seed=2))
    found = of_files(folder)
    assert {name: len(frames) for name, frames in found.items()} == dict(zip(SPLITS, (42, 9, 9, 4), strict=True))
    ids = [i for frames in found.values() for i in frames.table["id"]]
    assert len(set(ids)) == len(ids) == 64
    seen = {frame.tobytes() for name in SPLITS[:3] for frame in found[name]}
    assert seen == {frame.tobytes() for frame in (*noise(40), *noise(20, seed=2))}
    # In the order of the run, so that passes over a file go forwards.
    assert found["pedestal_train"].table.groupby("source")["frame"].apply(lambda f: f.is_monotonic_increasing).all()


def test_the_split_does_not_depend_on_the_order_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        (tmp_path / "pedestal").mkdir(exist_ok=True)
        np.save(tmp_path / "pedestal" / f"{number}.npy", noise(1, seed=number)[0])
    before = {name: set(frames.table["id"]) for name, frames in of_files(tmp_path).items()}
    monkeypatch.setattr("particle_zoo.detectors.camera.opening.natural", lambda name: [(-int(Path(name).stem), 0, "")])
    turned = of_files(tmp_path)
    assert turned["pedestal_train"].table["source"].iloc[0] in ("19.npy", "18.npy", "17.npy", "16.npy", "15.npy")
    assert {name: set(frames.table["id"]) for name, frames in turned.items()} == before


def test_folders_of_the_splits_are_taken_as_they_are(tmp_path: Path) -> None:
    runs = {name: noise(10 + k, seed=k) for k, name in enumerate(SPLITS[:3])}
    found = of_files(write(tmp_path, **runs))
    assert list(found) == list(SPLITS[:3])
    for name, frames in found.items():
        np.testing.assert_array_equal(stack(frames), runs[name])
        assert frames.table["id"].iloc[3] == f"{name}/run.npy:3"
    with pytest.raises(InputError, match="no frames in signal"):
        load_frames("camera_frames/files", "signal", manual_dir=tmp_path)
    with pytest.raises(InputError, match="has no truth"):
        load_truth("camera_frames/files", manual_dir=tmp_path)


def test_reading_settings_turn_frames(tmp_path: Path) -> None:
    images = asymmetric(20, (6, 9))
    folder = write(tmp_path, pedestal=images)
    before = fingerprint("camera_frames/files", manual_dir=folder)
    (folder / "frames.json").write_text(json.dumps({"transpose": True, "rotate": 1}))
    frames = load_frames("camera_frames/files", "pedestal_test", manual_dir=folder)
    expected = [np.rot90(images[k].T) for k in frames.table["frame"]]
    np.testing.assert_array_equal(stack(frames), expected)
    assert fingerprint("camera_frames/files", manual_dir=folder) != before


def test_frames_stay_in_their_files(tmp_path: Path) -> None:
    folder = write(tmp_path, pedestal=noise(60, shape=(256, 256)))
    tracemalloc.start()
    for _ in load_frames("camera_frames/files", "pedestal_train", manual_dir=folder):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * 256 * 256 * 2


def unusable(folder: Path, kind: str) -> None:
    whole = {name: noise(12, seed=k) for k, name in enumerate(SPLITS)}
    if kind == "plain":
        np.save(folder / "run.npy", noise(20))
    elif kind == "both":
        write(folder, pedestal=noise(20), **whole)
    elif kind == "missing":
        write(folder, **{name: whole[name] for name in (SPLITS[0], SPLITS[2])})
    elif kind == "few":
        write(folder, pedestal=noise(13))
    elif kind == "few to train on":
        write(folder, **whole | {"pedestal_train": noise(9)})
    elif kind == "empty":
        (folder / "pedestal").mkdir()
    elif kind == "other size":
        write(folder, pedestal=noise(20), signal=noise(2, shape=(9, 6)))
    elif kind == "other size within":
        write(folder, pedestal=noise(20))
        np.save(folder / "pedestal" / "z.npy", noise(2, shape=(9, 6)))
    elif kind == "copy":
        write(folder, **whole | {"pedestal_test": whole["pedestal_train"]})
    else:
        write(folder, pedestal=noise(20))
        (folder / "frames.json").write_text(kind)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("plain", "has no sub-folder of dark frames; put dark frames into its sub-folder pedestal"),
        ("both", "has both pedestal and pedestal_train"),
        ("missing", "has pedestal_train but no pedestal_calibration"),
        ("few", "has 13 frames, of which 70 %"),
        ("few to train on", "gives 9 dark frames to train on"),
        ("empty", "holds no camera frames; expected files ending in"),
        ("other size", r"signal has frames of 9 x 6 px, pedestal of 6 x 9 px"),
        ("other size within", r"z.npy has frames of 9 x 6 px"),
        ("copy", r"pedestal_train/run.npy is a copy of pedestal_test/run.npy"),
        ('{"rotate": "left"}', r"frames.json: rotate"),
        ('{"turn": 1}', r"frames.json: turn: .*it may set transpose, rotate, options"),
        ("{", "cannot be read as JSON"),
        ('{"options": {"dataset": "images"}}', "have no option dataset"),
    ],
)
def test_unusable_folders(kind: str, message: str, tmp_path: Path) -> None:
    unusable(tmp_path, kind)
    with pytest.raises(InputError, match=message) as error:
        load_frames("camera_frames/files", "pedestal_train", manual_dir=tmp_path)
    assert "\n" not in str(error.value)


def test_notes_beside_the_files_are_no_copies(tmp_path: Path) -> None:
    folder = write(tmp_path, pedestal=noise(20), signal=noise(2, seed=1))
    for name in ("pedestal", "signal"):
        (folder / name / "notes.txt").write_text("run 7")
    assert list(of_files(folder)) == list(SPLITS)


def test_no_folder_and_settings_of_a_simulation(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="with --manual-dir"):
        load_frames("camera_frames/files", "signal")
    with pytest.raises(InputError, match=re.escape(f"--manual-dir {tmp_path / 'no'} is no folder")):
        fingerprint("camera_frames/files", manual_dir=tmp_path / "no")
    with pytest.raises(InputError, match="level sets a simulation"):
        load_frames("camera_frames/files", "signal", manual_dir=tmp_path, level="hard")


@pytest.mark.parametrize(("name", "writer"), WRITERS.items())
def test_truncated_files_are_one_sentence(
    name: str, writer: Callable[[Path, np.ndarray], Path], tmp_path: Path
) -> None:
    images = np.random.default_rng(3).integers(0, 65536, (20, 24, 36)).astype(np.uint16)
    (tmp_path / "pedestal").mkdir()
    path = writer(tmp_path / "pedestal" / name, images)
    assert sum(map(len, of_files(tmp_path).values())) == 20
    path.write_bytes(path.read_bytes()[: int(0.6 * path.stat().st_size)])
    with pytest.raises(InputError, match=re.escape(name)) as error:
        [stack(frames) for frames in of_files(tmp_path).values()]
    assert "\n" not in str(error.value)


def test_files_need_no_tensorflow(tmp_path: Path) -> None:
    folder = write(tmp_path, pedestal=noise(20))
    code = (
        "import sys; from particle_zoo.data.camera import load_frames\n"
        f"frames = load_frames('camera_frames/files', 'pedestal_test', manual_dir={str(folder)!r})\n"
        "assert len(list(frames)) == 3 and not {'keras', 'tensorflow', 'tensorflow_datasets'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_progress_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(camera_source.told(iter(range(3)), "signal", 3)) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(camera_source, "EVERY_S", 0.0)
    assert list(camera_source.told(iter(range(3)), "signal", 3)) == [0, 1, 2]
    assert [line.split(" frames")[0] for line in capsys.readouterr().err.splitlines()] == [
        "signal: 1 of 3",
        "signal: 2 of 3",
    ]
    camera_source.announce(camera.source("camera_frames", **SMALL), SPLITS, "here")
    assert capsys.readouterr().err == ""
    camera_source.announce(camera.source("camera_frames"), SPLITS, "here")
    assert capsys.readouterr().err == "making 500 frames of camera_frames/simulated_realistic once, in here\n"
