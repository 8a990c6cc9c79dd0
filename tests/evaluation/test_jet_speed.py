"""`benchmark jets`: times and memory of autoencoders of jets."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from particle_zoo.benchmark import benchmark
from particle_zoo.evaluation.jets import speed
from particle_zoo.evaluation.jets.speed import PYTORCH, SEED_JETS, TASKS, ZOO, verdict_of, verdict_sentence


def rows(encode: float, decode: float, **others: tuple[float, float]) -> list[dict[str, Any]]:
    """Rows with these times of 27,945 jets, ms, of the zoo and of others."""
    named = {ZOO: (encode, decode), **{{"torch": PYTORCH}[by]: times for by, times in others.items()}}
    return [
        {"task": task, "jets": SEED_JETS, "by": by, "us_median": 1e3 * ms / SEED_JETS, "us_best": 0.0}
        for by, times in named.items()
        for task, ms in zip(TASKS, times, strict=True)
    ]


def test_the_verdict_compares_with_a_quarter_of_the_seeds_times_and_with_pytorch() -> None:
    found = verdict_of(rows(50.0, 20.0, torch=(60.0, 15.0)))
    assert found["encode"]["quarter_ms"] == pytest.approx(59.9)
    assert (found["encode"]["at_most_a_quarter"], found["encode"]["no_longer_than_torch"]) == (True, True)
    assert (found["decode"]["at_most_a_quarter"], found["decode"]["no_longer_than_torch"]) == (False, False)
    said = verdict_sentence(found)
    assert "50.0 and 20.0 ms" in said
    assert "encode yes, decode no" in said


def test_what_is_missing_is_not_compared() -> None:
    found = verdict_of(rows(50.0, 10.0), seed_net=False)
    assert found["encode"]["quarter_ms"] is found["encode"]["torch_ms"] is None
    assert "PyTorch" not in verdict_sentence(found)
    assert "quarter" not in verdict_sentence(found)


@pytest.mark.slow
def test_the_command_times_every_task_and_number_of_jets(tmp_path: Path) -> None:
    arguments = ["jets", "--repeats", "1", "--json", str(tmp_path / "found.json")]
    result = CliRunner().invoke(benchmark, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "found.json").read_text())
    ours = [row for row in found["rows"] if row["by"] == ZOO]
    assert {(row["task"], row["jets"]) for row in ours} == {(task, n) for task in TASKS for n in speed.CALLS}
    assert all(0 < row["us_best"] <= row["us_median"] < math.inf for row in found["rows"])
    assert all(numbers["peak_mb"] > 0 for tasks in found["memory"].values() for numbers in tasks.values())
    assert "27,945 jets take" in result.output
    assert "seed 002" in result.output


def test_a_run_of_another_family_is_refused(trained: Path) -> None:
    from particle_zoo.errors import InputError

    with pytest.raises(InputError, match="holds a tiny_cnn; give the run of an autoencoder of jets"):
        speed.measure(run=str(trained))
