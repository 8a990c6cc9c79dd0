"""Run what may crash or hang in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
"""Where the package lies; last in the child's path, for a package that is not installed."""

START = "import runpy, sys; sys.path.append(sys.argv.pop(1)); runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"


@dataclass(frozen=True)
class Answer:
    """What a child said, which may be a part of what it was asked.

    Args:
        facts: of all that it wrote.
        ended: how it ended early, as the rest of a sentence; "" if it did not.
        signal: name of what ended it from outside, such as "SIGILL"; "" otherwise.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    ended: str = ""
    signal: str = ""


def ask(module: str, *arguments: str, timeout: float, **environment: str) -> Answer:
    """Run a module that prints JSON objects, one a line, and gather them.

    Args:
        module: its name; `say` is how it answers.
        arguments: of the module.
        timeout: seconds until it is killed.
        environment: further variables.
    """
    command = [sys.executable, "-c", START, str(ROOT), module, *arguments]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as error:
        said = error.stdout or b""
        facts = _facts(said.decode(errors="replace") if isinstance(said, bytes) else said)
        return Answer(facts, f"took longer than {timeout:g} s")
    except OSError as error:
        return Answer(ended=f"could not be started ({error})")
    facts = _facts(done.stdout)
    if done.returncode == 0:
        return Answer(facts)
    if "error" in facts:
        return Answer(facts, f"ended with {facts['error']}")
    if done.returncode < 0:
        name = _name(-done.returncode)
        return Answer(facts, f"was ended by {name}", name)
    last = done.stderr.strip().splitlines()[-1:] or ["nothing more said"]
    return Answer(facts, f"ended with exit code {done.returncode} ({last[0].strip()})")


def say(**facts: Any) -> None:
    """Hand facts to the process that asked, at once: a crash may follow."""
    print(json.dumps(facts), flush=True)


def _facts(said: str) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for line in said.splitlines():
        # Libraries print, too.
        try:
            value = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(value, dict):
            facts.update(value)
    return facts


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
