"""Microseconds a jet of encoding and decoding, and memory, beside the seed's times and the same net in PyTorch."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import click
import numpy as np

from particle_zoo.cli import load_keras, sentence, table
from particle_zoo.conversion.layers import Layer
from particle_zoo.errors import InputError
from particle_zoo.evaluation.memory import peak_mb

TASKS = ("encode", "decode")

CALLS = {1: 200, 256: 40, 27_945: 1}
"""Jets a call, and calls timed in a row: a single one of few jets is too short for the clock."""

SEED_JETS = 27_945
"""Test jets of seed 002, whose times its report tells."""

SEED_MS = {"encode": 239.6, "decode": 74.3}

SEED_LAYERS = "4-200-100-50-3-50-100-200-4"

SHARE = 0.25
"""Of the seed's times that we want to take at most."""

ZOO, PYTORCH, COMPILED = "particle-zoo", "PyTorch", "PyTorch, compiled"

Numbers = dict[str, Any]


@dataclass(frozen=True)
class Net:
    """What a process needs to build the net in PyTorch."""

    layers: tuple[Layer, ...]
    activation: str
    compiled: bool = False


def measure(*, run: str | None = None, repeats: int = 15, torch_compile: bool = False, seed: int = 0) -> Numbers:
    """Time an autoencoder of jets with 1, 256 and 27,945 jets a call, and print tables and a verdict.

    The zoo and PyTorch each have a process, so that neither disturbs the other, and take turns, so that what else the
    machine does hits both alike. From NumPy arrays to NumPy arrays, all threads that each takes by itself. Memory is that of
    processes that encode or decode once and do nothing else.

    Args:
        run: run folder or published name; None for ae_3d_200 with random weights.
        repeats: timed turns of each.
        torch_compile: also time what torch.compile makes of the net, which takes it minutes.
        seed: of weights and jets.

    Returns:
        `model`, `layers`, `parameters`, `backend`, `torch` (version or None), `cores`, `load`; `rows`: `task`, `jets` (a call), `by`,
        `us_median` and `us_best` (a jet); `memory`: by whom and task `peak_mb` and `grown_mb`, the part that came with the work;
        `verdict`, see `verdict_of`.

    Raises:
        InputError: a run of another task, or one that cannot be loaded.
    """
    from particle_zoo.detectors.camera.bands import cores
    from particle_zoo.evaluation.anomaly import torch_network

    version = torch_network.version()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    with ExitStack() as stack:
        zoo = stack.enter_context(_process())
        about = zoo.submit(_start_zoo, run, seed).result()
        layers, activation = about.pop("net")
        starts: dict[str, tuple[Any, ...]] = {ZOO: (_start_zoo, run, seed)}
        if version and layers:
            starts[PYTORCH] = (_start_torch, Net(layers, activation))
        processes = {ZOO: zoo, **{by: stack.enter_context(_process()) for by in starts if by != ZOO}}
        for by, process in processes.items():
            if by != ZOO:
                process.submit(*starts[by]).result()
            process.submit(_warm, seed).result()
        if torch_compile and PYTORCH in starts:
            process = stack.enter_context(_process())
            said = _compiled(process, Net(layers, activation, compiled=True), seed)
            if said is None:
                processes[COMPILED] = process
            else:
                click.echo(f"torch.compile does not work here ({said}), so it is left out")
        rows = _times(processes, repeats, seed)
    memory = {by: {task: _memory(start, task, seed) for task in TASKS} for by, start in starts.items()}
    result = {
        **about,
        "torch": version,
        "cores": cores(),
        "load": load,
        "repeats": repeats,
        "rows": rows,
        "memory": memory,
        "verdict": verdict_of(rows, seed_net=about["layers"] == SEED_LAYERS),
    }
    _print(result, convertible=bool(layers))
    return result


