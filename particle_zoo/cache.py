"""Where published weights are kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Where `publish` puts weights and `load` finds them."""
    if home := os.environ.get("PARTICLE_ZOO_HOME"):
        return Path(home)
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "particle_zoo"
