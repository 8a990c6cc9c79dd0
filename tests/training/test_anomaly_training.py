"""Anomaly models from dark frames in files to a detector, and what is refused on the way."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import particle_zoo
from particle_zoo import InputError, registry
from particle_zoo.anomaly import AnomalyDetector
from particle_zoo.detectors.camera import CameraFrames, PedestalModel, RegionFinder
from particle_zoo.evaluation.anomaly import after_training
from particle_zoo.evaluation.anomaly.leak import leak, spots
from particle_zoo.train import train
from particle_zoo.training import anomaly
from particle_zoo.weights import publish
from tests.camera_runs import TRAINED, dark
from tests.conftest import eager_steps

NARROW = {"dilation": 2, "merge": 0, "widths": [2.0]}
"""Regions of a small frame must not all run into each other."""

COUNTS = 10_000.0


def write_frames(folder: Path, train: int = 16, calibration: int = 10, test: int = 4) -> Path:
    for seed, (name, n) in enumerate({"train": train, "calibration": calibration, "test": test}.items()):
        (folder / f"pedestal_{name}").mkdir(parents=True)
        np.save(folder / f"pedestal_{name}" / "frames.npy", dark(n, seed))
    return folder


def arguments(source: Path, output: Path, **settings: Any) -> list[str]:
    settings = {"finder_settings": NARROW, **settings}
    given = [part for key, value in settings.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    named = ["--dataset", "camera_frames/files", "--manual-dir", str(source), "--output", str(output)]
    return ["tiny_pedestal_ae", *named, *given]


def command(*given: str) -> str:
    result = CliRunner().invoke(train, list(given), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def prepared(source: Path, name: str = "tiny_pedestal_ae", **settings: Any) -> anomaly.AnomalyJob:
    settings = {"finder_settings": NARROW, **settings}
    return anomaly.prepare(registry.info(name), settings, dataset="camera_frames/files", manual_dir=source)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dark frames; no test may change them."""
    return write_frames(tmp_path_factory.mktemp("frames") / "camera")


@pytest.fixture(scope="module")
def run(source: Path) -> Path:
    """A finished run; no test may change it."""
    with eager_steps():
        command(*arguments(source, source.parent / "run", epochs=3), "--profile")
    return source.parent / "run"


@pytest.fixture(scope="module")
def detector(run: Path) -> AnomalyDetector:
    return AnomalyDetector.load(run)


# --- A finished run -----------------------------------------------------------------------------------------------------


def test_the_run_folder_is_whole(run: Path) -> None:
    metrics = json.loads((run / "metrics.json").read_text())
    history = pd.read_csv(run / "history.csv")
    assert history["epoch"].tolist() == [0, 1, 2]
    assert metrics["val_loss"] == pytest.approx(history["val_loss"].min())
    # White noise leaves nothing to draw but the noise itself.
    assert 0.85 < metrics["val_loss"] < 1.05
    assert (metrics["train_frames"], metrics["calibration_frames"], metrics["test_frames"]) == (16, 10, 4)
    assert metrics["training_seconds"] > 0
    assert set(metrics["thresholds"]) == set(metrics["false_regions"]) == {"1"}
    assert 0 < metrics["false_regions"]["1"] < 5
    assert metrics["leak_passed"] is True
    assert abs(metrics["leak"]) < 0.2
    assert {p.name for p in (run / "plots").iterdir()} == {"history.png", "residual.png"}
    card = json.loads((run / "card.json").read_text())
    assert set(card["parts_sha256"]) == {"pedestal.npz", "calibration.json"}
    assert (run / "profile" / "trace.json.gz").is_file()
    assert not [p for p in run.rglob("*") if ".tmp" in p.name]


def test_the_pedestal_is_that_of_the_training_frames_alone(run: Path, detector: AnomalyDetector) -> None:
    expected = PedestalModel.fit(dark(16, 0), common_mode=True)
    np.testing.assert_array_equal(detector.pedestal.mean, expected.mean)
    assert detector.pedestal.n_frames == 16


def test_a_reloaded_artefact_gives_the_same_maps(detector: AnomalyDetector, tmp_path: Path) -> None:
    again = AnomalyDetector.load(detector.save(tmp_path / "copy"))
    frame = dark(1, 9)[0]
    assert np.abs(detector.reconstruct(frame)).max() > 1e-3
    for name in ("reconstruct", "residual", "score"):
        np.testing.assert_allclose(getattr(detector, name)(frame), getattr(again, name)(frame), atol=1e-5, err_msg=name)
    assert again.threshold(1.0) == detector.threshold(1.0)
    assert again.finder == detector.finder


