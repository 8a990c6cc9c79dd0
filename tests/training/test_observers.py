"""`--profile` and `--tensorboard`: what they write, and that a training is otherwise the same."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from particle_zoo import Clusters, InputError, registry
from particle_zoo.jets import FOUR_MOMENTUM
from particle_zoo.simulation.jets import generate
from particle_zoo.train import train
from particle_zoo.training import run_folder
from particle_zoo.training.fit import fit
from particle_zoo.training.jets import train_model
from particle_zoo.training.observers import Observers
from particle_zoo.training.profiling import Profile
from particle_zoo.training.session import build
from tests.forms import ALL

needs_tensorboard = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed"
)


@pytest.fixture(scope="module")
def source(one_layout: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that name labelled clusters, prepared once; three steps an epoch."""
    prepared = tmp_path_factory.mktemp("prepared")
    named = ["--dataset", "ccd_clusters/damic_labelled", "--manual-dir", str(one_layout), "--data-dir", str(prepared)]
    return [*named, "--limit", "24", "--batch-size", "8"]


def command(*arguments: Any) -> str:
    result = CliRunner().invoke(train, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def events(run: Path) -> list[dict[str, Any]]:
    """Those of a trace that have a duration."""
    with gzip.open(run / "profile" / "trace.json.gz", "rt") as file:
        return [event for event in json.load(file)["traceEvents"] if event.get("ph") == "X"]


def steps(run: Path) -> list[int]:
    """Numbers of the traced steps, in the order of their times."""
    found = sorted((event for event in events(run) if event["name"] == "train"), key=lambda event: event["ts"])
    return [int(event["args"]["step_num"]) for event in found]


def curves(run: Path, part: str) -> dict[str, list[tuple[int, float]]]:
    """Steps and values by name, as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    read = EventAccumulator(str(run / "tensorboard" / part))
    read.Reload()
    return {
        name: [(event.step, float(make_ndarray(event.tensor_proto))) for event in read.Tensors(name)]
        for name in read.Tags()["tensors"]
    }


def fitted(folder: Path | None, clusters: Clusters, *callbacks: keras.callbacks.Callback, epochs: int = 1) -> None:
    """Train a small network, 8 clusters a step; with a folder resumably."""
    if folder is not None:
        folder.mkdir(exist_ok=True)
    settings = registry.config_class("tiny_vae")(epochs=epochs, batch_size=8, learning_rate=0.01).model_dump()
    model = build(registry.info("tiny_vae"), settings, clusters, None, seed=0)
    fit(model, clusters, clusters[:20], classes=None, folder=folder, callbacks=callbacks)


# --- A trace ---


@pytest.mark.usefixtures("eager")
def test_a_trace_holds_ten_steps_after_the_first_five_and_what_they_did(source: list[str], tmp_path: Path) -> None:
    run = tmp_path / "r"
    said = command("tiny_cnn", *source, "--output", run, "--epochs", 6, "--profile")
    assert f"profile of steps 6 to 15: open {run / 'profile' / 'trace.json.gz'} in https://ui.perfetto.dev" in said
    assert steps(run) == list(range(6, 16))
    marked = [event for event in events(run) if event["name"] == "train"]
    assert all(event["dur"] > 0 for event in marked)
    ends = [(event["ts"], event["ts"] + event["dur"]) for event in marked]
    convolutions = [event["ts"] for event in events(run) if "Conv2D" in event["name"]]
    inside = [time for time in convolutions if any(start <= time <= end for start, end in ends)]
    # Forwards and backwards through a convolution in each step, at the least.
    assert len(inside) >= 20
    # Where XProf looks for it.
    (xplane,) = (run / "profile" / "plugins" / "profile").glob("*/*.xplane.pb")
    assert xplane.stat().st_size > 1000
    assert not [p for p in run.iterdir() if ".tmp" in p.name]


@pytest.mark.usefixtures("eager")
def test_a_resumed_run_is_traced_anew_and_one_without_steps_keeps_its_trace(
    simulated: Clusters, tmp_path: Path
) -> None:
    # Three steps, of which the last is the only one after the others.
    fitted(tmp_path, simulated[:24], Profile(tmp_path))
    assert steps(tmp_path) == [3]
    fitted(tmp_path, simulated[:24], Profile(tmp_path), epochs=4)
    assert steps(tmp_path) == [6, 7, 8, 9]
    nothing = Profile(tmp_path)
    fitted(tmp_path, simulated[:24], nothing, epochs=4)
    assert nothing.describe() == "profile: this start of the run trained no step, so there is none"
    assert steps(tmp_path) == [6, 7, 8, 9]
    run_folder.clear(tmp_path)
    assert not (tmp_path / "profile").exists()


class _Stop(keras.callbacks.Callback):
    """Ctrl-C in the middle of the trace."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if batch == 8:
            raise KeyboardInterrupt


def test_a_trace_that_is_cut_leaves_nothing_and_the_next_one_works(simulated: Clusters, tmp_path: Path) -> None:
    observers = Observers(tmp_path, profile=True, tensorboard=False)
    with pytest.raises(KeyboardInterrupt), observers as callbacks:
        fitted(None, simulated, _Stop(), *callbacks)
    assert not list(tmp_path.iterdir())
    profile = Profile(tmp_path)
    fitted(None, simulated, profile)
    assert profile.recorded == (6, 15)
    assert steps(tmp_path) == list(range(6, 16))


def test_a_call_that_makes_several_steps_is_one(tmp_path: Path) -> None:
    jets = generate(900, seed=3).select(FOUR_MOMENTUM)
    model = registry.create("tiny_jet_ae", epochs=4, batch_size=100)
    model.preprocessor = model.preprocessor.fit(jets)
    profile = Profile(tmp_path)
    train_model(model, jets, jets[:0], folder=tmp_path, callbacks=[profile])
    assert int(model.optimizer.iterations) == 4 * 9
    assert profile.recorded == (4, 4)
    assert steps(tmp_path) == [4]


# --- Curves ---


@needs_tensorboard
@pytest.mark.usefixtures("eager")
def test_curves_are_the_history_and_go_on_after_a_resume(simulated: Clusters, tmp_path: Path) -> None:
    for epochs in (2, 4):
        with Observers(tmp_path, profile=False, tensorboard=True) as callbacks:
            fitted(tmp_path, simulated[:24], *callbacks, epochs=epochs)
    assert callbacks[0].describe() == f"curves: tensorboard --logdir {tmp_path / 'tensorboard'}"
    history = pd.read_csv(tmp_path / "history.csv")
    train_curves, validation_curves = curves(tmp_path, "train"), curves(tmp_path, "validation")
    names = {f"epoch_{name}" for name in ("loss", "bce", "kl")}
    assert set(train_curves) == {*names, "epoch_learning_rate"}
    assert set(validation_curves) == names
    for found, column in ((train_curves, "loss"), (validation_curves, "val_loss")):
        assert [step for step, _ in found["epoch_loss"]] == [0, 1, 2, 3]
        np.testing.assert_allclose([value for _, value in found["epoch_loss"]], history[column], rtol=1e-6)
    assert {value for _, value in train_curves["epoch_learning_rate"]} == {np.float32(0.01)}


@needs_tensorboard
@pytest.mark.usefixtures("eager")
def test_a_training_that_is_watched_is_the_same(simulated: Clusters, tmp_path: Path) -> None:
    fitted(tmp_path / "plain", simulated[:24], epochs=3)
    with Observers(tmp_path / "watched", profile=True, tensorboard=True) as callbacks:
        fitted(tmp_path / "watched", simulated[:24], *callbacks, epochs=3)
    plain, watched = (pd.read_csv(tmp_path / name / "history.csv") for name in ("plain", "watched"))
    pd.testing.assert_frame_equal(plain, watched)


def test_without_tensorboard_the_command_says_what_to_install_and_touches_nothing(
    source: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.summary", None)
    (tmp_path / "config.json").write_text("{}")
    given = ["tiny_cnn", *source, "--output", tmp_path, "--force", "--tensorboard"]
    with pytest.raises(InputError, match=r"pip install 'particle-zoo\[tensorboard\]'"):
        command(*given)
    assert [p.name for p in tmp_path.iterdir()] == ["config.json"]


# --- Other backends ---


@pytest.mark.skipif(not ALL, reason="the small form traces under TensorFlow")
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_trace_under_another_backend(backend: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    generate(900, seed=3).select(FOUR_MOMENTUM).to_frame().to_parquet(tmp_path / "jets.parquet")
    given = ["tiny_jet_ae", "--dataset", "jets/files", "--manual-dir", ".", "--data-dir", "data", "--output", "r"]
    given += ["--epochs", "2", "--batch-size", "32", "--profile"]
    done = subprocess.run(
        [sys.executable, "-m", "particle_zoo.train", *given],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    marked = [event for event in events(tmp_path / "r") if event["name"].split(" ")[0] == "train"]
    assert 1 <= len(marked) <= 10
    assert len(events(tmp_path / "r")) > len(marked)
