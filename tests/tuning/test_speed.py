"""How many trials an hour a search makes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from particle_zoo.benchmark import benchmark
from particle_zoo.cli import read_json
from particle_zoo.errors import InputError
from tuning import speed
from tuning.search import search

pytestmark = pytest.mark.usefixtures("forked")

PROGRAM = [sys.executable, "-m", "tuning.search"]


@pytest.fixture
def one_program(eager: None, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Searches of one worker run in this process; gives the arguments of those that are programs of their own."""
    real, programs = subprocess.run, []

    def run(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        program, arguments = list(command[: len(PROGRAM)]), list(command[len(PROGRAM) :])
        assert program == PROGRAM
        if "--workers" in arguments:
            programs.append(arguments)
            return real(command, **options)
        found = CliRunner().invoke(search, arguments, catch_exceptions=False)
        return subprocess.CompletedProcess(command, found.exit_code, found.stdout, found.stderr)

    monkeypatch.setattr(subprocess, "run", run)
    return programs


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_searches_are_timed_beside_the_one_without_pruning(
    one_layout: Path, tmp_path: Path, one_program: list[list[str]]
) -> None:
    data = ["--dataset", "ccd_clusters/damic_labelled", "--manual-dir", str(one_layout), "--data-dir", str(tmp_path)]
    arguments = ["search", "tiny_cnn", *data, "--trials", "2", "--epochs", "2", "--limit", "16"]
    result = CliRunner().invoke(benchmark, [*arguments, "--json", str(tmp_path / "found.json")], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = read_json(tmp_path / "found.json")["searches"]
    assert list(found) == ["no pruning", "median", "hyperband", "no pruning, 2 workers"]
    assert len(one_program) == 1
    assert found["no pruning"]["gain"] == 1
    for row in found.values():
        assert row["trials_per_hour"] >= row["trials_per_hour_all"] > 0
        # Nothing is pruned before five trials have finished.
        assert row["epochs"] == 4 or row is found["hyperband"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--output=X"], "the benchmark sets --output itself; leave that out"),
        (["--study", "a", "--pruner", "none"], "the benchmark sets --pruner, --study itself"),
        (["--metric", "loss", "--metric=parameters"], "give --metric once"),
    ],
)
def test_what_searches_differ_in_is_refused(arguments: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        speed.measure("tiny_cnn", arguments)
