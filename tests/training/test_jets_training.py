"""Training of jet autoencoders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import particle_zoo
from particle_zoo.jets import FOUR_MOMENTUM
from particle_zoo.models.jet_ae import STAGES, JetAEConfig
from particle_zoo.simulation.jets import generate
from particle_zoo.train import train
from particle_zoo.training import jets as jet_training
from particle_zoo.training.checkpoint import CHECKPOINT
from particle_zoo.training.jets import train_model
from particle_zoo.training.one_cycle import OneCycle
from particle_zoo.weights import load_run
from tests.forms import ALL


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 900 simulated jets in GeV."""
    folder = tmp_path_factory.mktemp("jets")
    generate(900, seed=3).select(FOUR_MOMENTUM).to_frame().to_parquet(folder / "jets.parquet")
    return folder


def run(files: Path, output: Path, *more: str, code: int = 0) -> str:
    arguments = ["tiny_jet_ae", "--dataset", "jets/files", "--manual-dir", str(files), "--output", str(output)]
    arguments += ["--data-dir", str(files / "data"), *more]
    result = CliRunner().invoke(train, arguments, catch_exceptions=False, standalone_mode=True)
    assert result.exit_code == code, result.output
    return result.output


def values(model: Any) -> list[np.ndarray]:
    return [np.asarray(w) for w in model.get_weights()]


def test_a_run_holds_what_is_needed_and_the_training_helps(files: Path, tmp_path: Path) -> None:
    run(files, tmp_path / "run", "--epochs", "20", "--batch-size", "32")
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    assert list(history["epoch"]) == list(range(20))
    assert history["val_loss"].iloc[-1] < 0.5 * history["val_loss"].iloc[0]
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    model, config = load_run(tmp_path / "run")
    assert config["dataset"] == "jets/files"
    assert metrics["validation_mse"] == pytest.approx(history["val_loss"].min(), rel=1e-3)
    assert particle_zoo.load("tiny_jet_ae", weights=tmp_path / "run").preprocessor == model.preprocessor


@pytest.mark.usefixtures("eager")
def test_normalisation_knows_the_training_jets_alone(files: Path, tmp_path: Path) -> None:
    run(files, tmp_path / "run", "--epochs", "1")
    model, _ = load_run(tmp_path / "run")
    from particle_zoo.data.jets import load_jets

    where = {"data_dir": files / "data", "manual_dir": files, "want": FOUR_MOMENTUM}
    parts = {split: load_jets("jets/files", split, **where) for split in ("train", "validation", "test")}
    assert sum(map(len, parts.values())) == 900
    np.testing.assert_allclose(model.preprocessor.mean, parts["train"].values.mean(0), rtol=1e-12)
    assert not np.allclose(model.preprocessor.mean, load_jets("jets/files", "all", **where).values.mean(0), rtol=1e-6)


def test_a_stopped_training_goes_on_as_if_it_had_not_been(files: Path, tmp_path: Path) -> None:
    settings = ("--set", "schedule=staged", "--set", "stages=[[2,1e-3],[2,1e-4]]", "--batch-size", "64")
    run(files, tmp_path / "whole", *settings, "--epochs", "4")
    run(files, tmp_path / "parts", *settings, "--epochs", "2")
    run(files, tmp_path / "parts", *settings, "--epochs", "4", "--resume")
    for whole, parts in zip(
        values(load_run(tmp_path / "whole")[0]), values(load_run(tmp_path / "parts")[0]), strict=True
    ):
        np.testing.assert_allclose(parts, whole, atol=1e-6)


@pytest.mark.usefixtures("eager")
def test_without_validation_jets_the_training_loss_is_watched(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model, jets = particle_zoo.create("tiny_jet_ae", epochs=2), generate(200, seed=1)
    model.preprocessor = model.preprocessor.fit(jets)
    logs = train_model(model, jets, jets[:0], folder=tmp_path)
    assert "val_loss" not in logs
    assert (tmp_path / "model.weights.h5").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--classes", "a"), "without classes"),
        (("--init", "imagenet"), "no ImageNet weights"),
        (("--set", "variables=pt"), "variables"),
        (("--set", "normalisation=custom"), "no custom constants for E"),
        (("--set", "hidden=[]"), "hidden needs one layer"),
        (("--set", "stages=[[0,1]]"), "stages need epochs"),
    ],
)
def test_settings_that_cannot_be_are_named(more: tuple[str, ...], said: str, files: Path, tmp_path: Path) -> None:
    with pytest.raises(particle_zoo.ParticleZooError, match=said):
        run(files, tmp_path / "run", *more)
    assert not (tmp_path / "run").exists()


