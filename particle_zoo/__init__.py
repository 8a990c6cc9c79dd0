"""particle-zoo: a Keras 3 model zoo for particle-detector images.

Everything public is imported on first use, so that `import particle_zoo` loads neither Keras nor TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "Clusters": "clusters",
    "Frames": "detectors.frames",
    "Hits": "detectors.hits",
    "InputError": "errors",
    "ModelCard": "registry",
    "ParticleZooError": "errors",
    "UnknownModelError": "errors",
    "WeightsNotFoundError": "errors",
    "create": "registry",
    "info": "registry",
    "list_models": "registry",
    "load": "weights",
    "read": "detectors.readers",
    "simulate": "simulation",
    "verify": "verification",
}

__all__ = [
    "Clusters",
    "Frames",
    "Hits",
    "InputError",
    "ModelCard",
    "ParticleZooError",
    "UnknownModelError",
    "WeightsNotFoundError",
    "__version__",
    "create",
    "info",
    "list_models",
    "load",
    "read",
    "simulate",
    "verify",
]

if TYPE_CHECKING:
    from particle_zoo.clusters import Clusters
    from particle_zoo.detectors.frames import Frames
    from particle_zoo.detectors.hits import Hits
    from particle_zoo.detectors.readers import read
    from particle_zoo.errors import InputError, ParticleZooError, UnknownModelError, WeightsNotFoundError
    from particle_zoo.registry import ModelCard, create, info, list_models
    from particle_zoo.simulation import simulate
    from particle_zoo.verification import verify
    from particle_zoo.weights import load


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
