"""Models and inputs that tests of the EfficientNet family share."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
import pytest

import particle_zoo
from particle_zoo import Clusters
from tests.shallow import shallow_efficientnet


@functools.cache
def built(name: str, **settings: Any) -> Any:
    """A model that no test may change."""
    keras.config.set_dtype_policy("float32")
    return particle_zoo.create(name, **settings)


@functools.cache
def built_shallow(name: str, **settings: Any) -> Any:
    """As `built`, with one block a stage."""
    keras.config.set_dtype_policy("float32")
    with shallow_efficientnet():
        return particle_zoo.create(name, **settings)


@pytest.fixture(scope="module")
def tiny() -> Any:
    return built("tiny_effnet_ae")


@pytest.fixture(scope="module")
def rasters(tiny: Any, timepix3: Clusters) -> np.ndarray:
    # Averaged over blocks the last channel is no binary map, and its cross-entropy never 0.
    return np.asarray(tiny.preprocess(timepix3[tiny.factors(timepix3) >= 1][:12]))