def verdict_of(rows: Sequence[Numbers], *, seed_net: bool = True) -> Numbers:
    """Whether 27,945 jets take at most a quarter of the seed's time, and no longer than in PyTorch, by task.

    Args:
        rows: of `measure`.
        seed_net: whether the net is the seed's; with another one there is no comparison with its times.

    Returns:
        `ms`, `quarter_ms`, `at_most_a_quarter`, `torch_ms`, `no_longer_than_torch` of each task, all by the median; None where
        there is nothing to compare with.
    """
    found = {}
    for task in TASKS:
        ms = {
            row["by"]: row["us_median"] * SEED_JETS / 1e3
            for row in rows
            if (row["task"], row["jets"]) == (task, SEED_JETS)
        }
        quarter = SHARE * SEED_MS[task] if seed_net else None
        # The faster of the two.
        torch = min((value for by, value in ms.items() if by != ZOO), default=None)
        found[task] = {
            "ms": ms[ZOO],
            "quarter_ms": quarter,
            "at_most_a_quarter": None if quarter is None else ms[ZOO] <= quarter,
            "torch_ms": torch,
            "no_longer_than_torch": None if torch is None else ms[ZOO] <= torch,
        }
    return found


def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _times(processes: dict[str, ProcessPoolExecutor], repeats: int, seed: int) -> list[Numbers]:
    """Rows of every task, number of jets and process; the processes take turns."""
    seconds: dict[tuple[str, int, str], list[float]] = {}
    for _ in range(repeats):
        for task in TASKS:
            for jets, calls in CALLS.items():
                for by, process in processes.items():
                    spent = process.submit(_seconds, task, jets, calls, seed).result()
                    seconds.setdefault((task, jets, by), []).append(spent)
    return [
        {"task": task, "jets": jets, "by": by,
         "us_median": 1e6 * float(np.median(spent)) / jets, "us_best": 1e6 * min(spent) / jets}
        for (task, jets, by), spent in seconds.items()
    ]  # fmt: skip


def _memory(start: tuple[Any, ...], task: str, seed: int) -> Numbers:
    with _process() as process:
        process.submit(*start).result()
        return process.submit(_once, task, seed).result()


def _compiled(process: ProcessPoolExecutor, net: Net, seed: int) -> str | None:
    """Compile a net in a process; what went wrong, or None."""
    try:
        process.submit(_start_torch, net).result()
        return process.submit(_warm, seed).result()
    except BrokenProcessPool:
        return "the process ended"


# === In a process of its own ===

_functions: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
_widths: dict[str, int] = {}


def _start_zoo(run: str | None, seed: int) -> Numbers:
    load_keras()
    import keras

    from particle_zoo import registry, weights
    from particle_zoo.conversion.jet_ae import FAMILY, layers_in, units
    from particle_zoo.jets import VARIABLES

    if run is None:
        keras.utils.set_random_seed(seed)
        model = registry.create("ae_3d_200")
    else:
        model, config = weights.load_run(weights.locate(run))
        if registry.info(config["model"]).family != FAMILY:
            raise InputError(f"{run} holds a {config['model']}; give the run of an autoencoder of jets")
    config = model.zoo_config
    _functions.update(encode=model.encode, decode=model.decode)
    _widths.update(encode=len(VARIABLES[config.variables]), decode=config.latent)
    layers = tuple(layers_in(model)) if config.block == "dense" else ()
    return {
        "model": model.zoo_name,
        "run": run,
        "layers": units(model),
        "parameters": model.count_params(),
        "keras": keras.version(),
        "backend": keras.backend.backend(),
        "net": (layers, config.activation),
    }


