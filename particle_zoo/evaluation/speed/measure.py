"""Measure models one after the other, each variant in processes of its own, Keras and PyTorch in turns."""

from __future__ import annotations

import importlib.util
import multiprocessing
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from particle_zoo.cli import load_keras, sentence, write_json
from particle_zoo.errors import ParticleZooError

Numbers = dict[str, Any]

NO_TORCH = "PyTorch is not installed, so nothing is compared; python -m pip install torch adds those rows"

LOST = "the process was killed, most likely for want of memory; take a smaller --batch-size"


@dataclass(frozen=True)
class Variant:
    """One way to compute, timed in processes of its own.

    Args:
        side: keras or torch.
        label: of the row.
        precision: dtype policy.
        options: further arguments of the function that measures it.
        again: whether it takes part in every round, and not only in the first.
    """

    side: str
    label: str
    precision: str
    options: Numbers = field(default_factory=dict)
    again: bool = False


def training_variants(precisions: Sequence[str], torch: bool) -> list[Variant]:
    """The variants of a training: as the zoo trains, XLA the other way, steps together or not, PyTorch eager and compiled."""
    found = []
    for i, precision in enumerate(precisions):
        found.append(Variant("keras", "as trained", precision, {"wait": True}, again=i == 0))
        if torch:
            found.append(Variant("torch", "eager", precision, {"compiled": False}, again=i == 0))
        found.append(Variant("keras", "XLA the other way", precision, {"other_jit": True}))
        if i == 0:
            found.append(Variant("keras", "steps together the other way", precision, {"other_together": True}))
        if torch:
            found.append(Variant("torch", "torch.compile", precision, {"compiled": True}))
    return found


def inference_variants(precisions: Sequence[str], torch: bool, arrays: bool) -> list[Variant]:
    """The variants of inference.

    Args:
        precisions: dtype policies.
        torch: whether PyTorch is there.
        arrays: whether the model has an encode and a decode of its own from arrays to arrays.
    """
    found = []
    for i, precision in enumerate(precisions):
        found.append(Variant("keras", "compiled call", precision, {"how": "graph"}, again=i == 0))
        if torch:
            found.append(Variant("torch", "eager", precision, {"compiled": False}, again=i == 0))
        found.append(Variant("keras", "compiled call, XLA", precision, {"how": "xla"}))
        found.append(Variant("keras", "predict", precision, {"how": "predict"}))
        if arrays and i == 0:
            found.append(Variant("keras", "encode and decode", precision, {"how": "arrays"}, again=True))
        if torch:
            found.append(Variant("torch", "torch.compile", precision, {"compiled": True}))
    return found


def measure(
    task: str,
    models: Sequence[str],
    *,
    precisions: Sequence[str],
    steps: int,
    budget: float,
    rounds: int,
    batch_size: int | None,
    seed: int,
    json_path: Path | None = None,
    one: Callable[..., Numbers] | None = None,
    tell: Callable[[Numbers], None] | None = None,
) -> Numbers:
    """Time models of the zoo, and their translations to PyTorch where that is installed.

    A variant that fails is a row that says so. What is compared, the model as it is trained and eager PyTorch in the first
    precision, takes turns for several rounds, and medians count; everything else is measured in the first round alone.

    Args:
        task: training or inference.
        models: registered names.
        precisions: dtype policies; the first is that of the comparison.
        steps: timed steps of each measurement.
        budget: most seconds of them.
        rounds: turns of what is compared.
        batch_size: of a step; that of each recipe without it.
        seed: of weights and data.
        json_path: the result so far is written here after every model.
        one: measures a variant; by default in a process of its own.
        tell: called with the result of every model.

    Returns:
        `task`, `torch` (None or why there are no rows of it) and `models`, each with its `model` and `rows`.

    Raises:
        UnknownModelError: no such model; nothing has been measured then.
    """
    from particle_zoo import registry

    cards = [registry.info(name) for name in models]
    torch = importlib.util.find_spec("torch") is not None
    result: Numbers = {"task": task, "torch": None if torch else NO_TORCH, "seed": seed, "models": []}
    arguments = {"steps": steps, "budget": budget, "batch_size": batch_size, "seed": seed}
    for card in cards:
        if task == "training":
            variants = training_variants(precisions, torch)
        else:
            variants = inference_variants(precisions, torch, card.task == "compression")
        found: dict[Variant | int, list[Numbers]] = {i: [] for i in range(len(variants))}
        for turn in range(rounds):
            for i, variant in enumerate(variants):
                if (turn and not variant.again) or any("failed" in row for row in found[i]):
                    continue
                found[i].append((one or in_process)(task, card.name, variant, arguments))
        rows = [row_of(variant, found[i]) for i, variant in enumerate(variants)]
        result["models"].append({"model": card.name, "rows": rows})
        if json_path:
            write_json(json_path, result)
        if tell:
            tell(result["models"][-1])
    return result


def row_of(variant: Variant, found: Sequence[Numbers]) -> Numbers:
    """Medians over the rounds of a variant; with a failure the sentence of it."""
    row: Numbers = {"side": variant.side, "variant": variant.label, "precision": variant.precision}
    failed = next((one["failed"] for one in found if "failed" in one), None)
    if failed is not None:
        return {**row, "failed": failed}
    for name, value in found[0].items():
        values = [one[name] for one in found]
        number = isinstance(value, float)
        row[name] = statistics.median(values) if number else value
    if "examples_per_s" in row:
        # Of an even number of rounds the median of a rate is not that of its time.
        row["examples_per_s"] = found[0]["examples_per_s"] * found[0]["step_ms"] / row["step_ms"]
    return {**row, "rounds_ms": [one["step_ms"] for one in found]}


def in_process(task: str, name: str, variant: Variant, arguments: Numbers) -> Numbers:
    """Measure a variant in a new process; its numbers, or `failed` with a sentence."""
    try:
        # The peak of a process never falls again.
        new = multiprocessing.get_context("spawn")
        # Keras first, without its greetings, before modules that need it.
        with ProcessPoolExecutor(1, mp_context=new, initializer=load_keras) as process:
            return process.submit(child, task, name, variant, arguments).result()
    except BrokenProcessPool:
        return {"failed": LOST}
    except ParticleZooError as error:
        return {"failed": sentence(str(error))}
    # A framework fails in many ways, and the other rows are worth having.
    except Exception as error:
        return {"failed": sentence(f"{type(error).__name__}: {error}")[:300]}


def child(task: str, name: str, variant: Variant, arguments: Numbers) -> Numbers:
    """Measure a variant in this process."""
    from particle_zoo.evaluation.speed import keras_side, torch_training

    side: Any = keras_side if variant.side == "keras" else torch_training
    function = side.measure_training if task == "training" else side.measure_inference
    found: Numbers = function(name, precision=variant.precision, **arguments, **variant.options)
    return found
