"""How many trials an hour a search makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from particle_zoo.errors import InputError
from tuning import speed


@pytest.mark.slow
def test_searches_are_timed_beside_the_one_without_pruning(one_layout: Path, tmp_path: Path) -> None:
    data = ["--dataset", "ccd_clusters/damic_labelled", "--manual-dir", str(one_layout), "--data-dir", str(tmp_path)]
    found = speed.measure("tiny_cnn", [*data, "--trials", "2", "--epochs", "2"])["searches"]
    assert list(found) == ["no pruning", "median", "hyperband", "no pruning, 2 workers"]
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
