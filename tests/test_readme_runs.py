"""What README tells to type is run: every section from top to bottom, on stand-ins for the reader's files.

In a small form: small models in the place of large ones, a pass or two over a few examples. Commands that have a test of their own
through the command line are not run a second time; `ELSEWHERE` says where they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import particle_zoo
from particle_zoo.exporting.formats import FORMATS
from tests import export_runs
from tests.conftest import eager_steps
from tests.desk import Desk
from tests.forms import ALL
from tests.test_docs import BLOCK, ROOT, command_of, commands, commands_of

SECTIONS = re.split(r"^(?=## )", (ROOT / "README.md").read_text(), flags=re.MULTILINE)

REPEATED = ("How good is it?",)
"""Sections of results, most of whose commands are those of other sections: these are not run again."""

ELSEWHERE = {
    "benchmark anomaly": "tests/evaluation/test_anomaly_study_parts.py",
    "benchmark clustering": "tests/evaluation/test_clustering_speed.py",
    "benchmark deep_clustering": "tests/evaluation/test_deep_clustering.py",
    "benchmark frames": "tests/evaluation/test_frames_speed.py",
    "benchmark inference": "tests/evaluation/test_speed.py",
    "benchmark jet_variants": "tests/evaluation/test_jet_speed.py",
    "benchmark jets": "tests/evaluation/test_jet_speed.py",
    "benchmark network": "tests/evaluation/test_network_speed.py",
    "benchmark physics": "tests/simulation/test_physics.py",
    "benchmark pipeline": "tests/evaluation/test_pipeline_speed.py",
    "benchmark precision": "tests/evaluation/test_precision_benchmark.py",
    "benchmark proton_electron": "tests/evaluation/test_proton_electron_networks.py",
    "benchmark real": "tests/evaluation/test_real_data.py",
    "benchmark search": "tests/tuning/test_speed.py",
    "benchmark training": "tests/evaluation/test_speed.py",
    # PyTorch need not be installed.
    "convert pytorch": "tests/test_convert.py",
    "litert": "tests/exporting/test_export.py",
    "--int8": "tests/exporting/test_export.py",
    "saved_model": "tests/exporting/test_export.py",
    "--devices": "tests/training/test_devices.py",
    "--stream": "tests/training/test_stream_training.py",
    "--protocol": "tests/training/test_commands.py",
    "--precision": "tests/training/test_commands.py",
    "--profile": "tests/training/test_anomaly_training.py",
    "cards": "tests/publication/test_pages.py",
    "doctor": "tests/diagnosis/test_doctor.py",
    "release": "tests/publication/test_publication.py",
}
"""Tests that run a command, or one with an option, as words of its line."""


@pytest.fixture(autouse=True, scope="module")
def _without_graphs(shallow: None) -> Iterator[None]:
    with eager_steps():
        yield


def title(section: str) -> str:
    return section.partition("\n")[0].lstrip("# ")


def left_out(words: list[str], others: list[list[str]], section: str) -> bool:
    """What the small form does not run: results that other sections make, and long trainings that nothing follows."""
    if ALL:
        return False
    ends = words[0] == "particle_zoo.train" and {"tiny_cnn", "--output", "--publish"}.isdisjoint(words)
    return ends or (title(section) in REPEATED and words[:2] in others)


def commands_in(section: str) -> list[list[str]]:
    return [words for kind, block in BLOCK.findall(section) if kind == "sh" for words in commands_of(block)]


def elsewhere(words: list[str]) -> bool:
    name = words[0].split(".")[-1]
    return not ELSEWHERE.keys().isdisjoint([name, " ".join([name, *words[1:2]]), *words])


@pytest.mark.slow
@pytest.mark.usefixtures("plain_map", "forked")
@pytest.mark.parametrize("section", SECTIONS, ids=title)
def test_a_section_runs_from_top_to_bottom(
    section: str, places: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in places["ccd_clusters"].parent.iterdir():
        (tmp_path / path.name).symlink_to(path)
    if "particle_zoo.export R" in section:
        export_runs.write_run(Path("R"), "cnn", ["xray", "electron", "muon"])
    others = [words[:2] for s in SECTIONS if s is not section for words in commands_in(s) if not elsewhere(words)]
    desk = Desk(places)
    scope = {"particle_zoo": particle_zoo, "row": [3, 3, 4], "col": [5, 6, 6]}
    for kind, block in BLOCK.findall(section):
        if kind == "python":
            exec(block, scope)
        for words in commands_of(block) if kind == "sh" else ():
            if elsewhere(words) or left_out(words, others, section):
                continue
            given = desk.adapted(words)
            result = CliRunner().invoke(command_of(given[0]), given[1:], catch_exceptions=False)
            assert result.exit_code == 0, f"{given}\n{result.output}"


def test_what_runs_elsewhere_is_run_there() -> None:
    for name, path in ELSEWHERE.items():
        first, *more = name.split()
        if name in FORMATS or name.startswith("--"):
            patterns = [f'"{name}"']
        else:
            patterns = [rf"(invoke\(\s*(command\.)?{first}\b|\b{first}\.main\()", *(f'"{word}"' for word in more)]
        for pattern in patterns:
            assert re.search(pattern, (ROOT / path).read_text()), (name, pattern)


@pytest.mark.parametrize("page", ["adding-a-model", "benchmarks"])
def test_commands_of_other_pages_are_run(page: str) -> None:
    readme = [words[:2] for words in commands(ROOT / "README.md")]
    left = [words for words in commands(ROOT / "docs" / f"{page}.md") if not elsewhere(words)]
    assert left
    assert [
        words for words in left if words[:2] not in readme and words[:2] != ["particle_zoo.train", "tiny_cnn"]
    ] == []
