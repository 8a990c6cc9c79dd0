"""Classifiers start from simulated clusters where the clusters to train on are real."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from particle_zoo import InputError, registry
from particle_zoo.train import train
from particle_zoo.training import pretrain, session
from particle_zoo.training.checkpoint import earlier_seconds
from particle_zoo.training.pretrain import pretrained_weights, settle

REAL = "ccd_clusters/damic_labelled"
CLASSES = ("xray", "electron", "muon")


def settled(dataset: str, init: str = "none", **overrides: Any) -> dict[str, Any]:
    return settle(registry.info("cnn"), overrides, dataset, CLASSES, init).model_dump()


def test_the_recipe_follows_where_a_training_starts_from() -> None:
    real, simulated, tuned = settled(REAL), settled("ccd_clusters/simulated"), settled(REAL, init="runs/cnn-1")
    assert real["pretrain_epochs"] > 0
    assert simulated["pretrain_epochs"] == tuned["pretrain_epochs"] == 0
    # From learned weights gently, from random ones with the full rate.
    assert real["learning_rate"] == tuned["learning_rate"] < simulated["learning_rate"] / 10
    scratch = settled(REAL, pretrain_epochs=0)
    assert (scratch["learning_rate"], scratch["epochs"]) == (simulated["learning_rate"], simulated["epochs"])


def test_a_timepix_is_not_pretrained_on_a_ccd() -> None:
    """Both have a class "electron"; their units, pixels and thicknesses differ."""
    assert settled("timepix1_clusters/files")["pretrain_epochs"] == 0


def test_what_the_user_sets_wins() -> None:
    assert settled(REAL, epochs=3, learning_rate=1e-4)["epochs"] == 3
    assert settled(REAL, epochs=3, learning_rate=1e-4)["learning_rate"] == 1e-4
    seed = settled(REAL, recipe="seed")
    assert (seed["pretrain_epochs"], seed["epochs"], seed["learning_rate"]) == (0, 30, 3.676e-4)
    with pytest.raises(InputError, match="pretrain_epochs"):
        settled(REAL, pretrain_epochs=-1)


@pytest.mark.usefixtures("eager")
def test_a_training_from_other_weights_says_that_its_recipe_is_gentle(one_layout: Path, tmp_path: Path) -> None:
    arguments = ["tiny_cnn", "--dataset", REAL, "--manual-dir", str(one_layout), "--data-dir", str(tmp_path / "data")]

    def run(folder: str, *more: str) -> str:
        every = [*arguments, "--epochs", "1", "--output", str(tmp_path / folder), *more]
        return CliRunner().invoke(train, every, catch_exceptions=False).output

    assert "fine-tuning" not in run("a")
    start = ["--init", str(tmp_path / "a")]
    assert "fine-tuning recipe, since --init is given: learning_rate 3e-05, balance 1\n" in run("b", *start)
    assert json.loads((tmp_path / "b" / "config.json").read_text())["config"]["balance"] == 1
    assert "fine-tuning" not in run("c", *start, "--quiet")
    assert "fine-tuning" not in run("d", *start, "--set", "learning_rate=1e-3", "--set", "balance=0")
    told = " ".join(CliRunner().invoke(train, ["--help"]).output.split())
    assert "fine_tuning of its configuration" in told


def test_models_without_targets_and_unknown_classes_are_left_alone() -> None:
    vae = registry.info("tiny_vae")
    assert settle(vae, {}, REAL, CLASSES, "none") == registry.config_class("tiny_vae")()
    assert settle(registry.info("cnn"), {}, REAL, ("readout_error",), "none").pretrain_epochs == 0


@pytest.mark.usefixtures("eager")
def test_simulated_clusters_teach_and_are_seeded() -> None:
    settings = registry.config_class("tiny_cnn")(pretrain_epochs=2, pretrain_clusters=60).model_dump()
    one, two, other = (
        pretrained_weights(registry.info("tiny_cnn"), settings, CLASSES, seed=seed) for seed in (1, 1, 2)
    )
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one[0], other[0])


@pytest.mark.usefixtures("eager")
def test_a_resumed_run_does_not_pretrain_again(layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["tiny_cnn", "--dataset", REAL, "--manual-dir", str(layout), "--data-dir", str(tmp_path / "data")]
    arguments += ["--output", str(tmp_path / "r"), "--set", "pretrain_epochs=1", "--set", "pretrain_clusters=30"]

    def run(*more: str) -> str:
        result = CliRunner().invoke(train, [*arguments, *more], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    def long(*given: Any, **named: Any) -> Any:
        monkeypatch.setattr(session, "time", SimpleNamespace(perf_counter=lambda: time.perf_counter() + 1000))
        return pretrained_weights(*given, **named)

    monkeypatch.setattr(pretrain, "pretrained_weights", long)
    assert "first 1 epochs on 30 simulated clusters" in run("--epochs", "2")
    assert 1000 < earlier_seconds(tmp_path / "r") < 1500
    assert json.loads((tmp_path / "r" / "config.json").read_text())["config"]["learning_rate"] == 3e-5
    monkeypatch.setattr(pretrain, "pretrained_weights", lambda *_, **__: pytest.fail("pretrained again"))
    assert "simulated" not in run("--epochs", "4", "--resume").split("\n")[1]
    assert pd.read_csv(tmp_path / "r" / "history.csv")["epoch"].tolist() == [0, 1, 2, 3]


def test_layers_learn_at_rates_of_their_own_only_where_there_is_something_to_keep() -> None:
    card, dataset = registry.info("effnet_classifier"), "timepix1_clusters/satram_simulated_benchmark"
    classes = ("proton", "electron")
    assert settle(card, {}, dataset, classes, "none").layer_decay == 1
    assert settle(card, {}, dataset, classes, "imagenet").layer_decay == 0.8
    # The same weights from a file, where there is no network.
    assert settle(card, {"encoder_weights": "efficientnetb4_notop.h5"}, dataset, classes, "none").layer_decay == 0.8
    assert settle(card, {"layer_decay": 0.5}, dataset, classes, "some/run").layer_decay == 0.5
