"""The improvements that seed 002 proposes, at equal epochs: residual blocks, dropout, convolution over neighbouring variables."""

from __future__ import annotations

import time
from typing import Any

import click
import numpy as np

from particle_zoo.cli import table
from particle_zoo.data.jets import load_jets
from particle_zoo.errors import InputError
from particle_zoo.evaluation.jets import scores
from particle_zoo.evaluation.jets.rivals import rivals
from particle_zoo.jets import VARIABLES, Jets

BASE = "ae_3d_200"

VARIANTS: dict[str, dict[str, Any]] = {
    BASE: {},
    "residual blocks": {"block": "residual"},
    "dropout 0.1": {"dropout": 0.1},
    "convolution": {"block": "convolution"},
}
"""Settings over those of `BASE`, by name."""

Numbers = dict[str, Any]


def compare(
    *,
    epochs: int,
    jets: int | None = None,
    seeds: int = 1,
    seed: int = 0,
    variables: str = "pt_eta_phi_e",
    quiet: bool = False,
) -> Numbers:
    """Train every variant on simulated jets, print one table.

    All see the same jets for as many epochs; the best epoch is that of the validation loss. A seed is that of weights and order.

    Args:
        epochs: of each training.
        jets: use the first so many training jets; all without it.
        seeds: trainings of each variant.
        seed: the first of them.
        variables: pt_eta_phi_e or m_pt_phi_eta, the sets that the simulation has.
        quiet: no line a training.

    Returns:
        `n` (test jets), `train_n`, `epochs`, `variables`, `normalisation`; `methods`: by variant `parameters`, `seconds` (mean
        of a training), `mse` (mean over the seeds, on the test jets), `least`, `greatest`, `all`; `rivals`: mse by name.

    Raises:
        InputError: another set of variables, unusable numbers, or a training that diverged.
    """
    simulated = ("pt_eta_phi_e", "m_pt_phi_eta")
    if variables not in simulated:
        raise InputError(f"simulated jets have the variables {' or '.join(simulated)}; received {variables}")
    if seeds < 1 or epochs < 1:
        raise InputError(f"one epoch and one seed at least; received {epochs} and {seeds}")
    want = VARIABLES[variables]
    train, validation, test = (
        load_jets("jets/simulated", split, limit=jets if split == "train" else None, want=want)
        for split in ("train", "validation", "test")
    )
    methods: dict[str, Numbers] = {}
    model: Any = None
    for name, settings in VARIANTS.items():
        found = []
        for one in range(seed, seed + seeds):
            model, seconds = _train({**settings, "variables": variables, "epochs": epochs}, train, validation, one)
            found.append((seconds, scores.mse(model, test)))
            if not quiet:
                click.echo(f"{name}, seed {one}: {seconds:.0f} s, test mse {found[-1][1]:.3g}")
        errors = [error for _, error in found]
        methods[name] = {
            "parameters": model.count_params(),
            "seconds": float(np.mean([spent for spent, _ in found])),
            "mse": float(np.mean(errors)),
            "least": min(errors),
            "greatest": max(errors),
            "all": errors,
        }
    true = model.preprocessor.normalise(test.values)
    others = rivals(train, test, model.preprocessor, model.zoo_config.latent)
    result = {
        "variables": variables,
        "normalisation": model.preprocessor.normalisation,
        "n": len(test),
        "train_n": len(train),
        "epochs": epochs,
        "seeds": seeds,
        "methods": methods,
        "rivals": {name: scores.mean_square(true, output) for name, output in others.items()},
    }
    _show(result)
    return result


def _train(settings: Numbers, train: Jets, validation: Jets, seed: int) -> tuple[Any, float]:
    """A trained model and the seconds that it took."""
    import tempfile
    from pathlib import Path

    import keras

    from particle_zoo import registry
    from particle_zoo.training.jets import train_model

    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    model = registry.create(BASE, **settings)
    model.preprocessor = model.preprocessor.fit(train)
    started = time.perf_counter()
    # With a folder the model ends with the weights of its best epoch.
    with tempfile.TemporaryDirectory() as folder:
        train_model(model, train, validation, seed=seed, folder=Path(folder))
    return model, time.perf_counter() - started


def _show(result: Numbers) -> None:
    rows = [
        (name, f"{own['parameters']:,}", f"{own['seconds']:.0f}", f"{own['mse']:.3g}", _range(own))
        for name, own in result["methods"].items()
    ]
    rows += [(name, "-", "-", f"{error:.3g}", "-") for name, error in result["rivals"].items()]
    table(
        f"{result['n']:,} test jets of jets/simulated, {result['train_n']:,} training jets, {result['epochs']} epochs, "
        f"{result['seeds']} seed{'s' * (result['seeds'] != 1)}: mean square error of {result['variables']}, "
        f"{result['normalisation']}",
        ("method", "parameters", "seconds", "test mse", "least to greatest"),
        rows,
    )


def _range(own: Numbers) -> str:
    return f"{own['least']:.3g} to {own['greatest']:.3g}" if len(own["all"]) > 1 else "-"
