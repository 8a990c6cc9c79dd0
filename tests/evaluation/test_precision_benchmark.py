"""The command that compares precisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import particle_zoo
from particle_zoo.benchmark import benchmark
from particle_zoo.cli import read_json
from particle_zoo.errors import InputError, UnknownModelError
from particle_zoo.evaluation.precision.compare import kept_loss, untrained
from particle_zoo.simulation.jets import generate
from particle_zoo.training import jets

SETTINGS = {"epochs": 2, "batch_size": 100}


@pytest.fixture
def source(tmp_path: Path) -> dict[str, Any]:
    """Jets that a training reads where they are."""
    (tmp_path / "jets").mkdir()
    generate(600, seed=1).to_frame().to_csv(tmp_path / "jets" / "jets.csv", index=False)
    return {"dataset": "jets/files", "manual_dir": tmp_path / "jets", "data_dir": tmp_path / "data", "limit": 300}


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(benchmark, ["precision", *map(str, arguments)], catch_exceptions=False)


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_every_precision_has_every_seed_and_a_verdict(tmp_path: Path, source: dict[str, Any]) -> None:
    options = [part for key, value in source.items() for part in (f"--{key.replace('_', '-')}", value)]
    options += [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    options += ["--seeds", 2, "--precision", "mixed_bfloat16", "--json", tmp_path / "found.json"]
    done = run("tiny_jet_ae", *options)
    assert done.exit_code == 0, done.output
    assert "the reference" in done.output
    found = read_json(tmp_path / "found.json")
    assert [row["precision"] for row in found["rows"]] == ["float32", "mixed_bfloat16"]
    full, mixed = (row["losses"] for row in found["rows"])
    assert len(full) == len(mixed) == 2
    assert full[0] != full[1]
    # The same seeds, rounded otherwise.
    assert mixed != full
    assert mixed == pytest.approx(full, rel=0.05)
    assert found["rows"][1]["verdict"] in done.output.replace("\n", " ")
    assert len(found["untrained"]) == 2
    assert found["untrained"][0] != found["untrained"][1]
    for row in found["rows"]:
        assert row["learned"] == pytest.approx(np.mean(found["untrained"]) - np.mean(row["losses"]))
        assert row["learned"] > 0
        assert f"{row['learned']:.2g}" in done.output
    assert found["rows"][1]["one_seed"] == pytest.approx(max(abs(a - b) for a, b in zip(full, mixed, strict=True)))


@pytest.mark.usefixtures("eager")
def test_what_is_learned_is_counted_from_the_weights_that_a_model_begins_with(source: dict[str, Any]) -> None:
    card = particle_zoo.info("tiny_jet_ae")
    found = untrained(card, SETTINGS, 4, source)
    job = jets.prepare(card, SETTINGS, seed=4, **source)
    inputs = job.model.preprocess(job.validation)
    job.model.compile()
    assert found == pytest.approx(job.model.evaluate(inputs, verbose=0, return_dict=True)["loss"], rel=1e-5)


def test_the_loss_that_counts_is_that_of_the_kept_weights(tmp_path: Path) -> None:
    def loss(text: str) -> float:
        (tmp_path / "history.csv").write_text(text)
        return kept_loss(pd.read_csv(tmp_path / "history.csv"))

    assert loss("epoch,loss,val_loss\n0,3,5\n1,2,4\n2,1,6\n") == 4
    assert loss("epoch,loss\n0,3\n1,2\n") == 2
    # What Keras writes where nothing is validated.
    assert loss("epoch,loss,val_loss\n0,3,NA\n1,2,NA\n") == 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["nobody"], UnknownModelError, "nobody"),
        (["tiny_vae", "--classes", "muon"], InputError, "learns without classes; leave --classes out"),
        (["tiny_jet_ae", "--set", "wrong=1"], InputError, "no setting 'wrong'"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(arguments: list[str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        run(*arguments)
    assert "\n" not in str(caught.value)


def test_one_seed_has_no_noise() -> None:
    done = run("tiny_jet_ae", "--seeds", 1)
    assert done.exit_code == 2
    assert "'--seeds'" in done.output
