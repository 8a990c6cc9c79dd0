"""The losses of the zoo's models in PyTorch, by the formulas of their `compute_loss`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from particle_zoo.errors import InputError

TINY = 1e-7
"""Keras keeps probabilities so far from 0 and 1."""

Loss = Callable[..., Any]


def loss_of(model: Any, network: Any) -> Loss:
    """A function of (outputs, inputs, targets, weights): the training loss of a model, a scalar tensor.

    Args:
        model: of the zoo.
        network: its translation, which holds the layer that enlarges targets.

    Raises:
        InputError: a model whose loss has no counterpart here.
    """
    from torch.nn import functional

    kind, config = type(model).__name__, model.zoo_config
    if kind in ("CNN", "CNNMeta", "TimepixCNN", "EffNetClassifier"):
        return _crossentropy
    if kind == "VAE":
        weight = config.kl_weight
        return lambda found, inputs, *_: _evidence(found, _image(model, inputs), weight)
    if kind == "JetAE":
        return lambda found, inputs, *_: functional.mse_loss(found, inputs[0])
    if kind == "PedestalAE":
        return lambda found, inputs, targets, *_: functional.mse_loss(found, targets)
    if kind == "DEC":
        return lambda found, inputs, *_: functional.mse_loss(found["reconstruction"], inputs[0])
    if kind == "EffNetAE":
        return _heads(model)
    raise InputError(f"PyTorch's side of the comparison does not know the loss of {model.zoo_name}, a {kind}")


def _image(model: Any, inputs: Any) -> Any:
    return inputs[[tensor.name for tensor in model.inputs].index("image")]


def _crossentropy(logits: Any, inputs: Any, targets: Any, weights: Any = None) -> Any:
    from torch.nn import functional

    if weights is None:
        return functional.cross_entropy(logits, targets.long())
    return (weights * functional.cross_entropy(logits, targets.long(), reduction="none")).mean()


def _bce(probability: Any, target: Any) -> Any:
    """Binary cross-entropy of every pixel."""
    kept = probability.clamp(TINY, 1 - TINY)
    return -(target * kept.log() + (1 - target) * (1 - kept).log())


def _evidence(found: dict[str, Any], image: Any, weight: float) -> Any:
    mean, log_var = found["z_mean"], found["z_log_var"]
    bce = _bce(found["reconstruction"], image).sum((1, 2, 3))
    kl = -0.5 * (1 + log_var - mean.square() - log_var.exp()).sum(-1)
    return (bce + weight * kl).mean()


def _heads(model: Any) -> Loss:
    """The weighted losses of the heads of an EfficientNet autoencoder."""
    import torch
    from torch.nn import functional

    from particle_zoo.evaluation.speed.torch_own_layers import enlarge

    c, larger = model.zoo_config, enlarge(model.enlarger)
    errors = {
        "mse": torch.square,
        "mae": torch.abs,
        "huber": lambda d: functional.huber_loss(d, torch.zeros_like(d), reduction="none"),
    }
    error = errors[c.image_loss]

    def mask_loss(truth: Any, probability: Any, hits: Any) -> Any:
        total: Any = 0.0
        if "bce" in c.mask_loss:
            total = total + _bce(probability, truth).sum((1, 2, 3)) / hits
        if "dice" in c.mask_loss:
            both, either = (truth * probability).sum((1, 2, 3)), truth.sum((1, 2, 3)) + probability.sum((1, 2, 3))
            total = total + 1 - (2 * both + 1) / (either + 1)
        return total

    def loss(found: dict[str, Any], inputs: Any, *_: Any) -> Any:
        target = larger(inputs[0].permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        hit = (target[..., :1] > 0).float()
        hits = hit.sum((1, 2, 3)).clamp_min(1)
        total = c.image_weight * (error(found["image"] - target).sum((1, 2, 3)) / hits).mean()
        if c.mask_heads:
            total = total + c.mask_weight * mask_loss(hit, found["mask"], hits).mean()
            total = total + c.over_weight * mask_loss(target[..., -1:], found["over_threshold"], hits).mean()
        return total

    return loss
