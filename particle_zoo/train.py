"""`python -m particle_zoo.train NAME`: train a model of the zoo into a run folder."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from particle_zoo.cli import (
    dataset_options,
    load_keras,
    output_options,
    parse_settings,
    precision_option,
    run,
    tell_averaged,
    write_json,
)
from particle_zoo.errors import InputError

if TYPE_CHECKING:
    from particle_zoo.registry import ModelCard


@click.command(context_settings={"show_default": True})
@click.argument("name")
@dataset_options
@click.option(
    "--split", default="train", help="Split of clusters to train on; early stopping always watches validation."
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Passes over the training clusters, frames or jets.  [default: the model's recipe]",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Clusters, crops of frames or jets, a step.  [default: the model's recipe]",
)
@click.option("--limit", type=click.IntRange(1), help="Use the first N training clusters, frames or jets only.")
@click.option(
    "--stream",
    is_flag=True,
    help="Leave the training clusters on disk and read them a piece at a time, for data sets larger than memory. "
    "Statistics of the inputs, validation and figures come from samples of 20,000 clusters.",
)
@click.option(
    "--params", type=click.Path(path_type=Path), help="JSON file of settings, as a search writes it (best.json)."
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="One setting of the model or recipe; repeatable."
)
@click.option(
    "--init",
    default="none",
    help="Start from the weights of this run folder or published name (or imagenet, where a family has it). A classifier or anomaly "
    "model then takes the recipe of fine-tuning of its family (fine_tuning of its configuration) for what is not set.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Run folder.  [default: runs/NAME-N]")
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the run in --output (or the latest of this model); there must be one. Other --epochs than before "
    "stretch a learning-rate schedule to the new length.",
)
@click.option("--force", is_flag=True, help="Replace the run in --output.")
@click.option(
    "--recipe",
    is_flag=True,
    help="Train as the weights of NAME that come with the package were: its recipes/NAME.yaml fills in what is not given.",
)
@click.option("--publish", is_flag=True, help="Put the result where particle_zoo.load(NAME) finds it.")
@click.option(
    "--devices",
    type=click.IntRange(1),
    help="GPUs of this host, or logical processors, that share every batch; under TensorFlow or JAX.  [default: 1; with "
    "TF_CONFIG or the variables of jax.distributed all of every host]",
)
@click.option("--profile", is_flag=True, help="Trace ten steps after the first five into RUN/profile, for Perfetto.")
@click.option("--tensorboard", is_flag=True, help="Write the values of every epoch to RUN/tensorboard, too.")
@precision_option
@output_options
def train(
    name: str,
    settings: tuple[str, ...],
    params: Path | None,
    output: Path | None,
    resume: bool,
    force: bool,
    recipe: bool,
    publish: bool,
    devices: int | None,
    profile: bool,
    tensorboard: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Train the model NAME (see particle_zoo.list_models()) and write a run folder.

    The folder holds config.json, model.weights.h5 (best epoch), history.csv, metrics.json, card.json and plots/, and
    that of an anomaly model pedestal.npz and calibration.json too. A killed or interrupted run continues with --resume.

    An anomaly model whose reconstruction copies more than a fifth of the light of a spot is kept, to be looked at, and not
    published; the command then ends with exit code 2.
    """
    context = click.get_current_context()
    if recipe:
        from particle_zoo.training import recipe as recipes

        if params is not None:
            raise InputError(f"--recipe brings settings of its own; received --params {params} too; give one of them")
        given = recipes.under(context, {**options, "settings": settings}, recipes.read(name))
        settings, options = given.pop("settings"), given
    load_keras(options["precision"])
    from particle_zoo import registry
    from particle_zoo.training import run_folder, session
    from particle_zoo.training.checkpoint import earlier_seconds
    from particle_zoo.training.devices import spread
    from particle_zoo.training.observers import Observers

    chosen = spread(devices)
    context.call_on_close(chosen.close)
    card = registry.info(name)
    overrides = parse_settings(settings, params)
    for key in ("epochs", "batch_size"):
        if options[key] is not None:
            overrides[key] = options[key]
    # Before minutes of preparation.
    folder = output or Path("runs") / name
    if chosen.chief:
        folder = run_folder.choose(name, output, resume=resume, force=force)
    # Of several processes one looks at the folder, writes it and says what it does.
    quiet = quiet or not chosen.chief
    observers = Observers(folder, profile=profile and chosen.chief, tensorboard=tensorboard and chosen.chief)
    if not chosen.chief:
        # The chief prepares the data set, alone.
        chosen.decide(True)
    job, begin = (_frames if card.task in session.TRAINERS else _clusters)(card, overrides, options)
    if chosen.chief:
        chosen.decide(True)
    if not quiet:
        shared = f", on {chosen.number} devices" if chosen.number > 1 else ""
        click.echo(f"{job.describe()}{shared}, into {folder}")
    if chosen.chief:
        run_folder.start(folder, job.config(), resume=resume, force=force)
    before = earlier_seconds(folder) if chosen.chief else 0.0
    started = time.perf_counter()
    with observers as callbacks:
        metrics = begin(folder, quiet=quiet, callbacks=callbacks)
    metrics["seconds"] = round(before + time.perf_counter() - started, 1)
    write_json(folder / "metrics.json", metrics)
    if options["json_path"]:
        write_json(options["json_path"], metrics)
    if not quiet:
        click.echo("  ".join(f"{k} {v:.4g}" for k, v in metrics.items() if isinstance(v, float)))
        tell_averaged(sum(n for name, n in metrics.items() if name.endswith("_averaged_over_blocks")))
        for plot in sorted([*(folder / "plots").glob("*.png"), *(folder / "plots").glob("*.gif")]):
            click.echo(f"figure: {plot}")
        for observer in observers.callbacks:
            click.echo(observer.describe())
    if hasattr(job, "check"):
        job.check(metrics, folder)
    if publish:
        from particle_zoo.weights import publish as publish_run

        click.echo(f"published to {publish_run(folder, name)}")


def _clusters(card: ModelCard, overrides: dict[str, Any], options: dict[str, Any]) -> tuple[Any, Callable[..., Any]]:
    """A training on clusters, and what begins it."""
    from particle_zoo.training import session

    own = {key: options[key] for key in ("seed", "precision", "init", "stream")}
    job = session.prepare(card, overrides, **session.pick_data(options), **own)
    session.initialise(job, options["init"])
    return job, partial(session.train, job)


def _frames(card: ModelCard, overrides: dict[str, Any], options: dict[str, Any]) -> tuple[Any, Callable[..., Any]]:
    """A training on camera frames or jets, and what begins it.

    Raises:
        InputError: an option for clusters.
    """
    from particle_zoo.training import session

    if options["stream"]:
        raise InputError(
            f"--stream is for models of clusters, and {card.name} has its own way of reading; leave it out"
        )
    if options["classes"] is not None or options["split"] != "train":
        raise InputError(f"{card.name} learns without classes, on splits of its own; leave --classes and --split out")
    taken = ("seed", "dataset", "data_dir", "manual_dir", "limit", "precision", "init")
    trainer = importlib.import_module(session.TRAINERS[card.task])
    job = trainer.prepare(card, overrides, **{key: options[key] for key in taken})
    job.initialise()
    return job, job.train


def main() -> None:
    """Entry point of the console script."""
    run(train, stopped="stopped; a run that has begun continues with --resume")


if __name__ == "__main__":
    main()