def test_the_mass_mode_takes_the_constants_it_was_published_with() -> None:
    assert JetAEConfig.from_settings({"variables": "m_pt_phi_eta"}).normalisation == "custom"
    assert JetAEConfig.from_settings({"variables": "m_pt_phi_eta", "normalisation": "standardised"}).normalisation == (
        "standardised"
    )
    assert JetAEConfig.from_settings({}).normalisation == "standardised"


def test_the_staged_schedule_is_as_long_as_its_stages_and_steps_where_they_end() -> None:
    config = JetAEConfig.from_settings({"schedule": "staged"})
    assert config.epochs == sum(n for n, _ in STAGES)
    model = particle_zoo.create("tiny_jet_ae", schedule="staged", stages=[[1, 0.5], [2, 0.25], [1, 0.125]])
    schedule = model.make_optimizer(10)._learning_rate
    found = [float(schedule(step)) for step in (0, 9, 11, 29, 31, 1000)]
    np.testing.assert_allclose(found, [0.5, 0.5, 0.25, 0.25, 0.125, 0.125])


def test_one_cycle_rises_to_its_peak_and_falls_to_nothing() -> None:
    rate = OneCycle(1e-3, 400)
    found = np.array([float(rate(step)) for step in range(401)])
    assert found[0] == pytest.approx(1e-3 / 25)
    assert found.argmax() == 100
    assert found.max() == pytest.approx(1e-3)
    assert found[400] == pytest.approx(1e-8, rel=1e-2)
    assert (np.diff(found[:100]) > 0).all()
    assert (np.diff(found[101:]) < 0).all()
    assert OneCycle.from_config(rate.get_config()).steps == 400


@pytest.mark.parametrize("block", ["convolution", *(("residual",) if ALL else ())])
def test_what_the_report_proposes_trains_too(block: str) -> None:
    keras.utils.set_random_seed(0)
    jets = generate(600, seed=1)
    model = particle_zoo.create("tiny_jet_ae", block=block, dropout=0.1, epochs=20, batch_size=32)
    model.preprocessor = model.preprocessor.fit(jets)
    logs = train_model(model, jets, jets[:100])
    assert logs["val_loss"][-1] < 0.8 * logs["val_loss"][0]


def test_steps_that_are_called_together_are_those_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jets = generate(660, seed=1)
    found = []
    for together in (64, 1):
        monkeypatch.setattr(jet_training, "MOST_TOGETHER", together)
        keras.utils.set_random_seed(0)
        model = particle_zoo.create("tiny_jet_ae", epochs=4, batch_size=30, weight_decay=1e-2)
        model.preprocessor = model.preprocessor.fit(jets)
        folder = tmp_path / str(together)
        folder.mkdir()
        logs = train_model(model, jets, jets[:100], folder=folder)
        assert int(model.optimizer.iterations) == 4 * 22
        with np.load(folder / CHECKPOINT) as state:
            kept = [state[f"v{i}"] for i in range(len(state.files) - 1)]
        found.append((logs, values(model), kept))
    (ours, our_weights, our_state), (theirs, their_weights, their_state) = found
    for name, column in theirs.items():
        np.testing.assert_allclose(ours[name], column, rtol=1e-5)
    for mine, other in zip(our_weights + our_state, their_weights + their_state, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)


def test_a_checkpoint_of_steps_one_by_one_is_continued_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jets = generate(660, seed=1)
    found = []
    for first in (64, 1):
        folder = tmp_path / str(first)
        folder.mkdir()
        for epochs, together in ((2, first), (4, 64)):
            monkeypatch.setattr(jet_training, "MOST_TOGETHER", together)
            keras.utils.set_random_seed(0)
            # A constant rate, which does not depend on the number of epochs.
            settings = {"schedule": "staged", "stages": ((1, 1e-3),), "epochs": epochs, "batch_size": 30}
            model = particle_zoo.create("tiny_jet_ae", **settings)
            model.preprocessor = model.preprocessor.fit(jets)
            train_model(model, jets, jets[:100], folder=folder)
        assert list(pd.read_csv(folder / "history.csv")["epoch"]) == [0, 1, 2, 3]
        found.append(values(model))
    for mine, other in zip(*found, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)
