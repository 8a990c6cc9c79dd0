from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tuning.programs import Programs


@pytest.fixture
def start() -> Iterator[Programs]:
    """Starts searches as programs; what is left of them ends with the test."""
    programs = Programs()
    yield programs
    programs.end()
