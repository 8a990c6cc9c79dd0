"""What a user can get wrong on the command line: one sentence, exit code 2, nothing left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest

from particle_zoo.embed import embed
from particle_zoo.errors import ParticleZooError
from particle_zoo.evaluate import evaluate
from particle_zoo.predict import predict
from particle_zoo.train import train

BAD: list[tuple[click.Command, list[Any], str]] = [
    (train, ["cnm"], "did you mean cnn"),
    (train, ["tiny_cnn", "--dataset", "ccd_clusters/other"], "no configuration"),
    (train, ["tiny_cnn", "--dataset", "ccd_clusters/damic_labelled", "--manual-dir", "{tmp}/nowhere"], "no folder"),
    (train, ["tiny_cnn", "--dataset", "ccd_clusters/damic_labelled", "--manual-dir", "{tmp}/empty"], "empty"),
    (train, ["tiny_cnn", "--dataset", "ccd_clusters/fits"], "--manual-dir"),
    (
        train,
        ["tiny_cnn", "--dataset", "{labelled}", "--manual-dir", "{layout}", "--classes", "xray,quark"],
        "--classes",
    ),
    (
        train,
        ["tiny_cnn", "--dataset", "{labelled}", "--manual-dir", "{layout}", "--set", "epoch=3"],
        "no setting 'epoch'",
    ),
    (train, ["tiny_cnn", "--dataset", "{labelled}", "--manual-dir", "{layout}", "--set", "epochs"], "key=value"),
    (train, ["tiny_cnn", "--dataset", "{labelled}", "--manual-dir", "{layout}", "--params", "{tmp}/no.json"], "JSON"),
    (train, ["tiny_cnn", "--dataset", "{labelled}", "--manual-dir", "{layout}", "--init", "imagenet"], "ImageNet"),
    (train, ["tiny_cnn", "--dataset", "{labelled}", "--manual-dir", "{layout}", "--set", "input=energy"], "input=mask"),
    (train, ["tiny_cnn", "--dataset", "{labelled}", "--manual-dir", "{layout}", "--output", "{run}"], "--resume"),
    (
        train,
        ["tiny_vae", "--dataset", "{labelled}", "--manual-dir", "{layout}", "--output", "{run}", "--resume"],
        "started with model",
    ),
    (
        train,
        ["tiny_cnn", "--dataset", "{labelled}", "--manual-dir", "{layout}", "--output", "{tmp}/tpyo", "--resume"],
        "no run to resume in {tmp}/tpyo",
    ),
    (
        train,
        ["tiny_cnn", "--dataset", "{labelled}", "--manual-dir", "{layout}", "--resume"],
        "no run to resume in runs/tiny_cnn-*",
    ),
    (evaluate, ["{tmp}/nowhere"], "no run folder"),
    (evaluate, ["{tmp}/empty"], "no config.json"),
    (evaluate, ["effnet_ae_mask0_imagehead"], "--publish"),
    (evaluate, ["{run}", "--set", "epochs=1"], "--protocol"),
    (
        evaluate,
        ["tiny_vae", "--dataset", "{labelled}", "--manual-dir", "{layout}", "--protocol", "seed"],
        "use --protocol kfold",
    ),
    (evaluate, ["tiny_effnet_ae", "--protocol", "kfold"], "kfold trains classifiers and variational autoencoders"),
    (embed, ["{run}"], "no latent"),
    (predict, ["{run}", "{tmp}/nowhere.csv"], "does not exist"),
    (predict, ["{run}", "{layout}/clusters", "--output", "{tmp}/p.txt"], ".csv or .parquet"),
]


@pytest.mark.parametrize(("command", "arguments", "message"), BAD)
def test_bad_input_is_one_sentence(
    command: click.Command,
    arguments: list[str],
    message: str,
    layout: Path,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    names = {"tmp": tmp_path, "layout": layout, "run": trained, "labelled": "ccd_clusters/damic_labelled"}
    before = {p.relative_to(trained): p.stat().st_mtime_ns for p in trained.rglob("*")}
    with pytest.raises((ParticleZooError, click.ClickException)) as error:
        command.main([a.format(**names) for a in arguments], standalone_mode=False)
    text = error.value.format_message() if isinstance(error.value, click.ClickException) else str(error.value)
    assert message.format(**names) in text
    assert "\n" not in text
    assert before == {p.relative_to(trained): p.stat().st_mtime_ns for p in trained.rglob("*")}
    assert not list(tmp_path.rglob("*.tmp*"))
    assert not (tmp_path / "runs").exists()
