"""Batches on their way to `fit`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from particle_zoo import Clusters, InputError
from particle_zoo.pipelines.ccd import CCDPreprocessor
from particle_zoo.pipelines.examples import Examples
from particle_zoo.training import feed


class Failing(Examples):
    """Batches that cannot be made from a step on, each for a reason of its own."""

    def __init__(self, clusters: Clusters, fails: int, why: str) -> None:
        super().__init__(clusters, CCDPreprocessor().fit(clusters), batch_size=4, shuffle=True)
        self.fails, self.why, self.calls = fails, why, 0

    def batch(self, step: int) -> tuple[Any, np.ndarray | None]:
        self.calls += 1
        if step >= self.fails:
            raise InputError(f"{self.why} at step {step}")
        return super().batch(step)


def settled(calls: Callable[[], int]) -> None:
    """Wait until no further batch is made."""
    seen = -1
    while seen != calls():
        seen = calls()
        time.sleep(0.1)


def test_what_went_wrong_first_is_told_once(simulated: Clusters) -> None:
    feed.failure()  # of a test before, which may have left one
    examples = Failing(simulated, 3, "no disk")
    with pytest.raises(Exception, match="no disk at step 3"):
        list(feed.training_batches(examples, 0, 1))
    # TensorFlow goes on making batches after an error.
    settled(lambda: examples.calls)
    if keras.backend.backend() == "tensorflow":
        assert str(feed.failure()) == "no disk at step 3"
    assert feed.failure() is None


@pytest.mark.skipif("keras.backend.backend() != 'tensorflow'", reason="elsewhere an error comes through as itself")
def test_a_failure_is_not_told_of_the_next_training(simulated: Clusters) -> None:
    go = threading.Event()

    class Slow(Failing):
        def batch(self, step: int) -> tuple[Any, np.ndarray | None]:
            if step > 3:
                go.wait(0.2)
            return super().batch(step)

    earlier = Slow(simulated, 3, "no disk")
    with pytest.raises(Exception, match="no disk at step 3"):
        list(feed.training_batches(earlier, 0, 1))
    feed.failure()
    later = Failing(simulated, 5, "no memory")
    batches = feed.training_batches(later, 0, 1)
    go.set()
    # Its threads are still there and fail, too.
    settled(lambda: earlier.calls)
    with pytest.raises(Exception, match="no memory at step 5"):
        list(batches)
    assert str(feed.failure()) == "no memory at step 5"
    assert feed.failure() is None


def test_batches_are_those_of_the_steps_in_order_across_epochs(simulated: Clusters) -> None:
    examples = Examples(simulated, CCDPreprocessor().fit(simulated), batch_size=16, shuffle=True, augment=True, seed=3)
    found = list(feed.training_batches(examples, 1, 3))
    assert len(found) == 2 * len(examples)
    for step, (images,) in enumerate(found, start=len(examples)):
        np.testing.assert_array_equal(np.asarray(images), examples.batch(step)[0])
