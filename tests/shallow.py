"""EfficientNets for tests, without pytest: programs under another backend use them too."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def shallow_efficientnet() -> Iterator[None]:
    """EfficientNetB0 and B1 with one block a stage and a quarter of the width, where a test is about what is done with them."""
    import keras
    from keras.src.applications.efficientnet import EfficientNet

    names = ("EfficientNetB0", "EfficientNetB1")
    before = {name: getattr(keras.applications, name) for name in names}
    try:
        for name in names:
            setattr(keras.applications, name, functools.partial(EfficientNet, 0.25, 0.1, 224))
        yield
    finally:
        for name, network in before.items():
            setattr(keras.applications, name, network)
