"""Progressive resizing: an encoder learns on small images first, which cost little, and goes on with the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import keras

from particle_zoo.registry import ModelCard
from particle_zoo.training import devices, snapshots
from particle_zoo.training.checkpoint import CHECKPOINT


def grow(job: Any, folder: Path, *, verbose: int | str = 0) -> None:
    """Train at every size of `progressive` and leave the weights in the model of the job.

    Every size has a folder `size-N` in the run folder, with a checkpoint of its own: an interrupted training goes on at
    the size it had reached. Nothing happens for models without the setting, or once the last size has begun.

    Args:
        job: a `particle_zoo.training.session.Job`.
        folder: its run folder.
        verbose: as in `keras.Model.fit`.
    """
    config = job.model.zoo_config
    sizes = getattr(config, "progressive", ())
    if not sizes or devices.current().decide((folder / CHECKPOINT).exists()):
        return
    weights = job.model.get_weights()
    for stage, size in enumerate(sizes):
        if verbose:
            click.echo(f"{config.progressive_epochs} epochs at {size} px")
        pictures = snapshots.callbacks(job, folder, stage)
        weights = _train(job, job.card, size, weights, folder / f"size-{size}", pictures, verbose)
    job.model.set_weights(weights)


def _train(
    job: Any, card: ModelCard, size: int, weights: list[Any], folder: Path, callbacks: list[Any], verbose: int | str
) -> list[Any]:
    from particle_zoo.training.fit import fit
    from particle_zoo.training.run_folder import trim_history
    from particle_zoo.training.session import build

    if devices.current().chief:
        folder.mkdir(parents=True, exist_ok=True)
        trim_history(folder)
    settings = job.model.zoo_config.model_dump()
    settings |= {"size": size, "progressive": (), "epochs": settings["progressive_epochs"]}
    model = build(card, settings, job.train, job.classes, seed=job.seed, precision=job.precision)
    model.set_weights(weights)
    options: dict[str, Any] = {"classes": job.classes, "seed": job.seed, "folder": folder, "verbose": verbose}
    fit(model, job.train, job.validation, callbacks=callbacks, **options)
    found = list(model.get_weights())
    keras.utils.clear_session(free_memory=True)
    return found
