"""Pretraining, fine-tuning and prediction of the Timepix models, as a user starts them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import particle_zoo
from particle_zoo import Clusters, InputError, registry
from particle_zoo.detectors.writers import write
from particle_zoo.predict import predict
from particle_zoo.train import train
from particle_zoo.training import run_folder, session
from particle_zoo.training.checkpoint import earlier_seconds
from particle_zoo.training.fit import fit
from particle_zoo.training.snapshots import examples, read
from tests.conftest import eager_steps, write_pixel_files

SMALL = ["--set", "epoch_clusters=32", "--set", "watch_clusters=16", "--set", "fresh_statistics=32"]
GROWING = ["--set", "progressive=[32]", "--set", "progressive_epochs=2", "--set", "snapshots=3"]


def run(command: click.Command, *arguments: Any) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture(autouse=True, scope="module")
def _without_graphs(shallow: None) -> Iterator[None]:
    with eager_steps():
        yield


@pytest.fixture(scope="module")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that name 180 clusters of protons and electrons in files."""
    root = tmp_path_factory.mktemp("pixels")
    write_pixel_files(root / "files")
    return [
        "--dataset",
        "timepix1_clusters/files",
        "--manual-dir",
        str(root / "files"),
        "--data-dir",
        str(root / "data"),
    ]


