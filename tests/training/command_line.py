"""Commands in this process and as programs, and options of a training that is soon over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

TINY = ["--limit", "24", "--batch-size", "8"]


def invoke(command: click.Command, *arguments: Any) -> str:
    result = CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def shell(*arguments: Any, cwd: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.Popen(command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
