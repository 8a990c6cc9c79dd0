"""What the page of a model tells to type is run, one model a family, in a small form on files in the place of simulated sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import particle_zoo
from particle_zoo.cli import read_json
from particle_zoo.training import recipe
from tests.conftest import eager_steps
from tests.desk import Desk
from tests.forms import unless_all
from tests.test_docs import ROOT, command_of, commands

SMALL = [name for name in recipe.names() if name.startswith("tiny_")]
"""The small model of every family."""

TYPED = [
    name
    for name in SMALL
    if name not in unless_all(["tiny_timepix_cnn", "tiny_effnet_ae", "tiny_effnet_classifier", "tiny_pedestal_ae"])
]
"""The small form leaves out what is trained and judged like `tiny_cnn`, and what the sections of README train and judge."""

CAMERA = "tiny_pedestal_ae"
"""Trained first and judged as it is then, because what ships is for a camera of 2304 x 2304 px."""


@pytest.fixture(autouse=True, scope="module")
def _without_graphs() -> Iterator[None]:
    with eager_steps():
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("plain_map")
@pytest.mark.parametrize("name", TYPED)
def test_a_page_can_be_typed(
    name: str, places: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    desk = Desk(places)
    typed = list(commands(ROOT / "docs" / "models" / f"{name}.md"))
    assert [words[0] for words in typed] == ["particle_zoo.evaluate", "particle_zoo.train", "particle_zoo.export"]
    if name == CAMERA:
        evaluates, trains, _ = typed
        typed = [[*trains, "--publish"], evaluates]
    else:
        # The companion need not be installed.
        monkeypatch.setenv("PARTICLE_ZOO_PATH", str(ROOT / "weights" / "particle_zoo_weights"))
    for words in typed:
        given = desk.adapted(words)
        result = CliRunner().invoke(command_of(given[0]), given[1:], catch_exceptions=False)
        assert result.exit_code == 0, f"{given}\n{result.output}"
    # What was evaluated has a folder for its figures there, too.
    (run,) = (path.parent for path in tmp_path.glob("runs/*/config.json"))
    assert read_json(run / "config.json")["model"] == name
    assert read_json(run / "card.json")["name"] == name


def test_every_family_has_a_small_model() -> None:
    families = {particle_zoo.info(name).family for name in particle_zoo.list_models()}
    # Which differs from cnn in its input.
    assert families - {particle_zoo.info(name).family for name in SMALL} == {"cnn_meta"}
