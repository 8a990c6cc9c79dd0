"""Batch normalisation whose statistics belong to the weights of now, and to whole clusters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from particle_zoo.layers import KeepPixels


class FreshStatistics(keras.callbacks.Callback):
    """Replace the running averages of batch normalisation before every validation, or at the end of an epoch without one.

    Images of clusters are almost empty, so the variances of the first layers are tiny, and what the background becomes
    behind them is very sensitive to their statistics. In training every batch brings its own. Running averages are those of
    the weights of some steps ago, of a few batches, and of clusters with hidden pixels; through a deep network the small
    difference grows: an EfficientNet autoencoder with a training loss of 2.3 had a loss of 8.5 on other clusters
    (`fresh_statistics=0`), and of 2.2 after this. Mean and variance of every layer become those of all the batches
    together, seen with the present weights, nothing hidden and nothing dropped: blocks that are left out at random make the
    others' outputs vary more than they will.

    Args:
        batches: model inputs of a few hundred clusters, in batches of about one size.

    References:
        Wu, Johnson: Rethinking "Batch" in BatchNorm, arXiv:2105.07576, section 3.
    """

    def __init__(self, batches: Sequence[Any]) -> None:
        super().__init__()
        self.batches = batches
        self._fresh = False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._fresh = False

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._renew()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._renew()

    def _renew(self) -> None:
        # A frozen layer neither follows its batches nor is to change.
        norms = [layer for layer in batch_normalisations(self.model) if layer.trainable]
        if self._fresh or not norms:
            return
        hiding = list(_inside(self.model, (KeepPixels, keras.layers.Dropout)))
        # A step that is compiled already keeps the values it was traced with.
        with _all_zero(norms, "momentum"), _all_zero(hiding, "rate"):
            statistics = [self._of(batch, norms) for batch in self.batches]
        for layer, batches in zip(norms, zip(*statistics, strict=True), strict=True):
            means, variances = np.stack(batches, axis=1)
            layer.moving_mean.assign(means.mean(axis=0))
            layer.moving_variance.assign(variances.mean(axis=0) + means.var(axis=0))
        self._fresh = True

    def _of(self, batch: Any, norms: Sequence[keras.layers.BatchNormalization]) -> list[tuple[Any, Any]]:
        """Mean and variance of one batch in every layer, which a momentum of 0 leaves in it."""
        self.model(batch, training=True)
        return [
            (ops.convert_to_numpy(layer.moving_mean), ops.convert_to_numpy(layer.moving_variance)) for layer in norms
        ]


def batch_normalisations(model: keras.Model) -> Iterator[keras.layers.BatchNormalization]:
    """Those of a model and of the models in it."""
    return _inside(model, keras.layers.BatchNormalization)


def _inside(model: keras.Model, kind: Any) -> Iterator[Any]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _inside(layer, kind)
        elif isinstance(layer, kind):
            yield layer


@contextmanager
def _all_zero(layers: Sequence[Any], name: str) -> Iterator[None]:
    """An attribute of layers is 0 inside, and what it was afterwards."""
    before = [getattr(layer, name) for layer in layers]
    try:
        for layer in layers:
            setattr(layer, name, 0.0)
        yield
    finally:
        for layer, value in zip(layers, before, strict=True):
            setattr(layer, name, value)
