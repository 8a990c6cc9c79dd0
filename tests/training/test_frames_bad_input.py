"""What a user can get wrong when training on camera frames: one sentence, exit code 2, nothing left behind."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from particle_zoo import cli
from particle_zoo.errors import ParticleZooError
from particle_zoo.train import train
from tests.camera_runs import frames
from tests.detectors.camera.camera_files import WRITERS

SPLITS = {"pedestal_train": 12, "pedestal_calibration": 10, "pedestal_test": 3}
SPOT = [(30, 50, 20000.0)]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with dark frames in three sub-folders."""
    monkeypatch.chdir(tmp_path)
    for seed, (name, n) in enumerate(SPLITS.items()):
        write(tmp_path / "runs_of_camera" / name, frames(n, seed))
    return tmp_path / "runs_of_camera"


def write(folder: Path, images: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{folder.name}.npy", images)


def refused(runs: Path, *arguments: Any) -> str:
    """The sentence that a training ends with; whatever it says, it leaves nothing."""
    before = {path: path.stat().st_mtime_ns for path in Path.cwd().rglob("*")}
    given = ["tiny_pedestal_ae", "--dataset", "camera_frames/files", "--manual-dir", runs, "--epochs", 1, *arguments]
    with pytest.raises((ParticleZooError, click.ClickException)) as error:
        train.main([str(a) for a in given], standalone_mode=False)
    assert {path: path.stat().st_mtime_ns for path in Path.cwd().rglob("*")} == before
    text = error.value.format_message() if isinstance(error.value, click.ClickException) else str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name", WRITERS)
def test_truncated_frames(runs: Path, name: str) -> None:
    (runs / "pedestal_train" / "pedestal_train.npy").unlink()
    path = WRITERS[name](runs / "pedestal_train" / name, frames(12, 0))
    content = path.read_bytes()
    path.write_bytes(content[: int(0.6 * len(content))])
    assert name in refused(runs)


def lit(images: np.ndarray) -> np.ndarray:
    return np.concatenate([images[:-1], frames(1, 9, [SPOT])])


def saturated(images: np.ndarray) -> np.ndarray:
    images = images.copy()
    images[4 % len(images), :8] = 65535
    return images


def without_number(images: np.ndarray) -> np.ndarray:
    images = images.astype(np.float32)
    images[1, 2, 3] = np.nan
    return images


def subtracted(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32) - 100


def narrow(images: np.ndarray) -> np.ndarray:
    return images[:, :, :80]


def nothing(images: np.ndarray) -> np.ndarray:
    return images[:0]


def brighter(images: np.ndarray) -> np.ndarray:
    """Light everywhere."""
    return images + np.uint16(60)


WRONG: list[tuple[str, Callable[[np.ndarray], np.ndarray], str]] = [
    ("pedestal_train", without_number, "pedestal_train.npy, frame 1: pixel (row 2, col 3) is nan"),
    ("pedestal_calibration", without_number, "pedestal_calibration.npy, frame 1: pixel (row 2, col 3) is nan"),
    ("pedestal_test", without_number, "pedestal_test.npy, frame 1: pixel (row 2, col 3) is nan"),
    ("pedestal_train", subtracted, "give frames before pedestals"),
    ("pedestal_train", narrow, "has frames of 64 x 96 px, pedestal_train of 64 x 80 px"),
    ("pedestal_test", narrow, "has frames of 64 x 80 px, pedestal_train of 64 x 96 px"),
    ("pedestal_train", nothing, "holds no frame"),
    ("pedestal_train", saturated, "saturated"),
    ("pedestal_calibration", saturated, "pedestal_calibration.npy, frame 4 is no pedestal: it has a spark"),
    ("pedestal_train", lit, "pedestal_train.npy, frame 11 is no pedestal: it has light around row 30, col 5"),
    (
        "pedestal_calibration",
        lit,
        "pedestal_calibration.npy, frame 9 is no pedestal: it has light around row 30, col 5",
    ),
    ("pedestal_test", lit, "pedestal_test.npy, frame 2 is no pedestal: it has light around row 30, col 5"),
    ("pedestal_calibration", brighter, "pedestal_calibration.npy, frame 0 is no pedestal"),
]


@pytest.mark.parametrize(("split", "change", "message"), WRONG)
def test_frames_that_are_no_pedestals(
    runs: Path, split: str, change: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    file = runs / split / f"{split}.npy"
    np.save(file, change(np.load(file)))
    assert message in refused(runs)


def test_frames_too_small_for_the_spots_of_the_metrics(runs: Path) -> None:
    assert "a spot of 6 px needs a frame of 72 x 72 px; received 64 x 96" in refused(runs)


def test_a_run_with_light_offered_as_pedestals(runs: Path) -> None:
    rng = np.random.default_rng(2)
    for seed, (name, n) in enumerate(SPLITS.items()):
        spots = [[(int(rng.integers(64)), int(rng.integers(96)), 8000.0) for _ in range(3)] for _ in range(n)]
        write(runs / name, frames(n, seed, spots))
    assert "is no pedestal: it has light" in refused(runs)


def test_folders(runs: Path, tmp_path: Path) -> None:
    assert "is no folder" in refused(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "has no sub-folder of dark frames" in refused(tmp_path / "empty")
    (tmp_path / "bare" / "pedestal").mkdir(parents=True)
    assert "holds no camera frames" in refused(tmp_path / "bare")
    write(tmp_path / "light" / "signal", frames(5, 1))
    assert "has no sub-folder of dark frames" in refused(tmp_path / "light")
    write(tmp_path / "few" / "pedestal", frames(8, 1))
    assert "give 15 or more" in refused(tmp_path / "few")
    (runs / "pedestal_test" / "pedestal_test.npy").write_bytes(
        (runs / "pedestal_train" / "pedestal_train.npy").read_bytes()
    )
    assert "is a copy of" in refused(runs)


OPTIONS: list[tuple[list[Any], str]] = [
    (["--classes", "all"], "leave --classes and --split out"),
    (["--split", "test"], "leave --classes and --split out"),
    (["--limit", "9"], "10 training frames or more; received 9"),
    (["--set", "bottlenck=3"], "no setting 'bottlenck'"),
    (["--set", "objective=gan"], "objective"),
    (["--set", 'finder_settings={"widths": []}'], "widths"),
    (["--set", 'finder_settings={"smoothing": 3}'], "no setting 'smoothing'"),
    (["--init", "nowhere/run"], "nowhere/run"),
    (["--init", "imagenet"], "imagenet"),
    (["--resume", "--output", "tpyo"], "no run to resume in tpyo"),
    (["--dataset", "camera_frames/dark"], "no configuration 'dark'"),
    (["--dataset", "ccd_clusters/simulated"], "unknown data set of camera frames"),
]


@pytest.mark.parametrize(("arguments", "message"), OPTIONS)
def test_options(runs: Path, arguments: list[Any], message: str) -> None:
    assert message in refused(runs, *arguments)


def test_exit_code(runs: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    write(runs / "pedestal_train", frames(12, 0, [SPOT]))
    given = ["train", "tiny_pedestal_ae", "--dataset", "camera_frames/files", "--manual-dir", str(runs), "--quiet"]
    monkeypatch.setattr(sys, "argv", given)
    with pytest.raises(SystemExit) as ended:
        cli.run(train)
    assert ended.value.code == 2
    said = capfd.readouterr().err
    assert said.startswith("error: ")
    assert "is no pedestal" in said
    assert said.count("\n") == 1
