"""`predict` on jets: what an autoencoder makes of every one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from particle_zoo.errors import ParticleZooError
from particle_zoo.evaluation.jets import scores
from particle_zoo.jets import FOUR_MOMENTUM, Jets
from particle_zoo.predict import predict
from particle_zoo.simulation.jets import generate
from particle_zoo.weights import load_run
from tests.jet_runs import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """120 jets, in two files."""
    monkeypatch.chdir(tmp_path)
    frame = generate(120, 5).to_frame().assign(event=np.arange(120) // 2)
    frame[:50].to_parquet("a.parquet")
    frame[50:].to_csv("b.csv", index=False)
    return ["a.parquet", "b.csv"]


def invoke(*arguments: Any) -> str:
    result = CliRunner().invoke(predict, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_every_jet_has_its_row(run: Path, files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("particle_zoo.data.jet_files.ROWS", 16)
    said = invoke(run, *files, "--set", "event=event", "--json", "found.json")
    found = pd.read_csv("predictions.csv")
    decoded = [f"{name}_decoded" for name in FOUR_MOMENTUM]
    assert list(found) == ["source", "row", "event", *FOUR_MOMENTUM, *decoded, "z0", "z1", "z2", "error"]
    assert found["source"].tolist() == ["a.parquet"] * 50 + ["b.csv"] * 70
    assert found["row"].tolist() == [*range(50), *range(70)]
    assert found["event"].tolist() == (np.arange(120) // 2).tolist()
    model, _ = load_run(run)
    jets = generate(120, 5).select(FOUR_MOMENTUM)
    np.testing.assert_allclose(found[list(FOUR_MOMENTUM)], jets.values)
    expected = scores.reconstruct(model, jets)
    np.testing.assert_allclose(found[decoded], expected.values, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.filter(regex=r"^z\d$"), model.encode(model.preprocess(jets)), rtol=1e-4, atol=1e-6)
    error = [scores.mse(model, jets[i : i + 1]) for i in range(5)]
    np.testing.assert_allclose(found["error"][:5], error, rtol=1e-4)
    numbers = json.loads(Path("found.json").read_text())
    assert numbers["jets"] == 120
    assert numbers["error"] == pytest.approx(scores.mse(model, jets), rel=1e-4)
    assert f"120 jets, mean square error of the normalised variables {numbers['error']:.3e}" in said


def test_columns_and_units_are_told_by_settings(run: Path, files: list[str]) -> None:
    frame = generate(30, 5).to_frame()
    named = frame.assign(p=frame["pt"] * 1000, E=frame["E"] * 1000).drop(columns=["pt", "m"])
    named.to_parquet("mev.parquet")
    invoke(run, "mev.parquet", "--set", "unit=MeV", "--set", "pt=p", "--output", "out.parquet")
    found = pd.read_parquet("out.parquet")
    assert "event" not in found
    np.testing.assert_allclose(found["pt"], frame["pt"])
    np.testing.assert_allclose(found["E"], frame["E"])
    again = Jets(found[list(FOUR_MOMENTUM)].to_numpy(), FOUR_MOMENTUM)
    assert found["error"].mean() == pytest.approx(scores.mse(load_run(run)[0], again))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.parquet"], "nowhere.parquet"),
        (["a.parquet", "--threshold", "1"], "--threshold is about clusters of hits, and this model is for jets"),
        (["a.parquet", "--rate", "1"], "--rate is for camera frames"),
        (["a.parquet", "--set", "rotate=1"], "rotate is no variable of a jet"),
        (["a.parquet", "--output", "old.csv"], "old.csv exists"),
        (["a.parquet", "huge.csv"], "huge.csv"),
    ],
)
def test_bad_input_is_one_sentence(run: Path, files: list[str], arguments: list[str], message: str) -> None:
    Path("old.csv").write_text("precious")
    generate(9, 1).to_frame().assign(pt=np.inf).to_csv("huge.csv")
    before = {path: path.read_bytes() for path in Path.cwd().rglob("*") if path.is_file()}
    with pytest.raises((ParticleZooError, click.ClickException)) as error:
        predict.main([str(run), *arguments], standalone_mode=False)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert {path: path.read_bytes() for path in Path.cwd().rglob("*") if path.is_file()} == before
