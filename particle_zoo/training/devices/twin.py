"""A second copy of a model in training, with variables on several devices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from particle_zoo.training.checkpoint import Checkpoint
from particle_zoo.training.fresh_statistics import batch_normalisations


def make_twin(model: Any) -> Any:
    """A model of the same architecture, compiled alike, with variables where the present scope puts them.

    Its batch normalisation takes the statistics of the batches of all devices together.

    Args:
        model: a compiled zoo model whose optimizer is built.
    """
    before = keras.config.dtype_policy()
    # Layers take the policy of the moment they are built in.
    keras.config.set_dtype_policy(model.dtype_policy)
    try:
        twin = type(model).from_config(model.get_config())
    finally:
        keras.config.set_dtype_policy(before)
    for ours, theirs in zip(_levels(model), _levels(twin), strict=True):
        theirs.trainable = ours.trainable
    for norm in batch_normalisations(twin):
        norm.synchronized = True
    # XLA cannot compile what passes between devices.
    twin.compile(
        optimizer=_same_optimizer(model.optimizer),
        auto_scale_loss=False,
        **{**model.compile_args(), "jit_compile": False},
    )
    twin.optimizer.build(twin.trainable_variables)
    copy_state(model, twin)
    return twin


def copy_state(source: Any, target: Any) -> None:
    """Give a model the weights, seeds and optimizer state of another one of the same architecture."""
    for theirs, ours in zip(Checkpoint.variables(source), Checkpoint.variables(target), strict=True):
        ours.assign(keras.ops.convert_to_numpy(theirs.value))


def _levels(layer: Any) -> Iterator[Any]:
    """A model and all layers in it, from the outside inwards: what is set outside may be overridden inside."""
    yield layer
    for inner in getattr(layer, "layers", ()):
        yield from _levels(inner)


def innermost(optimizer: Any) -> Any:
    """The optimizer without scaling of the loss around it."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _same_optimizer(optimizer: Any) -> Any:
    twin = type(optimizer).from_config(optimizer.get_config())
    # Which variables do not decay is no part of the configuration.
    ours, theirs = innermost(optimizer), innermost(twin)
    theirs._exclude_from_weight_decay = set()
    theirs._exclude_from_weight_decay_pattern = getattr(ours, "_exclude_from_weight_decay_pattern", None)
    return twin
