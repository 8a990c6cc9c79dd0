"""What every command shares."""

from __future__ import annotations

import importlib
from typing import Any

import click
import pytest

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
