"""Runs a program where some libraries are not installed.

    python -m tests.absent LIBRARY,LIBRARY MODULE [ARGUMENT ...]

Keras loads TensorFlow, scikit-learn and matplotlib wherever they are, which takes longer than what some tests do.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Collection
from typing import Any


class _Without:
    """A finder of modules that does not find some: for `import` and for `find_spec` they are not installed."""

    def __init__(self, finder: Any, names: Collection[str]) -> None:
        self.finder, self.names = finder, names

    def __getattr__(self, name: str) -> Any:
        return getattr(self.finder, name)

    def find_spec(self, name: str, *where: Any) -> Any:
        return None if name.partition(".")[0] in self.names else self.finder.find_spec(name, *where)


def hide(*names: str) -> None:
    """From now on these top-level modules are not installed."""
    sys.meta_path[:] = [_Without(finder, names) for finder in sys.meta_path]


if __name__ == "__main__":
    hide(*sys.argv[1].split(","))
    del sys.argv[:2]
    # The program itself has the first place.
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
