from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from optuna.trial import FixedTrial

from particle_zoo import create, data, registry
from tuning.search import search
from tuning.spaces import BASELINES, SPACES

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning", "ignore::ResourceWarning")


@pytest.mark.parametrize("name", BASELINES)
def test_the_tables_values_lie_inside_their_space_and_rebuild_the_model(name: str) -> None:
    trial = FixedTrial(BASELINES[name])
    SPACES[name](trial)
    assert set(trial.params) == set(BASELINES[name])
    assert create(name, **trial.params).count_params() == registry.info(name).parameters


def run(layout: Path, output: Path, trials: int) -> dict[str, object]:
    arguments = ["tiny_cnn", "--dataset", "ccd_clusters/damic_labelled", "--manual-dir", str(layout), "--quiet"]
    arguments += [
        "--data-dir",
        str(output / "data"),
        "--output",
        str(output),
        "--trials",
        str(trials),
        "--epochs",
        "1",
        "--json",
        str(output / "m.json"),
    ]
    result = CliRunner().invoke(search, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return {"said": result.output, **json.loads((output / "m.json").read_text())}


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_trials_is_the_total_and_the_test_split_is_never_loaded(
    layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    load = data.load

    def spy(dataset: str, split: str = "train", **options: object) -> object:
        asked.append(split)
        return load(dataset, split, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(data, "load", spy)
    assert run(layout, tmp_path, 2)["trials"] == 2
    again = run(layout, tmp_path, 3)
    assert again["trials"] == 3
    assert "2 of 3 trials done, 1 to go" in str(again["said"])
    assert set(asked) == {"train", "validation"}
    best = json.loads((tmp_path / "best.json").read_text())
    assert create("tiny_cnn", **best).count_params() > 0
