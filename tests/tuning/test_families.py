"""Trials of models that are no classifiers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from particle_zoo import InputError
from particle_zoo.data import camera
from particle_zoo.detectors.camera import CameraFrames, PedestalModel
from tests.camera_runs import frames
from tests.conftest import eager_steps
from tests.patch_files import write_patches
from tests.tuning.trials import Judge, baseline, objective
from tuning.families import frames as dark
from tuning.objective import Objective
from tuning.spaces import baseline_of


@pytest.fixture(autouse=True, scope="module")
def _eager() -> Iterator[None]:
    with eager_steps():
        yield


def test_a_model_without_targets_learns_from_all_classes(one_layout: Path) -> None:
    found, trial = objective("tiny_vae", one_layout, epochs=1, limit=32), baseline("tiny_vae")
    assert found(trial) == trial.reports[0] > 0
    train, _ = next(iter(found.data.parts(0)))
    assert len(set(train.labels)) > 3
    assert found.conditions["classes"] is None
    assert found.data.measures == ()


# --- Dark frames ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pedestals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 frames to train on, and the other splits that a detector needs."""
    folder = tmp_path_factory.mktemp("camera")
    for seed, (split, n) in enumerate({"train": 20, "calibration": 4, "test": 4}.items()):
        (folder / f"pedestal_{split}").mkdir()
        np.save(folder / f"pedestal_{split}" / "frames.npy", frames(n, seed, shape=(80, 104)))
    return folder


@pytest.fixture(scope="module")
def anomaly(pedestals: Path) -> Objective:
    return Objective("tiny_pedestal_ae", dataset="camera_frames/files", manual_dir=pedestals, epochs=1)


def test_dark_frames_are_judged_by_the_last_tenth_and_their_leak(
    anomaly: Objective, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits, fit = [], PedestalModel.fit
    monkeypatch.setattr(PedestalModel, "fit", lambda *given, **named: fits.append(1) or fit(*given, **named))
    trial = Judge({**baseline_of("tiny_pedestal_ae"), "batch_size": 64})
    value = anomaly(trial)
    # White noise leaves nothing to draw but itself.
    assert 0.8 < value < 1.3
    assert abs(trial.user_attrs["leak"]) < 0.2
    assert len(next(iter(anomaly.data.parts(0)))[1]) == 2
    anomaly.data.build({}, anomaly.data.frames)  # type: ignore[attr-defined]
    assert len(fits) == 1


def test_a_model_that_copies_light_is_refused(anomaly: Objective, monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(model: Any, _: Any, callbacks: Any) -> None:
        callbacks[0].set_model(model)
        callbacks[0].on_epoch_end(0, {"loss": 1.0, "val_loss": 1.0})

    monkeypatch.setattr(anomaly.data, "fit", fit)
    monkeypatch.setattr(dark, "leak", lambda *_, **__: {"leak": 0.31})
    trial = baseline("tiny_pedestal_ae")
    with pytest.raises(optuna.TrialPruned):
        anomaly(trial)
    assert trial.user_attrs["impossible"] == "the reconstruction copies 31% of a spot of 5.9 keV, 20% are allowed"


def test_a_leak_that_is_no_number_is_refused(anomaly: Objective) -> None:
    assert anomaly.data.refusal({"leak": float("nan")})


def test_no_frames_of_calibration_or_test_are_loaded(pedestals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    load = camera.load_frames

    def spy(dataset: str, split: str, **options: Any) -> CameraFrames:
        asked.append(split)
        return load(dataset, split, **options)

    monkeypatch.setattr(camera, "load_frames", spy)
    found = Objective("tiny_pedestal_ae", dataset="camera_frames/files", manual_dir=pedestals, epochs=1)
    next(iter(found.data.parts(0)))
    assert asked == ["pedestal_train"]


@pytest.mark.parametrize(("settings", "message"), [
    ({"folds": 3}, "tiny_pedestal_ae holds out the last tenth of its frames, a run in time; leave --folds out"),
    ({"limit": 5}, "a pedestal takes 10 training frames or more; received 5"),
    ({"classes": "xray"}, "tiny_pedestal_ae learns without classes; leave --classes out"),
])  # fmt: skip
def test_what_frames_cannot_do(settings: dict[str, Any], message: str, pedestals: Path) -> None:
    found = Objective("tiny_pedestal_ae", dataset="camera_frames/files", manual_dir=pedestals, **settings)
    with pytest.raises(InputError, match=message):
        found(baseline("tiny_pedestal_ae"))


# --- Patches ----------------------------------------------------------------------------------------------------------------------


def test_patches_are_judged_by_others_than_those_learned_from(tmp_path: Path) -> None:
    found = Objective("tiny_dec", dataset=str(write_patches(tmp_path / "patches.npz")), epochs=2)
    trial = baseline("tiny_dec")
    assert found(trial) == min(trial.reports.values()) > 0
    assert trial.user_attrs["epochs_run"] == 2
    [(learned, held)] = found.data.parts(0)
    # Of 48, without the one that another region reaches into.
    assert (len(learned), len(held)) == (40, 7)
    assert not {image.tobytes() for image in learned} & {image.tobytes() for image in held}
    assert sum(len(part[1]) for part in found.data.parts(3)) == 47


def test_a_handful_of_patches_is_no_search(tmp_path: Path) -> None:
    found = Objective("tiny_dec", dataset=str(write_patches(tmp_path / "patches.npz")), limit=6)
    with pytest.raises(InputError, match="a search needs 7 patches or more"):
        next(iter(found.data.parts(0)))


# --- Jets -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_jets_are_judged_by_the_validation_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jets = pytest.importorskip("particle_zoo.data.jets", reason="there is no training of jets yet")
    asked: list[str] = []
    load = jets.load_jets

    def spy(dataset: str, split: str, **options: Any) -> Any:
        asked.append(split)
        return load(dataset, split, **{**options, "use_tfds": False, "limit": 500})

    monkeypatch.setattr(jets, "load_jets", spy)
    found = Objective("tiny_jet_ae", data_dir=tmp_path, epochs=2)
    trial = Judge({**baseline_of("tiny_jet_ae"), "batch_size": 64})
    assert found(trial) == min(trial.reports.values()) > 0
    assert set(asked) == {"train", "validation"}
    folds = list(found.data.parts(4))
    assert sum(len(held) for _, held in folds) == 1000
    assert found.fingerprint
