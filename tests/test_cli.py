"""What every command shares."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from particle_zoo import InputError
from particle_zoo.cli import output_options

STOPPED = {
    "particle_zoo.train": "stopped; a run that has begun continues with --resume\n",
    "tuning.search": "stopped; a rerun resumes the search\n",
    "particle_zoo.benchmark": "stopped\n",
    "particle_zoo.compress": "stopped\n",
    "particle_zoo.decompress": "stopped\n",
    "particle_zoo.doctor": "stopped\n",
    "particle_zoo.convert": "stopped\n",
    "particle_zoo.embed": "stopped\n",
    "particle_zoo.evaluate": "stopped\n",
    "particle_zoo.predict": "stopped\n",
    "particle_zoo.simulate": "stopped\n",
}


@pytest.mark.parametrize(("module", "said"), STOPPED.items())
def test_ctrl_c_promises_a_resume_only_where_there_is_one(
    module: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(click.Command, "main", interrupted)
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(module).main()
    assert stop.value.code == 130
    assert capsys.readouterr().err == said


def given_json(path: Path) -> str:
    @click.command()
    @output_options
    def command(json_path: Path | None, quiet: bool) -> None:
        click.echo(f"works, {json_path}")

    return CliRunner().invoke(command, ["--json", str(path)], catch_exceptions=False).output


def test_numbers_go_to_a_file_old_or_new_in_a_folder_old_or_new(tmp_path: Path) -> None:
    for path in (tmp_path / "new.json", tmp_path / "a" / "b" / "new.json"):
        assert given_json(path) == f"works, {path}\n"
    assert not list(tmp_path.iterdir())
    (tmp_path / "old.json").write_text("{}")
    assert given_json(tmp_path / "old.json").startswith("works")


def test_a_file_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"--json .* is a folder; name a file in it"):
        given_json(tmp_path)
    with pytest.raises(InputError, match=r"file is no folder; give another path"):
        given_json(tmp_path / "file" / "numbers.json")


def test_a_folder_without_permission_is_told_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(InputError, match=r"may not be written to"):
        given_json(tmp_path / "numbers.json")
