"""From `Examples` to what `fit` and `predict` take on the backend in use."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import numpy as np

from particle_zoo.pipelines.ahead import ahead
from particle_zoo.pipelines.examples import Examples, preprocessor_of
from particle_zoo.pipelines.streamed import StreamedExamples

AnyExamples = Examples | StreamedExamples

AHEAD = 4
"""Batches of a stream that are made before they are needed."""

_failures: list[tuple[int, BaseException]] = []
"""Steps and errors of the latest tf.data pipeline; each has a list of its own, to which its threads may add when another training runs."""


def failure() -> BaseException | None:
    """The error of the earliest batch that could not be made since the last call, if any: TensorFlow raises one of its own for it."""
    global _failures
    found, _failures = _failures, []
    # TensorFlow may make several batches at a time, and the error of a later one may come first.
    return min(found, key=lambda one: one[0])[1] if found else None


class EpochBatches(keras.utils.PyDataset):
    """One fixed pass over unshuffled `Examples`, for validation and prediction on any backend."""

    def __init__(self, examples: Examples, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, step: int) -> tuple[Any, ...]:
        return packed(self.examples, step)


def training_batches(examples: AnyExamples, first_epoch: int, epochs: int) -> Any:
    """Every batch from the start of `first_epoch` to the end of epoch `epochs`: tf.data under TensorFlow, else a generator."""
    steps = range(first_epoch * len(examples), epochs * len(examples))
    if keras.backend.backend() == "tensorflow":
        return _tf_batches(examples, steps)
    return ahead(partial(packed, examples), steps, most=AHEAD)


def first_inputs(examples: AnyExamples, clusters: int) -> list[Any]:
    """Model inputs of the first batches of a training, at least so many clusters or one epoch of them."""
    batches = min(len(examples), -(-clusters // examples.batch_size))
    return [packed(examples, step)[0] for step in range(batches)]


def packed(examples: AnyExamples, step: int) -> tuple[Any, ...]:
    """A batch as `fit` takes it: inputs, targets where there are any, and their weights where there are any."""
    inputs, targets = examples.batch(step)
    if keras.backend.backend() == "jax" and examples.largest is not None:
        inputs = _filled_up(inputs, examples.largest)
    if targets is None:
        return (inputs,)
    return (inputs, targets) if examples.weights is None else (inputs, targets, examples.weights[targets])


def _filled_up(images: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Images of one height and width, with empty pixels below and to the right.

    XLA compiles a network anew for every shape it meets. A last batch of fewer images remains a shape of its own.
    """
    margins = [(0, full - side) for full, side in zip(shape, images.shape[1:], strict=True)]
    return np.pad(images, [(0, 0), *margins]) if any(margin for _, margin in margins) else images


def _tf_batches(examples: AnyExamples, steps: range) -> Any:
    import tensorflow as tf

    global _failures
    # Prefetching goes on after an error, and meets it again and again.
    failed = _failures = []
    template = packed(examples, 0)
    leaves = tf.nest.flatten(template)
    fixed = preprocessor_of(examples.preprocess).FIXED_SHAPE
    # Rasters of clusters differ in size from batch to batch, but not in their channels.
    shapes = [
        (None, *leaf.shape[1:]) if fixed or leaf.ndim < 3 else (None, None, None, leaf.shape[-1]) for leaf in leaves
    ]

    def make(step: np.ndarray) -> list[np.ndarray]:
        try:
            return list(tf.nest.flatten(packed(examples, int(step))))
        except Exception as error:
            failed.append((int(step), error))
            raise

    def lookup(step: Any) -> Any:
        arrays = tf.numpy_function(make, [step], [leaf.dtype for leaf in leaves], stateful=False)
        for array, shape in zip(arrays, shapes, strict=True):
            array.set_shape(shape)
        return tf.nest.pack_sequence_as(template, arrays)

    # Prefetching overlaps the drawing of batches with the training step.
    # A tuned buffer grows by and by, which a training within bounded memory must not.
    buffer = AHEAD if isinstance(examples, StreamedExamples) else tf.data.AUTOTUNE
    return tf.data.Dataset.range(steps.start, steps.stop).map(lookup).prefetch(buffer)
