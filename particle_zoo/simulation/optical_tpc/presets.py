"""The cameras, digitisations and noises of `presets.yaml`, by name."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import Any

from particle_zoo.simulation.optical_tpc.camera import Camera
from particle_zoo.simulation.optical_tpc.chain import Chain
from particle_zoo.simulation.optical_tpc.checks import one_of
from particle_zoo.simulation.optical_tpc.noise_model import NoiseModel

TEXTS = ("description", "sources")
"""Entries that are for readers."""


@lru_cache(maxsize=1)
def _presets() -> dict[str, dict[str, Any]]:
    import yaml

    file = resources.files("particle_zoo.simulation.optical_tpc").joinpath("presets.yaml")
    loaded: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return loaded


def _values(entry: dict[str, Any]) -> dict[str, Any]:
    # YAML knows no tuples.
    return {key: tuple(v) if isinstance(v, list) else v for key, v in entry.items() if key not in TEXTS}


def names(section: str) -> tuple[str, ...]:
    """Names of a section: cameras, digitisation, noise or levels."""
    return tuple(_presets()[section])


def chain(name: str | Chain) -> Chain:
    """A digitisation by name.

    Raises:
        InputError: an unknown name.
    """
    if isinstance(name, Chain):
        return name
    return Chain(**_values(_presets()["digitisation"][one_of("preset", name, names("digitisation"))]))


def camera(name: str | Camera) -> Camera:
    """A camera by its name or by that of a digitisation that uses it.

    Raises:
        InputError: an unknown name.
    """
    if isinstance(name, Camera):
        return name
    one_of("camera", name, (*names("cameras"), *names("digitisation")))
    if name in names("digitisation"):
        name = chain(name).camera
    return Camera(name=name, **_values(_presets()["cameras"][name]), **_presets()["vignetting"])


def noise_model(name: str, level: str = "nominal") -> NoiseModel:
    """A noise by name and level; white noise is the same at every level.

    Raises:
        InputError: an unknown name or level.
    """
    one_of("noise", name, names("noise"))
    one_of("level", level, names("levels"))
    common = {} if name == "white" else _presets()["levels"][level]
    return NoiseModel(kind=name, level=level, **_values(_presets()["noise"][name]), **common)
