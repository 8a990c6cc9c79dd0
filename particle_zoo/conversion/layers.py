"""The layers of a state dict, in the order in which a network applies them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from particle_zoo.errors import InputError

PART = re.compile(r"(?:^|[._])(en|de)(?:c|coder)?(?=[._\d]|$)")
"""What names the half of an autoencoder that a layer is in: en1, enc_l1, encoder.0, net.decoder.3."""

BIASES, STATISTICS = ("weight", "bias"), ("running_mean", "running_var")

COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Norm:
    """Batch normalisation; (units,) float32 arrays."""

    weight: np.ndarray
    bias: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


@dataclass(frozen=True)
class Layer:
    """A linear layer and the batch normalisation after its activation.

    Args:
        name: in the state dict.
        weight: (outputs, inputs) float32.
        bias: (outputs,) float32; zeros where the layer has none.
        norm: None without.
    """

    name: str
    weight: np.ndarray
    bias: np.ndarray
    norm: Norm | None = None


def layers_of(arrays: Mapping[str, np.ndarray]) -> list[Layer]:
    """Linear layers, those of the encoder first, each with its batch normalisation.

    Numbers order the layers where their names differ in nothing else (en1 ... de4, encoder.0 ... decoder.6); other names
    are taken in the order of the file, which is that of their definition.

    Args:
        arrays: of a state dict, by name.

    Raises:
        InputError: other layers, values that are not finite, arrays that do not belong together, or batch normalisation
            where no model of the zoo has it.
    """
    modules: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        path, _, kind = name.rpartition(".")
        if kind == COUNTER:
            continue
        if not np.isfinite(array).all():
            raise InputError(
                f"{name} has values that are not finite; take a checkpoint from before its training broke down"
            )
        modules.setdefault(path, {})[kind] = np.asarray(array, np.float32)
    layers: list[Layer] = []
    for path in _sorted(modules):
        module = modules[path]
        if module.keys() >= {*STATISTICS}:
            _attach(layers, path, module)
        else:
            layers.append(_linear(path, module))
    return layers


def _sorted(modules: Mapping[str, object]) -> list[str]:
    parts = {path: found[1] if (found := PART.search(path)) else "" for path in modules}
    patterns = {(parts[path], re.sub(r"\d+", "#", path)) for path in modules}
    known = set(parts.values())
    if known not in ({"en", "de"}, {""}) or len(patterns) > len(known):
        return list(modules)
    return sorted(modules, key=lambda path: (parts[path] != "en", [int(n) for n in re.findall(r"\d+", path)]))


def _linear(path: str, module: Mapping[str, np.ndarray]) -> Layer:
    weight, bias = module.get("weight", np.zeros(0)), module.get("bias")
    shapes = ", ".join(f"{kind} {array.shape}" for kind, array in module.items())
    if module.keys() == {"bias"}:
        raise InputError(f"{path} has a bias and no weight; save the whole state dict again")
    if weight.ndim != 2 or not module.keys() <= {*BIASES}:
        raise InputError(
            f"{path or 'the file'} has {shapes}; give a net of linear layers and batch normalisation, which is all that models of jets have"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise InputError(f"{path} has {shapes}, which are of two layers; save the state dict again")
    return Layer(path, weight, np.zeros(len(weight), np.float32) if bias is None else bias)


def _attach(layers: list[Layer], path: str, module: Mapping[str, np.ndarray]) -> None:
    """Give the last layer its batch normalisation."""
    last = layers[-1] if layers else None
    if last is None or last.norm is not None:
        raise InputError(
            f"{path} normalises {'the inputs' if last is None else f'what {last.name} gives a second time'}, which no model of jets "
            "does; give the state dict of a net with one batch normalisation a layer at most"
        )
    before, after = (re.fullmatch(r"(.*?)\.?(\d+)", name) for name in (last.name, path))
    if before and after and before[1] == after[1] and int(after[2]) == int(before[2]) + 1 and "." in path:
        raise InputError(
            f"{path} follows {last.name} at once, so that net normalises before its activation; models of jets do it after, so give a "
            "net that does"
        )
    mean, variance = (module[kind] for kind in STATISTICS)
    weight, bias = module.get("weight", np.ones_like(mean)), module.get("bias", np.zeros_like(mean))
    shapes = {array.shape for array in (weight, bias, mean, variance)}
    if shapes != {(len(last.weight),)} or (variance < 0).any():
        raise InputError(
            f"{path} does not belong to {last.name}, which has {len(last.weight)} outputs: {path} has arrays of "
            f"{', '.join(map(str, sorted(shapes)))} and variances from {variance.min():g}; save the state dict again"
        )
    layers[-1] = replace(last, norm=Norm(weight, bias, mean, variance))