def test_the_parts_of_a_frame_add_up(detector: AnomalyDetector) -> None:
    frame = dark(1, 9)[0]
    whole = detector.pedestal.subtract(frame)
    np.testing.assert_allclose(detector.reconstruct(frame) + detector.residual(frame), whole, atol=1e-4)
    inputs = detector.model.preprocess(frame)
    np.testing.assert_allclose(inputs[0, ..., 0], detector.pedestal.normalise(frame), atol=1e-6)


def test_light_becomes_a_region_with_its_counts(detector: AnomalyDetector) -> None:
    frame = dark(1, 9)[0].astype(float)
    light = spots(TRAINED, 3.0, COUNTS, np.random.default_rng(0))
    # One of four: medians of rows and columns would take some light of all of them.
    light[36:] = light[:, 36:] = 0
    found = detector.regions(np.round(frame + light).astype(np.uint16), rate=1.0)
    row, col = np.unravel_index(light.argmax(), TRAINED)
    brightest = found.table.iloc[0]
    assert brightest["integral"] == pytest.approx(COUNTS, rel=0.1)
    assert (brightest["row"], brightest["col"]) == pytest.approx((row + 0.5, col + 0.5), abs=1)


def test_another_rate_takes_no_frames(detector: AnomalyDetector) -> None:
    lower = detector.threshold(0.5)
    assert lower > detector.threshold(1.0)
    frames = dark(20, 5)
    count = {rate: sum(len(detector.regions(f, rate=rate)) for f in frames) for rate in (0.5, 1.0)}
    assert 0 < count[0.5] < count[1.0] < 60


def test_a_published_run_is_found_by_name_with_all_its_parts(run: Path, detector: AnomalyDetector) -> None:
    publish(run, "tiny_pedestal_ae")
    frame = dark(1, 9)[0]
    again = AnomalyDetector.load("tiny_pedestal_ae")
    np.testing.assert_allclose(again.residual(frame), detector.residual(frame), atol=1e-5)
    packed = publish(run, "tiny_pedestal_ae", kernels="float16")
    assert (packed / "pedestal.npz").stat().st_size < (run / "pedestal.npz").stat().st_size / 2
    difference = AnomalyDetector.load(packed).residual(frame) - detector.residual(frame)
    # Less than the pedestal of 16 frames is uncertain by.
    assert 0 < difference.std() < detector.pedestal.noise / np.sqrt(16)
    model = particle_zoo.load("tiny_pedestal_ae", weights=run)
    assert model.preprocess(CameraFrames.from_array(dark(2, 9))).shape == (2, *TRAINED, 1)


@pytest.mark.parametrize("part", ["pedestal.npz", "calibration.json"])
def test_parts_of_another_run_are_refused(run: Path, tmp_path: Path, part: str) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    if part == "pedestal.npz":
        PedestalModel.fit(dark(12, 8), common_mode=True).save(copy / part)
    else:
        (copy / part).write_text((copy / part).read_text().replace('"floor"', ' "floor"'))
    with pytest.raises(InputError, match=f"{part} is damaged"):
        AnomalyDetector.load(copy)
    (copy / part).unlink()
    with pytest.raises(InputError, match=f"holds no {part}"):
        AnomalyDetector.load(copy)


def test_thresholds_belong_to_their_finder(detector: AnomalyDetector) -> None:
    with pytest.raises(InputError, match="calibrate again"):
        replace(detector, finder=RegionFinder())
    other = replace(detector, finder=RegionFinder(dilation=2, merge=0), calibration=None)
    with pytest.raises(InputError, match="no thresholds"):
        other.regions(dark(1, 9)[0])
    assert other.calibrate(dark(10, 1), (1.0,)).threshold(1.0) > 0


# --- The leak -----------------------------------------------------------------------------------------------------------


def shifted_copy(image: np.ndarray) -> np.ndarray:
    return image - 100


def blurred_copy(image: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(image - 100, 1.0))


