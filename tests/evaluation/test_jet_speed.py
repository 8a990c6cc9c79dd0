"""How fast jets are encoded and decoded."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import particle_zoo
from particle_zoo import InputError, weights
from particle_zoo.benchmark import benchmark
from particle_zoo.cli import write_json
from particle_zoo.conversion import torch_net
from particle_zoo.conversion.jet_ae import layers_in
from particle_zoo.evaluation.jets import speed, variants
from particle_zoo.evaluation.jets.speed import COMPILED, PYTORCH, ZOO, verdict_of, verdict_sentence


def write_run(folder: Path, name: str, **settings: Any) -> Path:
    """A run folder with random weights."""
    model = particle_zoo.create(name, **settings)
    folder.mkdir()
    model.save_weights(folder / "model.weights.h5")
    config = {"model": name, "config": model.zoo_config.model_dump(mode="json"), "classes": None, "dataset": "jets"}
    write_json(folder / "config.json", {**config, "preprocessing": model.preprocessor.to_dict()})
    weights.write_card(folder, model, {})
    return folder


def check(found: dict[str, Any], expected: list[str]) -> None:
    seen = {(row["task"], row["jets"], row["by"]) for row in found["rows"]}
    assert seen == {(task, jets, by) for task in ("encode", "decode") for jets in (1, 256, 27_945) for by in expected}
    for row in found["rows"]:
        assert 0 < row["us_best"] <= row["us_median"] < math.inf
    assert list(found["memory"]) == expected
    for tasks in found["memory"].values():
        for numbers in tasks.values():
            # Python and NumPy alone take 30 MB.
            assert 30 < numbers["peak_mb"] < 20_000
            assert 0 <= numbers["grown_mb"] < numbers["peak_mb"]


class Here(Executor):
    """Does in this process what another one is asked for."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_every_size_is_timed_and_the_verdict_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    # To import TensorFlow takes longer than all that is timed. Memory stays that of processes which do nothing else.
    here, process = [Here()], speed._process
    monkeypatch.setattr(speed, "_process", lambda: here.pop() if here else process())
    arguments = ["jets", "--repeats", "2", "--torch-compile", "--json", str(tmp_path / "n.json")]
    result = CliRunner().invoke(benchmark, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "n.json").read_text())
    check(found, [ZOO])
    assert (found["model"], found["parameters"], found["torch"]) == ("ae_3d_200", 52_607, None)
    assert found["backend"] == keras.backend.backend()
    assert "seed 002, another machine" in result.output
    assert "torch is not installed" in result.output
    assert "at most a quarter of the seed's times (59.9 and 18.6 ms): " in result.output
    assert "no longer than PyTorch" not in result.output


@pytest.mark.slow
def test_a_run_is_timed_beside_the_same_net_in_pytorch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="times the same net in PyTorch; installed with particle-zoo[torch]")
    run = write_run(tmp_path / "run", "tiny_jet_ae", activation="leaky_relu", batch_norm=True)
    found = speed.measure(run=str(run), repeats=1)
    check(found, [ZOO, PYTORCH])
    assert found["layers"] == "4-16-8-3-8-16-4"
    assert found["verdict"]["encode"]["quarter_ms"] is None
    said = capsys.readouterr().out
    assert "seed 002" not in said
    assert "no longer than PyTorch" in said


def test_runs_of_other_models_are_refused_by_a_sentence(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "tiny_cnn")
    with pytest.raises(InputError, match="holds a tiny_cnn; give the run of an autoencoder of jets"):
        speed._start_zoo(str(run), 0)


def rows(encode: dict[str, float], decode: dict[str, float]) -> list[dict[str, Any]]:
    """Milliseconds of 27,945 jets by whom, and others of one jet that must not count."""
    found = []
    for task, ms in (("encode", encode), ("decode", decode)):
        for by, value in ms.items():
            found.append({"task": task, "jets": 1, "by": by, "us_median": 1e6})
            found.append({"task": task, "jets": 27_945, "by": by, "us_median": 1e3 * value / 27_945})
    return found


def test_the_verdict_is_by_the_median_of_27945_jets() -> None:
    found = verdict_of(rows({ZOO: 20.0, PYTORCH: 50.0, COMPILED: 19.0}, {ZOO: 18.0, PYTORCH: 30.0, COMPILED: 40.0}))
    assert found["encode"]["ms"] == pytest.approx(20.0)
    assert found["encode"]["quarter_ms"] == pytest.approx(59.9)
    assert found["decode"]["quarter_ms"] == pytest.approx(18.575)
    assert (found["encode"]["at_most_a_quarter"], found["decode"]["at_most_a_quarter"]) == (True, True)
    assert (found["encode"]["no_longer_than_torch"], found["decode"]["no_longer_than_torch"]) == (False, True)
    assert verdict_sentence(found) == (
        "encode and decode of 27,945 jets take 20.0 and 18.0 ms; at most a quarter of the seed's times (59.9 and 18.6 ms): yes; no "
        "longer than PyTorch (19.0 and 30.0 ms): encode no, decode yes"
    )
    slow = verdict_of(rows({ZOO: 60.0}, {ZOO: 18.6}))
    assert (slow["encode"]["at_most_a_quarter"], slow["decode"]["at_most_a_quarter"]) == (False, False)
    assert slow["encode"]["no_longer_than_torch"] is None
    assert verdict_sentence(slow).endswith("a quarter of the seed's times (59.9 and 18.6 ms): no")
    other = verdict_of(rows({ZOO: 60.0}, {ZOO: 18.6}), seed_net=False)
    assert verdict_sentence(other) == "encode and decode of 27,945 jets take 60.0 and 18.6 ms"


@pytest.mark.parametrize("settings", [{}, {"activation": "leaky_relu", "batch_norm": True}], ids=str)
def test_pytorch_is_given_the_same_net(settings: dict[str, Any]) -> None:
    pytest.importorskip("torch", reason="builds the net in PyTorch; installed with particle-zoo[torch]")
    model = particle_zoo.create("tiny_jet_ae", **settings)
    rng = np.random.default_rng(1)
    model.set_weights([np.abs(w + rng.normal(0, 0.1, w.shape)) for w in model.get_weights()])
    layers = layers_in(model)
    # It raises where they differ.
    assert set(torch_net.differences(layers, model)) == {"encode", "decode", "whole"}
    with pytest.raises(InputError, match="differ by"):
        torch_net.differences([*layers[:-1], replace(layers[-1], bias=layers[-1].bias + 0.01)], model)
    modules = [half(layers, model.zoo_config.activation) for half in (torch_net.encoder, torch_net.decoder)]
    held = sum(
        tensor.numel() for module in modules for name, tensor in module.state_dict().items() if "num" not in name
    )
    assert held == model.count_params()


def test_the_variants_are_asked_for_as_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def compare(**options: Any) -> dict[str, Any]:
        asked.update(options)
        return {"n": 3}

    monkeypatch.setattr(variants, "compare", compare)
    arguments = ["jet_variants", "--epochs", "2", "--jets", "50", "--variables", "m_pt_phi_eta", "--quiet"]
    result = CliRunner().invoke(benchmark, [*arguments, "--json", str(tmp_path / "n.json")], catch_exceptions=False)
    assert result.exit_code == 0
    assert asked == {"epochs": 2, "jets": 50, "seeds": 1, "seed": 0, "variables": "m_pt_phi_eta", "quiet": True}
    assert json.loads((tmp_path / "n.json").read_text()) == {"n": 3}
