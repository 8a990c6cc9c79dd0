"""Trainings on clusters that stay on disk, as a user starts them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from particle_zoo import InputError, registry
from particle_zoo.data import cluster_stream
from particle_zoo.data.cluster_stream import ClusterStream
from particle_zoo.pipelines.streamed import StreamedExamples
from particle_zoo.train import train
from particle_zoo.training import progressive, session
from particle_zoo.training.fit import fit
from particle_zoo.weights import load_run
from tests.conftest import eager_steps, write_layout, write_pixel_files

CCD = "ccd_clusters/damic_labelled"


@pytest.fixture(autouse=True, scope="module")
def _without_graphs(shallow: None) -> Iterator[None]:
    with eager_steps():
        yield


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_stream, "RECORDS", 16)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that name labelled CCD clusters."""
    root = tmp_path_factory.mktemp("source")
    layout = write_layout(root / "layout", n=120, seed=5)
    return ["--dataset", CCD, "--manual-dir", str(layout), "--data-dir", str(root / "data")]


@pytest.fixture(scope="module")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that name Timepix clusters."""
    root = tmp_path_factory.mktemp("pixels")
    files = write_pixel_files(root / "files")
    return ["--dataset", "timepix1_clusters/files", "--manual-dir", str(files), "--data-dir", str(root / "data")]


def run(name: str, *arguments: Any) -> str:
    result = CliRunner().invoke(train, [name, *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def losses(folder: Path) -> np.ndarray:
    return pd.read_csv(folder / "history.csv")["loss"].to_numpy()


def test_a_streamed_training_learns_and_says_what_it_was(source: list[str], tmp_path: Path) -> None:
    said = run("tiny_cnn", *source, "--stream", "--epochs", 6, "--output", tmp_path / "run")
    assert "streamed training and" in said
    config, metrics = (json.loads((tmp_path / "run" / f"{name}.json").read_text()) for name in ("config", "metrics"))
    assert config["stream"] is True
    found = ClusterStream.open(CCD, classes=config["classes"], manual_dir=source[3], data_dir=source[5])
    assert metrics["train_n"] == len(found)
    assert metrics["validation_n"] > 0
    assert losses(tmp_path / "run")[-1] < losses(tmp_path / "run")[0]
    model, _ = load_run(tmp_path / "run")
    assert model.predict(model.preprocess(found.sample(20, 0)), verbose=0).shape == (20, 3)


class _Killed(keras.callbacks.Callback):
    """Die in the middle of the third epoch."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.seen = getattr(self, "seen", 0) + 1
        if self.seen == 8:
            raise RuntimeError("killed")


def test_a_run_killed_within_an_epoch_goes_on_as_if_nothing_had_happened(
    pixels: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three batches an epoch: epochs end inside passes.
    arguments = [*pixels, "--stream", "--epochs", 4, "--batch-size", 8, "--set", "epoch_clusters=24"]
    run("tiny_timepix_cnn", *arguments, "--output", tmp_path / "whole")

    with monkeypatch.context() as patch:
        patch.setattr(session, "fit", lambda *a, **o: fit(*a, **o | {"callbacks": [*o["callbacks"], _Killed()]}))
        with pytest.raises(RuntimeError, match="killed"):
            run("tiny_timepix_cnn", *arguments, "--output", tmp_path / "killed")
    assert len(losses(tmp_path / "killed")) == 2
    run("tiny_timepix_cnn", *arguments, "--output", tmp_path / "killed", "--resume")
    assert (tmp_path / "killed" / "history.csv").read_text() == (tmp_path / "whole" / "history.csv").read_text()


def test_a_streamed_run_is_not_resumed_from_memory(source: list[str], tmp_path: Path) -> None:
    arguments = ["tiny_cnn", *source, "--epochs", 1, "--output", tmp_path / "run"]
    run(*arguments, "--stream")
    with pytest.raises(InputError, match="was started with stream True, now it is False"):
        run(*arguments, "--resume")


def test_sizes_are_drawn_flat_and_growing_images_stream_too(
    pixels: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"epoch_clusters": 16, "progressive": [32], "batch_size": 8, "flat_sizes": True}
    job = session.prepare(
        registry.info("tiny_effnet_ae"), settings, seed=0, stream=True, dataset=pixels[1], manual_dir=Path(pixels[3]),
        data_dir=Path(pixels[5]),
    )  # fmt: skip
    given: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "particle_zoo.training.fit.StreamedExamples", lambda *a, **o: given.append(o) or StreamedExamples(*a, **o)
    )
    steps: list[int] = []
    monkeypatch.setattr("particle_zoo.training.fit.run_epochs", lambda *_, **o: steps.append(o["steps"]) or {})
    progressive.grow(job, tmp_path)
    fit(job.model, job.examples, job.validation, classes=None)
    assert [(options["flat"], options["samples"]) for options in given] == [(True, 16)] * 2
    assert steps == [2, 2]


def test_a_stream_has_no_symmetry_for_each_cluster(source: list[str]) -> None:
    job = session.prepare(
        registry.info("tiny_cnn"), {}, seed=0, stream=True, dataset=CCD, manual_dir=Path(source[3]),
        data_dir=Path(source[5]),
    )  # fmt: skip
    with pytest.raises(InputError, match="leave symmetry out"):
        fit(job.model, job.examples, None, classes=job.classes, symmetry=np.zeros(3, int))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pedestal_ae"], "--stream is for models of clusters, and pedestal_ae"),
        (["tiny_jet_ae"], "--stream is for models of clusters, and tiny_jet_ae"),
        (["tiny_dec"], "--stream is for models of clusters, and tiny_dec"),
        (["tiny_cnn", "--classes", "neutrino", "--limit", "3"], "different names out of"),
    ],
)
def test_what_cannot_be_streamed_is_one_sentence(arguments: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as error:
        run(*arguments, "--stream", "--output", tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_damaged_file_is_one_sentence_and_leaves_no_run(source: list[str], tmp_path: Path) -> None:
    assert len(ClusterStream.open(CCD, manual_dir=source[3], data_dir=source[5]))
    other = shutil.copytree(source[5], tmp_path / "data")
    (path,) = other.rglob("*-train.tfrecord*")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(InputError, match="is damaged after byte"):
        run("tiny_cnn", *source[:4], "--data-dir", other, "--stream", "--output", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_file_damaged_during_a_training_is_one_sentence_too(source: list[str], tmp_path: Path) -> None:
    assert len(ClusterStream.open(CCD, manual_dir=source[3], data_dir=source[5]))
    other = shutil.copytree(source[5], tmp_path / "data")
    (path,) = other.rglob("*-train.tfrecord*")

    class Damage(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
            path.write_bytes(bytes(path.stat().st_size))

    whole = fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "fit", lambda *a, **o: whole(*a, **o | {"callbacks": [*o["callbacks"], Damage()]}))
        with pytest.raises(InputError, match="is damaged after byte") as error:
            run("tiny_cnn", *source[:4], "--data-dir", other, "--stream", "--epochs", 9, "--output", tmp_path / "run")
    assert "\n" not in str(error.value)
    assert error.value.__context__ is None
