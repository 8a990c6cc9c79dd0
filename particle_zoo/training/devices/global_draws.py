"""Random numbers of a batch that is spread over devices: those that one device would draw for the whole of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

DRAWS = ("normal", "truncated_normal", "uniform")

_here = threading.local()


@contextmanager
def part_of(start: Any, stop: Any, total: Any) -> Iterator[None]:
    """The calling thread works on examples `start` to `stop` of a batch of `total`; these may be tensors."""
    _here.part = start, stop, total
    try:
        yield
    finally:
        _here.part = None


@contextmanager
def global_draws() -> Iterator[None]:
    """Inside, what layers draw for a part of a batch is that part of what they would draw for the whole batch.

    It holds for functions that TensorFlow traces inside, in threads that have said which part is theirs (`part_of`): dropout,
    noise and hidden pixels are then those of one device. Draws that have no batch in front stay as they are.
    """
    # Layers of Keras look these functions up here at every call; there is no public place to stand between.
    from keras.src.backend.tensorflow import random

    names = (*DRAWS, "dropout")
    before = {name: getattr(random, name) for name in names}
    try:
        for name in DRAWS:
            setattr(random, name, _whole_draw(before[name]))
        random.dropout = _whole_dropout(before["dropout"])
        yield
    finally:
        for name in names:
            setattr(random, name, before[name])


def _whole_draw(draw: Callable[..., Any]) -> Callable[..., Any]:
    def sliced(shape: Any, *args: Any, **kwargs: Any) -> Any:
        part = getattr(_here, "part", None)
        sides = list(shape)
        if part is None or not sides:
            return draw(shape, *args, **kwargs)
        start, stop, total = part
        return draw([total, *sides[1:]], *args, **kwargs)[start:stop]

    return sliced


def _whole_dropout(dropout: Callable[..., Any]) -> Callable[..., Any]:
    def sliced(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Any:
        import tensorflow as tf

        part = getattr(_here, "part", None)
        # One luck for all examples is the same on every device.
        shared = noise_shape is not None and noise_shape[0] == 1
        if part is None or shared or rate in (0.0, 1.0):
            return dropout(inputs, rate, noise_shape=noise_shape, seed=seed)
        start, stop, total = part
        sides = tf.unstack(tf.shape(inputs), num=inputs.shape.rank)
        if noise_shape is not None:
            sides = [side if wanted is None else wanted for side, wanted in zip(sides, noise_shape, strict=True)]
        kept = dropout(tf.ones(tf.stack([total, *sides[1:]]), inputs.dtype), rate, seed=seed)[start:stop]
        return inputs * kept

    return sliced
