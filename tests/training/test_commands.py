"""The commands as a user runs them."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

import particle_zoo
from particle_zoo.embed import embed
from particle_zoo.errors import InputError
from particle_zoo.evaluate import evaluate
from particle_zoo.predict import predict
from particle_zoo.train import main, train
from particle_zoo.weights import publish
from tests.training.command_line import TINY, invoke, shell


def test_train_writes_the_whole_run_folder(trained: Path) -> None:
    names = {p.name for p in trained.iterdir()}
    assert {
        "config.json",
        "model.weights.h5",
        "history.csv",
        "metrics.json",
        "card.json",
        "plots",
        "baseline.parquet",
    } <= names
    history = pd.read_csv(trained / "history.csv")
    assert history.columns[0] == "epoch"
    assert history["epoch"].tolist() == list(range(6))
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert (trained / "plots" / "history.png").stat().st_size > 5000
    assert json.loads((trained / "config.json").read_text())["classes"] == ["xray", "electron", "muon"]
    assert not [p for p in trained.rglob("*") if ".tmp" in p.name]


def test_evaluate_beside_its_baselines(trained: Path, source: list[Any], tmp_path: Path) -> None:
    output = invoke(evaluate, trained, *source, "--split", "all", "--json", tmp_path / "m.json", "--output", tmp_path)
    found = json.loads((tmp_path / "m.json").read_text())
    matrix = np.array(found["confusion_matrix"])
    assert matrix.sum() == found["n"]
    assert found["accuracy"] == pytest.approx(np.trace(matrix) / matrix.sum())
    recalls = matrix.diagonal() / matrix.sum(1)
    assert found["balanced_accuracy"] == pytest.approx(recalls.mean())
    low, high = found["intervals"]["accuracy"]
    assert low < found["accuracy"] < high
    assert f"{found['accuracy']:.4f} [{low:.4f}, {high:.4f}]" in output
    assert set(found["baselines"]["random forest"]["intervals"]) == {"accuracy", "balanced_accuracy"}
    assert set(found["baselines"]) == {"random forest", "majority class"}
    assert found["baselines"]["random forest"]["accuracy"] > found["baselines"]["majority class"]["accuracy"]
    assert "of the" in output
    assert (tmp_path / "reliability.png").exists()


def test_the_forest_knows_its_own_training_clusters(trained: Path) -> None:
    source = trained.parent / "layout"
    output = invoke(
        evaluate,
        trained,
        "--dataset",
        "ccd_clusters/damic_labelled",
        "--manual-dir",
        source,
        "--data-dir",
        trained.parent / "data",
        "--split",
        "train",
    )
    n = len(pd.read_parquet(trained / "baseline.parquet"))
    assert f"{n} of the {n} evaluated ids were trained on" in output


@pytest.mark.usefixtures("plain_map")
def test_vae_from_training_to_map(source: list[Any], tmp_path: Path) -> None:
    run = tmp_path / "v"
    # As many steps as usual in a fifth of the epochs, each of which writes weights.
    quick = ["--batch-size", 4, "--epochs", 20, "--set", "learning_rate=0.006"]
    invoke(train, "tiny_vae", *source, "--output", run, *quick)
    history = pd.read_csv(run / "history.csv")
    assert {"bce", "kl", "val_bce", "val_kl"} <= set(history)
    assert history["val_bce"].min() < 0.8 * history["val_bce"].iloc[0]
    invoke(evaluate, run, *source, "--split", "all", "--json", tmp_path / "m.json")
    found = json.loads((tmp_path / "m.json").read_text())
    assert set(found["representations"]) == {"latent mean", "latent mean, metadata zeroed", "metadata alone", "pixels"}
    assert found["loss"] == pytest.approx(found["bce"] + 0.1 * found["kl"], rel=1e-3)
    # The pooling indices carry positions around the latent vector: another image's indices draw another image.
    assert found["bce_other_indices"] > 1.2 * found["bce"]
    invoke(embed, run, *source, "--groups", 3, "--output", tmp_path / "e", "--json", tmp_path / "e.json")
    rows = pd.read_parquet(tmp_path / "e" / "latent.parquet")
    assert len(rows) == 60
    assert {"id", "umap_x", "umap_y", "kmeans", "dbscan", "direction", "z0", "z3"} <= set(rows)
    assert sum(g["n"] for g in json.loads((tmp_path / "e.json").read_text())["groups"]) == 60
    assert (tmp_path / "e" / "embedding.png").stat().st_size > 20_000


def test_predict_on_csv_folder_and_frame(trained: Path, one_layout: Path, tmp_path: Path) -> None:
    frame = np.full((90, 70), 3900, np.uint16)
    frame[20:25, 30:35] = 6000
    frame[60, 5:60] = 6000
    fits.PrimaryHDU(frame).writeto(tmp_path / "f.fits")
    one = next((one_layout / "clusters").glob("0*.csv"))
    invoke(predict, trained, one, one_layout / "clusters", tmp_path / "f.fits", "--output", tmp_path / "p.csv")
    rows = pd.read_csv(tmp_path / "p.csv", dtype={"id": str})
    assert len(rows) == 1 + 60 + 2
    assert rows["id"].iloc[0] == one.stem
    np.testing.assert_allclose(rows[["p_xray", "p_electron", "p_muon"]].sum(axis=1), 1, atol=1e-5)
    assert rows.loc[rows["source"] == "f.fits", "size"].tolist() == [25, 55]
    edge = ["--edge", 50, 0, 10, 0]
    invoke(predict, trained, tmp_path / "f.fits", *edge, "--output", tmp_path / "edge.csv")
    assert pd.read_csv(tmp_path / "edge.csv")[["row0", "col0", "size"]].to_numpy().tolist() == [[60, 10, 50]]
    invoke(predict, trained, one, "--output", tmp_path / "p.parquet")
    assert len(pd.read_parquet(tmp_path / "p.parquet")) == 1


@pytest.mark.usefixtures("eager")
def test_publish_then_load_by_name(source: list[Any], one_layout: Path, tmp_path: Path) -> None:
    invoke(train, "tiny_cnn", *source, "--output", tmp_path / "r", "--epochs", 1, *TINY, "--publish")
    model = particle_zoo.load("tiny_cnn")
    clusters = particle_zoo.read(one_layout)
    assert model.predict(model.preprocess(clusters), verbose=0).shape == (60, 3)
    invoke(evaluate, "tiny_cnn", *source, "--split", "all", "--output", tmp_path / "plots")


@pytest.mark.usefixtures("eager")
def test_half_weights_are_a_smaller_file_and_the_same_network(
    source: list[Any], one_layout: Path, tmp_path: Path
) -> None:
    run = tmp_path / "r"
    invoke(train, "tiny_cnn", *source, "--output", run, "--epochs", 1, *TINY)
    copy = publish(run, "tiny_cnn", place=tmp_path / "zoo", kernels="float16")
    with h5py.File(copy / "model.weights.h5") as file:
        kept: list[np.dtype] = []
        file.visititems(lambda name, item: kept.append(item.dtype) if getattr(item, "ndim", 0) > 1 else None)
        assert set(kept) == {np.dtype("float16")}
        assert "optimizer" not in file
    full, half = (particle_zoo.load("tiny_cnn", weights=folder) for folder in (run, copy))
    for a, b in zip(full.weights, half.weights, strict=True):
        assert b.dtype == "float32"
        a, b = np.asarray(a), np.asarray(b)
        np.testing.assert_allclose(b, a, rtol=2**-11 if a.ndim > 1 else 0, atol=2**-25 if a.ndim > 1 else 0)
    assert any((np.asarray(a) != np.asarray(b)).any() for a, b in zip(full.weights, half.weights, strict=True))
    inputs = full.preprocess(particle_zoo.read(one_layout))
    np.testing.assert_allclose(half.predict(inputs, verbose=0), full.predict(inputs, verbose=0), atol=5e-3)
    (copy / "model.weights.h5").write_bytes(b"x")
    with pytest.raises(InputError, match="damaged"):
        particle_zoo.load("tiny_cnn", weights=copy)


@pytest.mark.usefixtures("eager")
def test_settings_from_file_and_flags(source: list[Any], tmp_path: Path) -> None:
    (tmp_path / "best.json").write_text(json.dumps({"filters": [4, 4], "dropout_rate": 0.1}))
    invoke(
        train,
        "tiny_cnn",
        *source,
        "--output",
        tmp_path / "r",
        "--params",
        tmp_path / "best.json",
        "--set",
        "dense_units=[6]",
        "--epochs",
        1,
        *TINY,
    )
    config = json.loads((tmp_path / "r" / "config.json").read_text())["config"]
    assert (config["filters"], config["dense_units"], config["dropout_rate"]) == ([4, 4], [6], 0.1)
    output = invoke(
        train,
        "tiny_cnn",
        *source,
        "--output",
        tmp_path / "s",
        "--init",
        tmp_path / "r",
        "--params",
        tmp_path / "best.json",
        "--set",
        "dense_units=[6]",
        "--epochs",
        1,
        "--precision",
        "mixed_bfloat16",
        *TINY,
    )
    assert "tiny_cnn" in output


def test_the_command_exits_with_2_and_without_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["particle-zoo-train", "cnm"])
    with pytest.raises(SystemExit) as stop:
        main()
    errors = capsys.readouterr().err
    assert stop.value.code == 2
    assert "Traceback" not in errors
    assert errors.strip().splitlines()[-1].startswith("error: unknown model 'cnm'; did you mean cnn")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_protocols_that_train(source: list[Any], tmp_path: Path) -> None:
    common = [*source, "--set", "epochs=1", "--set", "test_time_average=false"]
    invoke(evaluate, "tiny_cnn", *common, "--protocol", "kfold", "--folds", 2, "--json", tmp_path / "k.json")
    found = json.loads((tmp_path / "k.json").read_text())
    assert set(found["mean"]) == {"tiny_cnn", "random forest", "majority class"}
    assert found["n"] == sum(map(sum, found["runs"][0]["tiny_cnn"]["confusion_matrix"]))
    latent = [
        *source,
        "--set",
        "steps=4",
        "--protocol",
        "kfold",
        "--folds",
        2,
        "--json",
        tmp_path / "l.json",
    ]
    invoke(evaluate, "tiny_vae", *latent)
    mean = json.loads((tmp_path / "l.json").read_text())["mean"]
    assert set(mean) == {"latent mean", "latent mean, metadata zeroed", "metadata alone", "pixels"}
    assert mean["metadata alone"]["accuracy"] > 0.6
    invoke(evaluate, "tiny_cnn", *common, "--protocol", "seed", "--json", tmp_path / "s.json")
    run = json.loads((tmp_path / "s.json").read_text())["runs"][0]
    # The message of this protocol: every copy of the seed's test set has a sibling in training, no clean one has.
    assert run["leaky (seed)"]["siblings_in_train"] > 0.99
    assert run["clean (by id)"]["siblings_in_train"] == 0


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_a_hundred_frames_stay_under_two_gigabytes(trained: Path, tmp_path: Path) -> None:
    import psutil

    from particle_zoo.evaluation.clustering_speed import ccd_frame as frame

    image = np.round(frame(150, 0)).astype(np.uint16)
    fits.PrimaryHDU(image).writeto(tmp_path / "000.fits")
    for i in range(1, 100):
        (tmp_path / f"{i:03d}.fits").symlink_to(tmp_path / "000.fits")
    process = shell(
        "particle_zoo.predict", trained, tmp_path, "--output", tmp_path / "p.parquet", "--quiet", cwd=tmp_path
    )
    watched, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.2)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert len(pd.read_parquet(tmp_path / "p.parquet", columns=["id"])) == 15_000
    assert peak < 2 * 2**30