@pytest.fixture(scope="module")
def pretrained(pixels: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretrained") / "run"
    result = run(train, "tiny_effnet_ae", *pixels, *SMALL, *GROWING, "--epochs", 1, "--output", folder)
    assert result.exit_code == 0, result.output
    return folder


@pytest.mark.slow
def test_pretraining_grows_and_shows_how_reconstructions_change(pretrained: Path) -> None:
    small = pd.read_csv(pretrained / "size-32" / "history.csv")
    assert len(small) == 2
    assert len(pd.read_csv(pretrained / "history.csv")) == 1
    frames = read(pretrained)
    assert [truth.shape for truth, _ in frames] == [(3, 32, 32)] * 2 + [(3, 64, 64)]
    assert [drawn.shape for _, drawn in frames] == [truth.shape for truth, _ in frames]
    assert not np.array_equal(frames[0][1], frames[1][1])
    with Image.open(pretrained / "plots" / "training.gif") as animation:
        assert animation.n_frames == 3
    card, config = (json.loads((pretrained / f"{name}.json").read_text()) for name in ("card", "config"))
    assert card["config"] == config["config"]
    assert "epoch_clusters=32" in card["summary"]
    metrics = json.loads((pretrained / "metrics.json").read_text())
    assert 0 <= metrics["validation_iou"] <= 1
    assert metrics["train_averaged_over_blocks"] == 0
    assert set(metrics["validation_iou_by_type"]) <= {
        "dot", "small blob", "heavy blob", "heavy track", "straight track", "curly track"
    }  # fmt: skip


@pytest.mark.slow
def test_a_pretraining_that_was_stopped_among_the_small_images_goes_on_there(
    pretrained: Path, pixels: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = tmp_path / "again"
    arguments = [*pixels, *SMALL, *GROWING, "--epochs", 1, "--output", again]

    def one_epoch(*args: Any, **options: Any) -> None:
        fit(*args, **options, epochs=1)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("particle_zoo.training.fit.fit", one_epoch)
        with pytest.raises((KeyboardInterrupt, click.Abort)):
            train.main(["tiny_effnet_ae", *map(str, arguments)], standalone_mode=False)
    assert len(pd.read_csv(again / "size-32" / "history.csv")) == 1
    assert not (again / "history.csv").exists()
    stopped = earlier_seconds(again)
    assert stopped > 0
    result = run(train, "tiny_effnet_ae", *arguments, "--resume")
    assert result.exit_code == 0, result.output
    for name in ("size-32/history.csv", "history.csv"):
        here, there = (pd.read_csv(folder / name) for folder in (again, pretrained))
        np.testing.assert_allclose(here["loss"], there["loss"], rtol=1e-3)
    assert stopped < earlier_seconds(again) <= json.loads((again / "metrics.json").read_text())["seconds"]


@pytest.mark.slow
def test_fine_tuning_starts_from_the_pretrained_encoder_and_predicts_files(
    pretrained: Path, pixels: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "classifier"
    frozen = ["--set", "frozen=true", "--epochs", 1, "--init", pretrained]
    result = run(train, "tiny_effnet_classifier", *pixels, *SMALL, *frozen, "--output", folder)
    assert result.exit_code == 0, result.output
    classifier, encoder = (session_model(path) for path in (folder, pretrained))
    for ours, theirs in zip(classifier.encoder.weights, encoder.encoder.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    file = Path(pixels[3]) / "electron" / "a.clog"
    output = tmp_path / "p.csv"
    result = run(predict, folder, file, "--output", output)
    assert result.exit_code == 0, result.output
    rows = pd.read_csv(output)
    assert len(rows) == 60
    np.testing.assert_allclose(rows[["p_proton", "p_electron"]].sum(axis=1), 1, rtol=1e-5)

    dark = clusters_of(file)
    hits = dark.hits.copy()
    hits[: dark.offsets[2], dark.columns.index("energy")] = 0
    write(tmp_path / "dark.parquet", Clusters(hits, dark.columns, dark.offsets, dark.table, dark.unit))
    result = run(predict, folder, tmp_path / "dark.parquet", "--output", tmp_path / "dark.csv")
    assert result.exit_code == 0, result.output
    assert "no prediction 2" in result.output
    said = pd.read_csv(tmp_path / "dark.csv")
    assert said["p_proton"].isna().sum() == said["predicted"].isna().sum() == 2
    np.testing.assert_allclose(said["p_proton"][2:], rows["p_proton"][2:], atol=1e-5)

    hits[:, dark.columns.index("energy")] = 0
    write(tmp_path / "night.parquet", Clusters(hits, dark.columns, dark.offsets, dark.table, dark.unit))
    result = run(predict, folder, tmp_path / "night.parquet", "--output", tmp_path / "night.csv")
    assert result.exit_code == 0, result.output
    assert "no prediction 60" in result.output
    assert list(pd.read_csv(tmp_path / "night.csv")) == list(rows)

    # One cluster becomes a row of 70 px, longer than the image.
    place = dark.columns.index("col")
    long = np.repeat(dark.hits[:1], 70, axis=0)
    long[:, place] = np.arange(70)
    hits, offsets = np.concatenate([long, dark.hits]), np.concatenate([[0], 70 + dark.offsets])
    table = pd.concat([dark.table[:1].assign(id="long"), dark.table], ignore_index=True)
    write(tmp_path / "long.parquet", Clusters(hits, dark.columns, offsets, table, dark.unit))
    result = run(predict, folder, tmp_path / "long.parquet", "--output", tmp_path / "long.csv")
    assert result.exit_code == 0, result.output
    assert "1 clusters are larger than the image and were averaged" in result.output


def test_a_validation_cluster_without_time_is_found_before_a_run_begins(
    timepix3: Clusters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hits = timepix3.hits.copy()
    hits[-1, timepix3.columns.index("toa")] = np.nan
    bad = Clusters(hits, timepix3.columns, timepix3.offsets, timepix3.table, timepix3.unit)
    parts = {"train": timepix3[:40], "validation": bad[40:]}
    monkeypatch.setattr("particle_zoo.data.load", lambda dataset, split, **_: parts[split])
    with pytest.raises(InputError, match=f"cluster {bad.ids[-1]} has .*nan"):
        run(train, "tiny_timepix_cnn", "--classes", "electron,proton", "--output", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def clusters_of(file: Path) -> Clusters:
    found = particle_zoo.read(file)
    assert isinstance(found, Clusters)
    return found


def session_model(folder: Path) -> Any:
    from particle_zoo.weights import load_run

    return load_run(folder)[0]


def test_an_interrupted_classifier_continues_as_if_nothing_had_happened(pixels: list[str], tmp_path: Path) -> None:
    arguments = ["tiny_timepix_cnn", *pixels, "--set", "epoch_clusters=0"]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert run(train, *arguments, "--epochs", 2, "--output", whole).exit_code == 0
    job = session.prepare(
        registry.info("tiny_timepix_cnn"), {"epoch_clusters": 0, "epochs": 2}, seed=0, dataset=pixels[1],
        manual_dir=Path(pixels[3]), data_dir=Path(pixels[5]),
    )  # fmt: skip
    run_folder.start(stopped, job.config(), resume=False)
    fit(job.model, job.train, job.validation, classes=job.classes, seed=0, folder=stopped, epochs=1)
    assert run(train, *arguments, "--epochs", 2, "--output", stopped, "--resume").exit_code == 0
    assert (stopped / "history.csv").read_text() == (whole / "history.csv").read_text()


def test_examples_to_show_are_of_every_track_type(timepix3: Any) -> None:
    from particle_zoo.detectors.holy import classify

    chosen = examples(timepix3, 4)
    assert len(chosen) == 4
    assert len(set(classify(chosen))) == min(4, len(set(classify(timepix3))))
    assert len(examples(timepix3, 1000)) <= len(timepix3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny_effnet_ae", "--set", "size=100"], "multiple of 32"),
        (["tiny_effnet_ae", "--set", "backbone=B9"], "backbone"),
        (["tiny_effnet_ae", "--set", "encoder_weights=nowhere.h5"], "received 'nowhere.h5'"),
        (["tiny_timepix_cnn", "--init", "imagenet"], "has no ImageNet weights"),
        (["tiny_effnet_classifier", "--init", "{trained}"], "that run holds a tiny_cnn"),
        (["tiny_effnet_classifier", "--set", "input=mask"], "no setting 'input'"),
    ],
)
def test_bad_settings_are_one_sentence(
    arguments: list[str],
    message: str,
    pixels: list[str],
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        train.main([*(a.format(trained=trained) for a in arguments), *pixels], standalone_mode=False)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "runs").exists()


def test_clusters_in_counts_are_refused_before_anything_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "run.t3pa").write_text(
        "Index\tMatrix Index\tToA\tToT\tFToA\tOverflow\n"
        + "".join(f"{i}\t{257 * i}\t{1000 * i}\t30\t5\t0\n" for i in range(40))
    )
    arguments = ["tiny_effnet_ae", "--dataset", "timepix3_clusters/files", "--manual-dir", str(tmp_path / "files")]
    with pytest.raises(InputError, match=r"are in ToT; Timepix models need energies in keV"):
        train.main(arguments, standalone_mode=False)
    assert not (tmp_path / "runs").exists()
