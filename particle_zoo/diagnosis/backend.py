"""Which backend Keras will take, and who says so."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from particle_zoo.diagnosis.finding import Finding

TRAINING = ("tensorflow", "jax", "torch")
"""Backends of Keras that models can be trained with."""

DEFAULT = "tensorflow"


@dataclass(frozen=True)
class Choice:
    """The backend that Keras will take.

    Args:
        name: of the backend.
        source: who chose it.
        finding: what is wrong with that.
    """

    name: str
    source: str
    finding: Finding | None = None


def keras_home() -> Path:
    """Folder with `keras.json`, found as Keras finds it."""
    if "KERAS_HOME" in os.environ:
        return Path(os.environ["KERAS_HOME"]).expanduser()
    home = Path("~").expanduser()
    return (home if os.access(home, os.W_OK) else Path("/tmp")) / ".keras"


def choice() -> Choice:
    """The backend by `KERAS_BACKEND`, else by keras.json, else the default. Keras is not imported."""
    name, source, finding = DEFAULT, "the default", None
    path = keras_home() / "keras.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        name, source = str(settings.get("backend", DEFAULT)), str(path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, AttributeError) as error:
        finding = Finding(f"{path} cannot be read ({error})", "remove it; Keras writes a new one")
    if os.environ.get("KERAS_BACKEND"):
        name, source = os.environ["KERAS_BACKEND"], "KERAS_BACKEND"
    if name not in TRAINING:
        finding = Finding(
            f"{source} names the backend {name!r}, which trains no models",
            f"set the environment variable KERAS_BACKEND to {', '.join(TRAINING[:-1])} or {TRAINING[-1]}",
            fatal=True,
        )
    return Choice(name, source, finding)
