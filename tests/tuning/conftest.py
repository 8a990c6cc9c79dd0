from __future__ import annotations

from collections.abc import Iterator

import optuna
import pytest

from tests.tuning.programs import Programs


@pytest.fixture
def start() -> Iterator[Programs]:
    """Starts searches as programs; what is left of them ends with the test."""
    programs = Programs()
    yield programs
    programs.end()


@pytest.fixture
def study() -> optuna.Study:
    """In memory."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
