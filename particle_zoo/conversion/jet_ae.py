"""Put the layers of a state dict into an autoencoder of jets, shape by shape."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from particle_zoo import registry
from particle_zoo.conversion.layers import Layer, Norm
from particle_zoo.errors import InputError
from particle_zoo.jets import VARIABLES

FAMILY = "jet_ae"

OTHER_DECODER = re.compile(r"(?:^|\.)enc_l\d+$")
"""Layers of the trigger-level study's AE_3D_200_LeakyReLU, whose decoder takes the latent vector as it is."""


def check_model(name: str, config: Any) -> None:
    """Whether state dicts can become this model.

    Raises:
        InputError: a model of another family, or with blocks that no published net has.
        UnknownModelError: no such model.
    """
    if registry.info(name).family != FAMILY:
        known = ", ".join(other for other in registry.list_models() if registry.info(other).family == FAMILY)
        raise InputError(f"{name} is no autoencoder of jets; only those are converted: {known}")
    if config.block != "dense":
        raise InputError(f"block={config.block} has layers that no PyTorch net of the group has; take block=dense")


def put(layers: Sequence[Layer], model: Any) -> None:
    """Give a model the weights of these layers; the model stays as it is where they do not fit.

    Args:
        layers: of the whole autoencoder, the encoder first.
        model: a `JetAE` of dense blocks.

    Raises:
        InputError: another number of layers, other shapes, or batch normalisation in other places; the sentence names the
            first that differs and what the layers look like.
    """
    places = places_of(model)
    name, hint = model.zoo_name, f"; {looks_like(layers, model)}"
    if len(layers) != len(places):
        raise InputError(
            f"the file holds {len(layers)} linear layers, {widths(layers)}, and {name} with these settings has {len(places)}{hint}"
        )
    for layer, (dense, norm) in zip(layers, places, strict=True):
        needed = tuple(dense.kernel.shape)[::-1]
        if layer.weight.shape != needed:
            raise InputError(
                f"layer {layer.name} has weights of shape {layer.weight.shape} where {name} with these settings needs {needed}{hint}"
            )
        if (layer.norm is None) != (norm is None):
            has, wants = ("", "no") if norm is None else ("no ", "")
            raise InputError(
                f"layer {layer.name} has {has}batch normalisation where {name} with these settings has {wants or 'one'}{hint}"
            )
    if model.zoo_config.activation == "tanh" and any(OTHER_DECODER.search(layer.name) for layer in layers):
        raise InputError(
            f"layers named {layers[0].name} are those of AE_3D_200_LeakyReLU, whose decoder does not begin with a tanh as {name} does; "
            "its weights would give other jets here, so train one with particle_zoo.train"
        )
    for layer, (dense, norm) in zip(layers, places, strict=True):
        dense.set_weights([layer.weight.T, layer.bias])
        if norm is not None and layer.norm is not None:
            norm.set_weights([layer.norm.weight, layer.norm.bias, layer.norm.mean, layer.norm.variance])


def places_of(model: Any) -> list[tuple[Any, Any]]:
    """The `Dense` layers of a model, the encoder's first, each with the `BatchNormalization` after it or None."""
    places: list[tuple[Any, Any]] = []
    for layer in [*model.encoder.layers, *model.decoder.layers]:
        if isinstance(layer, keras.layers.Dense):
            places.append((layer, None))
        elif isinstance(layer, keras.layers.BatchNormalization):
            places[-1] = (places[-1][0], layer)
    return places


def layers_in(model: Any) -> list[Layer]:
    """The inverse of `put`: what a model of dense blocks has, as layers."""
    layers = []
    for dense, norm in places_of(model):
        kernel, bias = (np.asarray(array) for array in dense.get_weights())
        layers.append(Layer(dense.name, kernel.T, bias, None if norm is None else Norm(*norm.get_weights())))
    return layers


def units(model: Any) -> str:
    """`widths` of a model of any blocks: its settings, inputs and outputs included."""
    config = model.zoo_config
    outer = [len(VARIABLES[config.variables]), *config.hidden]
    return "-".join(map(str, [*outer, config.latent, *outer[::-1]]))


def widths(layers: Sequence[Layer]) -> str:
    """Numbers of units of a net, inputs and outputs included, as in 4-200-100-50-3-50-100-200-4."""
    return "-".join(map(str, _widths(layers)))


def _widths(layers: Sequence[Layer]) -> list[int]:
    return [layers[0].weight.shape[1], *(len(layer.weight) for layer in layers)] if layers else []


def looks_like(layers: Sequence[Layer], model: Any) -> str:
    """What to do with layers that do not fit a model: the name of one that they fit, or settings that make them fit."""
    found = _widths(layers)
    normed = any(layer.norm is not None for layer in layers)
    for name in registry.list_models():
        if registry.info(name).family != FAMILY:
            continue
        config = registry.config_class(name)()
        inputs, hidden = len(VARIABLES[config.variables]), [*config.hidden]
        if [inputs, *hidden, config.latent, *hidden[::-1], inputs] == found and config.batch_norm == normed:
            return f"that looks like {name}" + (
                " without --set" if name == model.zoo_name else f": give --model {name}"
            )
    middle = len(found) // 2
    if len(found) >= 5 and found == found[::-1] and found[0] in map(len, VARIABLES.values()):
        settings = f"--set hidden={json.dumps(found[1:middle], separators=(',', ':'))} --set latent={found[middle]}"
        if found[0] != len(VARIABLES[model.zoo_config.variables]):
            settings += (
                f" --set variables={next(name for name, columns in VARIABLES.items() if len(columns) == found[0])}"
            )
        if normed != model.zoo_config.batch_norm:
            settings += f" --set batch_norm={json.dumps(normed)}"
        return f"that looks like {settings}"
    return f"no model of the zoo has the layers {'-'.join(map(str, found))}; give the state dict of one that has"
