"""Trainings that were killed or stopped go on as if they had not been."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from particle_zoo import data
from particle_zoo.errors import ParticleZooError
from particle_zoo.train import train
from particle_zoo.training.checkpoint import Checkpoint, earlier_seconds
from tests.training.command_line import TINY, invoke, shell


@pytest.mark.usefixtures("forked")
def test_killed_and_resumed_equals_uninterrupted(source: list[Any], tmp_path: Path) -> None:
    """kill -9 after two epochs: same number of epochs, same validation losses."""
    arguments = ["tiny_vae", *source, "--epochs", 14, "--quiet"]
    # A first run prepares the data, so that the kill comes during the training.
    invoke(train, *arguments, "--output", tmp_path / "whole")
    process = shell("particle_zoo.train", *arguments, "--output", "cut", cwd=tmp_path)
    history = tmp_path / "cut" / "history.csv"
    for _ in range(6000):
        if history.exists() and history.read_text().count("\n") >= 3:
            break
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    invoke(train, *arguments, "--output", tmp_path / "cut", "--resume")
    whole, cut = pd.read_csv(tmp_path / "whole" / "history.csv"), pd.read_csv(history)
    assert cut["epoch"].tolist() == list(range(14))
    np.testing.assert_allclose(cut["val_loss"], whole["val_loss"], rtol=1e-5)
    metrics = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("whole", "cut")]
    assert metrics[1]["validation_loss"] == pytest.approx(metrics[0]["validation_loss"], rel=1e-5)


def test_killed_between_two_bad_epochs_stops_where_the_whole_run_stops(
    source: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Early stopping had counted one of its two bad epochs; the learning rate was on its way down a cosine."""
    save = Checkpoint.save

    def save_and_copy(self: Checkpoint) -> None:
        """Keep the folder as a kill after this epoch would leave it."""
        save(self)
        shutil.copytree(self.path.parent, tmp_path / f"after-{self.epochs_done}")

    arguments = ["tiny_cnn", *source, "--epochs", 30, "--quiet"]
    arguments += ["--set", "patience=2", "--set", "learning_rate=0.01", "--set", "batch_size=8"]
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", save_and_copy)
        invoke(train, *arguments, "--output", tmp_path / "whole")
    whole = pd.read_csv(tmp_path / "whole" / "history.csv")
    assert 3 <= len(whole) < 30
    assert whole["val_loss"].idxmin() == len(whole) - 3
    cut = tmp_path / f"after-{len(whole) - 1}"
    assert len(pd.read_csv(cut / "history.csv")) == len(whole) - 1
    with np.load(cut / "checkpoint.npz") as file:
        arrays = dict(file)
    state = {**json.loads(str(arrays["state"])), "seconds": 1000.0}
    np.savez(cut / "checkpoint.npz", **{**arrays, "state": np.array(json.dumps(state))})
    invoke(train, *arguments, "--output", cut, "--resume")
    # Those of the process that was killed count, too.
    seconds = json.loads((cut / "metrics.json").read_text())["seconds"]
    assert 1000 < earlier_seconds(cut) <= seconds < 1500
    resumed = pd.read_csv(cut / "history.csv")
    assert resumed["epoch"].tolist() == whole["epoch"].tolist()
    np.testing.assert_allclose(resumed[["loss", "val_loss"]], whole[["loss", "val_loss"]], rtol=1e-5)


@pytest.mark.usefixtures("eager")
def test_a_run_without_checkpoint_resumes_and_one_with_a_damaged_checkpoint_does_not(
    source: list[Any], tmp_path: Path
) -> None:
    arguments = ["tiny_cnn", *source, "--output", tmp_path / "r", "--epochs", 2, *TINY]
    invoke(train, *arguments)
    for file in (tmp_path / "r").iterdir():
        if file.is_file() and file.name != "config.json":
            file.unlink()
    invoke(train, *arguments, "--resume")
    assert pd.read_csv(tmp_path / "r" / "history.csv")["epoch"].tolist() == [0, 1]
    checkpoint = tmp_path / "r" / "checkpoint.npz"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-500])
    with pytest.raises(ParticleZooError, match="damaged"):
        invoke(train, *arguments, "--resume")


@pytest.mark.usefixtures("eager")
def test_the_configuration_repeats_the_run_and_a_resume_keeps_to_it(layout: Path, tmp_path: Path) -> None:
    source = ["--dataset", "ccd_clusters/damic_labelled", "--manual-dir", layout, "--data-dir", tmp_path / "data"]
    invoke(train, "tiny_cnn", *source, "--output", tmp_path / "a", "--epochs", 1, *TINY)
    start = ["tiny_cnn", *source, "--output", tmp_path / "b", "--epochs", 1, *TINY]
    invoke(train, *start, "--init", tmp_path / "a", "--split", "all")
    config = json.loads((tmp_path / "b" / "config.json").read_text())
    assert (config["init"], config["split"]) == (str(tmp_path / "a"), "all")
    assert config["fingerprint"] == data.fingerprint("ccd_clusters/damic_labelled", manual_dir=layout)
    for changed, key in ((["--split", "all"], "init"), (["--init", tmp_path / "a"], "split")):
        # The recipe follows from init; what differs first would be a setting.
        recipe = [x for k in ("learning_rate", "balance") for x in ("--set", f"{k}={config['config'][k]}")]
        with pytest.raises(ParticleZooError, match=f"started with {key} "):
            invoke(train, *start, *changed, *recipe, "--resume")
    # Other pixels under the same ids: the digest of the ids cannot tell.
    file = max((layout / "clusters").glob("0*.csv"))
    file.write_text(file.read_text().replace("0", "1", 1))
    with pytest.raises(ParticleZooError, match="started with fingerprint"):
        invoke(train, *start, "--init", tmp_path / "a", "--split", "all", "--resume")


@pytest.mark.usefixtures("eager")
@pytest.mark.usefixtures("forked")
def test_ctrl_c_leaves_a_resumable_run(source: list[Any], tmp_path: Path) -> None:
    arguments = ["tiny_cnn", *source, "--output", tmp_path / "r", "--epochs", 2000, "--quiet"]
    process = shell("particle_zoo.train", *arguments, cwd=tmp_path)
    for _ in range(12000):
        if (tmp_path / "r" / "checkpoint.npz").exists():
            break
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "--resume" in errors
    assert "Traceback" not in errors
    arguments[arguments.index(2000)] = len(pd.read_csv(tmp_path / "r" / "history.csv")) + 2
    invoke(train, *arguments, "--resume")
