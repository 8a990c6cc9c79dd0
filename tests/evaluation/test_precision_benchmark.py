"""The command that compares precisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from particle_zoo.benchmark import benchmark
from particle_zoo.cli import read_json
from particle_zoo.errors import InputError, UnknownModelError

SMALL = ["tiny_jet_ae", "--limit", "300", "--set", "epochs=1", "--set", "batch_size=100"]


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(benchmark, ["precision", *map(str, arguments)], catch_exceptions=False)


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_every_precision_has_every_seed_and_a_verdict(tmp_path: Path) -> None:
    options = ["--seeds", 2, "--precision", "mixed_bfloat16", "--data-dir", tmp_path, "--json", tmp_path / "found.json"]
    done = run(*SMALL, *options)
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
