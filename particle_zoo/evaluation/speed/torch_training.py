"""Training and inference in PyTorch as one would write it: the recipe's optimizer in its fastest form, batches drawn ahead."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np

from particle_zoo.errors import InputError
from particle_zoo.evaluation.speed.material import Batch, Material, arrays, prepare
from particle_zoo.evaluation.speed.pace import Pace
from particle_zoo.pipelines.ahead import ahead

AHEAD = 2
"""Batches drawn ahead of the step, in a thread."""

MANY = 10_000
"""Epochs: a measurement ends before."""


def load_torch_side() -> Any:
    """Import PyTorch in a process of its own, with Keras on top of it so that no other library takes memory or threads."""
    os.environ["KERAS_BACKEND"] = "torch"
    from particle_zoo.cli import reuse_memory

    reuse_memory()
    import torch

    return torch


class Trainer:
    """A translated model with its loss and optimizer.

    Args:
        material: model and batches.
        compiled: `torch.compile` the network. Loss, backward pass of the loss and optimizer are not part of what is compiled.
        precision: float32, or mixed_bfloat16 or mixed_float16 by `torch.autocast`, float16 with scaled gradients.
        device: cpu or cuda.

    Raises:
        InputError: a layer, loss or optimizer without counterpart.
    """

    def __init__(self, material: Material, *, compiled: bool, precision: str, device: str) -> None:
        import torch

        from particle_zoo.evaluation.speed.torch_graph import translate
        from particle_zoo.evaluation.speed.torch_losses import loss_of

        self.model, self.device = material.model, device
        self.network = translate(self.model).to(device).train()
        self.loss = loss_of(self.model, self.network)
        recipe = self.model.make_optimizer(material.steps)
        self.optimizer = optimizer_of(recipe, self.model, self.network)
        self.rate = rates(recipe)
        self.every = getattr(self.model.zoo_config, "accumulate", 1)
        self.call = torch.compile(self.network) if compiled else self.network
        half = {"mixed_bfloat16": torch.bfloat16, "mixed_float16": torch.float16}.get(precision)
        self.context = nullcontext() if half is None else torch.autocast(device, dtype=half)
        self.scaler = torch.amp.GradScaler(device, enabled=precision == "mixed_float16")
        self._taken = 0

    def tensors(self, batch: Batch) -> tuple[list[Any], list[Any]]:
        """Inputs in the order of the model's, and the rest of a batch, as tensors on the device."""
        import torch

        inputs = [torch.from_numpy(array).to(self.device) for array in arrays(self.model, batch[0])]
        return inputs, [torch.from_numpy(np.asarray(array)).to(self.device) for array in batch[1:]]

    def step(self, batch: Batch) -> Any:
        """One training step; returns the loss before it."""
        inputs, rest = self.tensors(batch)
        with self.context:
            found = self.call(*inputs)
        loss = self.loss(found, inputs, *(rest or [None]))
        self.scaler.scale(loss / self.every if self.every > 1 else loss).backward()
        if (self._taken + 1) % self.every == 0:
            for group in self.optimizer.param_groups:
                group["lr"] = self.rate(self._taken)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.zero_grad(set_to_none=True)
        self._taken += 1
        return loss.detach()


def optimizer_of(recipe: Any, model: Any, network: Any) -> Any:
    """The optimizer of a recipe in PyTorch's fused form, with the same constants and the same weights that decay.

    The learning rates of single layers that a fine-tuning of an EfficientNet has are one rate here.

    Raises:
        InputError: another than Adam and AdamW.
    """
    import torch

    if type(recipe).__name__ not in ("Adam", "AdamW", "LayerwiseAdamW"):
        raise InputError(
            f"PyTorch's side of the comparison knows no {type(recipe).__name__}; it is that of {model.name}"
        )
    decay = recipe.weight_decay or 0.0
    all_decay = all(recipe._use_weight_decay(variable) for variable in model.trainable_variables)
    weights = list(network.parameters())
    groups = [
        {"params": [w for w in weights if all_decay or w.ndim > 1], "weight_decay": decay},
        {"params": [w for w in weights if not all_decay and w.ndim <= 1], "weight_decay": 0.0},
    ]
    betas = (recipe.beta_1, recipe.beta_2)
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=1e-3, betas=betas, eps=recipe.epsilon, fused=True)


def rates(recipe: Any) -> Any:
    """The learning rate of a step as a function of its number; schedules are worked out for the first steps and then repeated."""
    import keras

    schedule = recipe._learning_rate
    if not callable(schedule):
        constant = float(keras.ops.convert_to_numpy(schedule))
        return lambda step: constant
    values = [float(keras.ops.convert_to_numpy(schedule(step))) for step in range(256)]
    return lambda step: values[step % len(values)]


def measure_training(
    name: str, *, compiled: bool, precision: str, steps: int, budget: float, batch_size: int | None, seed: int
) -> dict[str, Any]:
    """Time training steps; to be called in a process of its own.

    Args:
        name: of the model.
        compiled: as in `Trainer`.
        precision: as in `Trainer`.
        steps: timed steps.
        budget: most seconds of them.
        batch_size: of a step; the recipe's without it.
        seed: of weights and data.

    Returns:
        What `Pace.result` gives, the last `loss`, `peak_gb`, `framework` and `device`.
    """
    torch = load_torch_side()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    material = prepare(name, seed=seed, batch_size=batch_size)
    torch.manual_seed(seed)
    trainer = Trainer(material, compiled=compiled, precision=precision, device=device)
    pace, loss = Pace(steps, budget, warm=material.warm), None
    source = material.batches(0, MANY)
    batches: Iterator[Batch] = (
        source if material.ready else ahead(lambda _: next(source), itertools.count(), most=AHEAD)
    )
    pace.begin()
    while True:
        asked = time.perf_counter()
        batch = next(batches)
        if pace.timing:
            pace.waited += time.perf_counter() - asked
        loss = trainer.step(batch)
        if pace.warming_ends():
            float(loss)
        if pace.call():
            break
    last = float(loss)
    pace.finish()
    if isinstance(batches, Generator):
        # Its thread ends.
        batches.close()
    return {**pace.result(material.batch_size), "loss": last, **about(torch, device)}


def measure_inference(
    name: str, *, compiled: bool, precision: str, steps: int, budget: float, batch_size: int | None, seed: int
) -> dict[str, Any]:
    """Time batches from arrays to arrays; arguments and result as in `measure_training`, without a loss."""
    torch = load_torch_side()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    material = prepare(name, seed=seed, batch_size=batch_size)
    from particle_zoo.evaluation.speed.torch_graph import translate

    network = translate(material.model).to(device).eval()
    call = torch.compile(network) if compiled else network
    half = {"mixed_bfloat16": torch.bfloat16, "mixed_float16": torch.float16}.get(precision)
    context = nullcontext() if half is None else torch.autocast(device, dtype=half)
    batches = material.inputs(min(steps, material.steps))
    pace, step = Pace(steps, budget, warm=material.warm), 0
    pace.begin()
    while True:
        with torch.inference_mode(), context:
            found = call(*[torch.from_numpy(array).to(device) for array in batches[step % len(batches)]])
            _ = [out.cpu().numpy() for out in (found.values() if isinstance(found, dict) else (found,))]
        step += 1
        if pace.call():
            break
    return {**pace.result(material.batch_size), **about(torch, device)}


def about(torch: Any, device: str) -> dict[str, Any]:
    """Version, device and peak memory of this process."""
    from particle_zoo.evaluation.network_speed import peak_gb

    named = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    return {"framework": f"PyTorch {torch.__version__}", "device": named, "peak_gb": peak_gb()}
