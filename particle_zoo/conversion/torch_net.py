"""The same autoencoder in PyTorch, from its layers: to compare with, in numbers and in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from particle_zoo.conversion.layers import Layer
from particle_zoo.conversion.state_dict import load_torch
from particle_zoo.errors import InputError

SLOPE = 0.01
"""Of LeakyReLU, PyTorch's default and the zoo's."""

TOLERANCE = 1e-5
"""Largest difference between PyTorch and the zoo; of outputs above 1, as a share of the largest."""


def encoder(layers: Sequence[Layer], activation: str) -> Any:
    """The first half of the layers as a `torch.nn.Sequential` of (n, variables) float32 tensors, for inference.

    With leaky_relu the latent layer has an activation, too; with tanh it has none.
    """
    half = layers[: len(layers) // 2]
    return _sequential(half, activation, bare=() if activation == "leaky_relu" else (half[-1].name,))


def decoder(layers: Sequence[Layer], activation: str) -> Any:
    """The second half, of (n, latent) tensors; with tanh the first thing it does is a tanh of the latent vector."""
    half = layers[len(layers) // 2 :]
    return _sequential(half, activation, bare=(half[-1].name,), first=activation == "tanh")


def numpy_function(module: Any) -> Any:
    """A function of float32 arrays that applies a module at inference."""
    torch = load_torch()

    def apply(inputs: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            found: np.ndarray = module(torch.from_numpy(inputs)).numpy()
        return found

    return apply


def differences(layers: Sequence[Layer], model: Any, n: int = 1000, seed: int = 0) -> dict[str, float]:
    """Largest differences between PyTorch and a model of the zoo for random inputs: `encode`, `decode` and `whole`.

    Args:
        layers: of the net.
        model: a `JetAE`.
        n: jets and latent vectors, normally distributed.
        seed: of them.

    Raises:
        InputError: no PyTorch, or a difference above `TOLERANCE`.
    """
    activation = model.zoo_config.activation
    encode, decode = (numpy_function(half(layers, activation)) for half in (encoder, decoder))
    rng = np.random.default_rng(seed)
    jets = rng.normal(size=(n, layers[0].weight.shape[1])).astype(np.float32)
    latent = rng.normal(size=(n, model.zoo_config.latent)).astype(np.float32)
    pairs = {
        "encode": (encode(jets), model.encode(jets)),
        "decode": (decode(latent), model.decode(latent)),
        "whole": (decode(encode(jets)), model.decode(model.encode(jets))),
    }
    found = {}
    for what, (theirs, ours) in pairs.items():
        found[what] = float(np.abs(theirs - ours).max())
        # A comparison with NaN is false.
        if not found[what] <= TOLERANCE * max(1.0, float(np.abs(theirs).max())):
            raise InputError(
                f"PyTorch and the converted {model.zoo_name} differ by {found[what]:.1g} ({what}) for random jets, more than "
                f"{TOLERANCE:g}; nothing was written, report it with the file"
            )
    return found


def _sequential(layers: Sequence[Layer], activation: str, *, bare: Sequence[str], first: bool = False) -> Any:
    """Linear layers with their activation and batch normalisation; no activation where the name is in `bare`."""
    nn = load_torch().nn
    steps = [nn.Tanh()] if first else []
    for layer in layers:
        linear = nn.Linear(layer.weight.shape[1], len(layer.weight))
        _fill(linear, weight=layer.weight, bias=layer.bias)
        steps.append(linear)
        if layer.name in bare:
            continue
        steps.append(nn.Tanh() if activation == "tanh" else nn.LeakyReLU(SLOPE))
        if layer.norm is not None:
            norm, own = nn.BatchNorm1d(len(layer.weight)), layer.norm
            _fill(norm, weight=own.weight, bias=own.bias, running_mean=own.mean, running_var=own.variance)
            steps.append(norm)
    return nn.Sequential(*steps).eval()


def _fill(module: Any, **arrays: np.ndarray) -> None:
    torch = load_torch()
    module.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}, strict=False)
