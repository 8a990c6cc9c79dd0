"""What trainings of several files are made on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def source(one_layout: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Options that name labelled clusters, prepared once."""
    prepared = tmp_path_factory.mktemp("prepared")
    return ["--dataset", "ccd_clusters/damic_labelled", "--manual-dir", one_layout, "--data-dir", prepared]
