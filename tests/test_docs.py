"""What README and docs tell to type can be typed."""

from __future__ import annotations

import importlib
import itertools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import particle_zoo

ROOT = Path(__file__).parents[1]

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES += sorted((ROOT / "datasets").rglob("README.md"))

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)

SELF_CONTAINED = [ROOT / "docs" / name for name in ("data-formats.md", "adding-a-model.md", "adding-a-detector.md")]
"""Pages whose Python needs no files of the reader's."""


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(page.read_text()) if kind == language]


def commands(page: Path) -> Iterator[list[str]]:
    """Arguments of every `python -m` of ours on a page."""
    for block in blocks(page, "sh"):
        yield from commands_of(block)


def commands_of(block: str) -> Iterator[list[str]]:
    """Those of a block, with its variables put in."""
    variables: dict[str, str] = {}
    for line in block.replace("\\\n", " ").splitlines():
        if assigned := re.match(r'(\w+)="(.*)"$', line):
            variables[assigned[1]] = assigned[2]
        for name, value in variables.items():
            line = re.sub(rf"\${name}\b", value, line)
        # Behind shell operators other commands follow.
        for part in re.split(r"&&|\|\||;(?![^']*')", line):
            words = shlex.split(part, comments=True)
            for i, j in itertools.pairwise(range(len(words))):
                if words[i] == "-m" and words[j].partition(".")[0] in ("particle_zoo", "tuning"):
                    yield words[j:]


COMMANDS = [(page.relative_to(ROOT).as_posix(), words) for page in PAGES for words in commands(page)]


def command_of(module: str) -> click.Command:
    found = vars(importlib.import_module(module)).values()
    own = [value for value in found if isinstance(value, click.Command) and value.callback.__module__ == module]
    # A group and its commands may lie in one module.
    groups = [command for command in own if isinstance(command, click.Group)]
    (command,) = groups or own
    return command


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=[f"{page}: {' '.join(words)}" for page, words in COMMANDS])
def test_a_command_has_these_arguments_and_its_models_exist(page: str, words: list[str]) -> None:
    command, arguments = command_of(words[0]), words[1:]
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        assert arguments[0] in command.commands, arguments[0]
        command, arguments = command.commands[arguments[0]], arguments[1:]
    with command.make_context(words[0], arguments, resilient_parsing=False) as context:
        name = context.params.get("name")
    if isinstance(name, str) and name != "NAME":
        assert name in particle_zoo.list_models()


def test_there_are_commands_to_check() -> None:
    assert len({page for page, _ in COMMANDS}) >= 3
    assert len(COMMANDS) > 70


@pytest.mark.parametrize("page", SELF_CONTAINED, ids=lambda page: page.name)
@pytest.mark.usefixtures("forked")
def test_the_python_of_a_page_runs_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    """In a process of its own: pages register models and formats."""
    code = "\n".join(blocks(page, "python"))
    assert code
    # A fork has imported some of the package, and what the page forgot to import would be there.
    fresh = "import sys\nfor name in [*sys.modules]:\n    if name.partition('.')[0] == 'particle_zoo': del sys.modules[name]\ndel sys\n"
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", fresh + code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_the_reference_holds_every_public_name_with_its_docstring(tmp_path: Path) -> None:
    (block,) = blocks(ROOT / "docs" / "README.md", "sh")
    command = shlex.split(block.replace("\\\n", " ").splitlines()[-1])
    done = subprocess.run(
        [sys.executable, *command[1:]], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = "".join(path.read_text() for path in (tmp_path / "docs" / "api").rglob("*.html"))
    for name, where in particle_zoo._PUBLIC.items():
        # Of its module: `particle_zoo.simulate` may have become the module of the command by now.
        value = getattr(importlib.import_module(f"particle_zoo.{where}"), name)
        # What is before code or quotes, which the page marks up.
        first = re.split("[`'\"]", value.__doc__.partition("\n")[0])[0]
        assert len(first) > 10, name
        assert f'id="{name}"' in text, name
        assert first in text, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_pictures_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_python_blocks_compile(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")