def copy_with_a_dark_margin(image: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return np.asarray(image - gaussian_filter(image, 8.0))


@pytest.mark.parametrize("copying", [shifted_copy, blurred_copy, copy_with_a_dark_margin])
def test_the_leak_of_copies_is_large(copying: Any) -> None:
    assert leak(copying, dark(1, 3), counts=COUNTS)["leak"] > 0.6


def test_the_leak_is_a_share_of_the_light() -> None:
    assert leak(shifted_copy, dark(1, 3), counts=COUNTS)["leak"] == pytest.approx(1, abs=1e-3)
    assert leak(lambda image: 0.3 * image, dark(1, 3), counts=COUNTS)["leak"] == pytest.approx(0.3, abs=1e-3)
    assert leak(np.zeros_like, dark(1, 3), counts=COUNTS)["leak"] == 0


def test_a_run_that_copies_light_is_kept_and_not_published(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eager: None
) -> None:
    monkeypatch.setattr(after_training, "LIMIT", -1.0)
    given = arguments(source, tmp_path / "run", epochs=1)
    with pytest.raises(InputError, match=r"copies light: -?\d+% of a spot of 5.9 keV"):
        CliRunner().invoke(train, [*given, "--publish"], catch_exceptions=False, standalone_mode=False)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["leak_passed"] is False
    assert not (tmp_path / "zoo-home").exists()
    assert AnomalyDetector.load(tmp_path / "run").threshold(1.0) > 0


# --- What is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "calibration"])
def test_frames_with_light_are_no_pedestals(tmp_path: Path, split: str) -> None:
    folder = write_frames(tmp_path / "camera")
    path = folder / f"pedestal_{split}" / "frames.npy"
    frames = np.load(path)
    light = spots(TRAINED, 3.0, COUNTS, np.random.default_rng(0))
    frames[2] += np.round(light).astype(np.uint16)
    np.save(path, frames)
    with pytest.raises(InputError, match=r"frames.npy, frame 2 is no pedestal: it has light around row \d+"):
        CliRunner().invoke(train, arguments(folder, tmp_path / "run"), catch_exceptions=False, standalone_mode=False)
    assert not (tmp_path / "run").exists()


def test_too_few_frames(source: Path, tmp_path: Path) -> None:
    given = [*arguments(source, tmp_path / "run"), "--limit", "5"]
    with pytest.raises(InputError, match="10 training frames or more; received 5"):
        CliRunner().invoke(train, given, catch_exceptions=False, standalone_mode=False)
    with pytest.raises(InputError, match="1 false regions a frame take 5 calibration frames; received 4"):
        prepared(write_frames(tmp_path / "camera", calibration=4))


def test_frames_that_give_no_thresholds_leave_no_finished_run(source: Path, tmp_path: Path, eager: None) -> None:
    # Everything in a frame is one region.
    given = arguments(source, tmp_path / "run", epochs=1, finder_settings={"dilation": 40, "merge": 200})
    with pytest.raises(InputError, match="give no thresholds, so the run is not finished: these frames have"):
        CliRunner().invoke(train, given, catch_exceptions=False, standalone_mode=False)
    left = {p.name for p in (tmp_path / "run").iterdir()}
    assert not left & {"calibration.json", "metrics.json", "card.json"}
    for use in (AnomalyDetector.load, lambda folder: publish(folder, "tiny_pedestal_ae")):
        with pytest.raises(InputError, match=r"holds no calibration.json: its training did not end"):
            use(tmp_path / "run")


def test_options_for_clusters_are_refused(source: Path, tmp_path: Path) -> None:
    for option in (["--classes", "all"], ["--split", "signal"]):
        given = [*arguments(source, tmp_path / "run"), *option]
        with pytest.raises(InputError, match="learns without classes"):
            CliRunner().invoke(train, given, catch_exceptions=False, standalone_mode=False)


# --- Training -----------------------------------------------------------------------------------------------------------


class Kill(keras.callbacks.Callback):
    """Keep what a training that was killed after its first epoch would leave."""

    def __init__(self, folder: Path, left: Path) -> None:
        super().__init__()
        self.folder, self.left = folder, left

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch == 1:
            shutil.copytree(self.folder, self.left)


def test_a_resumed_training_ends_as_an_uninterrupted_one(source: Path, tmp_path: Path, eager: None) -> None:
    # The noise of the code and the light are drawn anew in every step, the fall of the learning rate goes on.
    settings = {"objective": "denoise", "code_noise": 0.3, "epochs": 2}
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    whole.mkdir()
    jobs = [prepared(source, **settings) for _ in range(2)]
    jobs[0].fit(whole, callbacks=[Kill(whole, stopped)])
    assert len(pd.read_csv(stopped / "history.csv")) == 1
    assert len(jobs[1].fit(stopped)["loss"]) == 1
    for first, second in zip(*(job.model.get_weights() for job in jobs), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)
    losses = [pd.read_csv(folder / "history.csv")["loss"].tolist() for folder in (whole, stopped)]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_another_camera_takes_a_short_training_and_its_own_pedestal(
    run: Path, detector: AnomalyDetector, tmp_path: Path, eager: None
) -> None:
    folder = write_frames(tmp_path / "camera")
    for name in ("train", "calibration", "test"):
        path = folder / f"pedestal_{name}" / "frames.npy"
        np.save(path, np.load(path)[:, :72, :96] + 100)
    output = command(*arguments(folder, tmp_path / "run"), "--init", str(run))
    assert "fine-tuning recipe, since --init is given: epochs 2, learning_rate 0.0003" in output
    tuned = AnomalyDetector.load(tmp_path / "run")
    assert tuned.pedestal.shape == (72, 96)
    assert tuned.pedestal.mean.mean() == pytest.approx(200, abs=1)
    near = [np.abs(a - b).max() for a, b in zip(tuned.model.get_weights(), detector.model.get_weights(), strict=True)]
    assert 0 < max(near) < 0.1