def _start_torch(net: Net) -> None:
    from particle_zoo.conversion import torch_net

    halves = {"encode": torch_net.encoder, "decode": torch_net.decoder}
    modules = {task: half(net.layers, net.activation) for task, half in halves.items()}
    if net.compiled:
        import torch

        modules = {task: torch.compile(module) for task, module in modules.items()}
    _functions.update({task: torch_net.numpy_function(module) for task, module in modules.items()})
    _widths.update(encode=net.layers[0].weight.shape[1], decode=len(net.layers[len(net.layers) // 2 - 1].weight))


def _inputs(task: str, jets: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(jets, _widths[task])).astype(np.float32)


def _warm(seed: int) -> str | None:
    """Do everything once, for what is compiled or allocated then; what went wrong, or None."""
    try:
        for task in TASKS:
            for jets in CALLS:
                _functions[task](_inputs(task, jets, seed))
    # The compiler and those that it calls have many exceptions, and not all of them can be sent to another process.
    except Exception as error:
        return sentence(str(error))[:100] or type(error).__name__
    return None


def _seconds(task: str, jets: int, calls: int, seed: int) -> float:
    """Of one call, the mean of some in a row."""
    inputs, function = _inputs(task, jets, seed), _functions[task]
    # Another process had the caches in between.
    function(inputs)
    started = time.perf_counter()
    for _ in range(calls):
        function(inputs)
    return (time.perf_counter() - started) / calls


def _once(task: str, seed: int) -> Numbers:
    inputs, before = _inputs(task, SEED_JETS, seed), peak_mb()
    _functions[task](inputs)
    return {"peak_mb": peak_mb(), "grown_mb": peak_mb() - before}


# === Tables ===


def _print(result: Numbers, *, convertible: bool) -> None:
    where = f"Keras {result['keras']} on {result['backend']}, {result['cores']} cores"
    rows: list[tuple[str, ...]] = []
    for row in result["rows"]:
        whole = f"{row['us_median'] * row['jets'] / 1e3:.3g}"
        rows.append(
            (row["task"], f"{row['jets']:,}", row["by"], f"{row['us_median']:.3g}", f"{row['us_best']:.3g}", whole)
        )
    if result["layers"] == SEED_LAYERS:
        for task, ms in SEED_MS.items():
            rows.append(
                (task, f"{SEED_JETS:,}", "seed 002, another machine", f"{1e3 * ms / SEED_JETS:.3g}", "", f"{ms:.3g}")
            )
    rows.sort(key=lambda cells: (TASKS.index(cells[0]), int(cells[1].replace(",", ""))))
    table(
        f"{result['model']}, {result['layers']}, {result['parameters']:,} parameters; {where}",
        ("", "jets a call", "by", "µs a jet, median", "best", "ms a call, median"),
        rows,
    )
    table(
        f"Memory of a process that does only this, {SEED_JETS:,} jets in one call",
        ("", "by", "peak MB", "of it for the work"),
        [
            (task, by, f"{numbers['peak_mb']:.0f}", f"{numbers['grown_mb']:.1f}")
            for by, tasks in result["memory"].items()
            for task, numbers in tasks.items()
        ],
    )
    if not convertible:
        click.echo("this net has other than dense blocks, so there is no comparison with PyTorch")
    elif result["torch"] is None:
        click.echo("torch is not installed, so there is no comparison with PyTorch")
    if result["load"] > result["cores"] / 2:
        click.echo(
            f"the machine was busy (load {result['load']:.1f} on {result['cores']} cores), so times are too long"
        )
    click.echo(verdict_sentence(result["verdict"]))


def verdict_sentence(verdict: Numbers) -> str:
    """`verdict_of` in words."""

    def both(key: str) -> str:
        return " and ".join(f"{verdict[task][key]:.1f}" for task in TASKS)

    def answer(key: str) -> str:
        answers = {task: "yes" if verdict[task][key] else "no" for task in TASKS}
        same = len(set(answers.values())) == 1
        return answers["encode"] if same else ", ".join(f"{task} {said}" for task, said in answers.items())

    parts = [f"encode and decode of {SEED_JETS:,} jets take {both('ms')} ms"]
    if verdict["encode"]["quarter_ms"] is not None:
        parts.append(f"at most a quarter of the seed's times ({both('quarter_ms')} ms): {answer('at_most_a_quarter')}")
    if verdict["encode"]["torch_ms"] is not None:
        parts.append(f"no longer than PyTorch ({both('torch_ms')} ms): {answer('no_longer_than_torch')}")
    return "; ".join(parts)
