"""EfficientNets for tests, without pytest: programs under another backend use them too."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HALVING = (1, 2, 3, 5)
"""Stages of an EfficientNet that halve an image; the stem halves it too."""

ONE_STAGE: dict[str, Any] = {
    "kernel_size": 5,
    # A tenth of them.
    "repeats": 20,
    "filters_in": 32,
    "filters_out": 16,
    "expand_ratio": 1,
    "id_skip": True,
    "strides": 16,
    "se_ratio": 0.25,
}
"""Two blocks in the place of seven stages: one that makes an image as small as all of them do, and one that may be left out."""


@contextmanager
def shallow_efficientnet(*, halving_only: bool = False, one_stage: bool = False) -> Iterator[None]:
    """EfficientNetB0 and B1 with one block a stage and a quarter of the width, where a test is about what is done with them.

    Args:
        halving_only: leave out the stages that keep the size.
        one_stage: have a single stage of two blocks, where every layer costs a compilation.
    """
    import keras
    from keras.src.applications.efficientnet import DEFAULT_BLOCKS_ARGS, EfficientNet

    stages: dict[str, Any] = {}
    if one_stage:
        stages["blocks_args"] = [ONE_STAGE]
    elif halving_only:
        stages["blocks_args"] = [copy.deepcopy(DEFAULT_BLOCKS_ARGS[i]) for i in HALVING]
    names = ("EfficientNetB0", "EfficientNetB1")
    before = {name: getattr(keras.applications, name) for name in names}
    try:
        for name in names:
            setattr(keras.applications, name, functools.partial(EfficientNet, 0.25, 0.1, 224, **stages))
        yield
    finally:
        for name, network in before.items():
            setattr(keras.applications, name, network)
