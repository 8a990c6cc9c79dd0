"""The commands of `particle_zoo.benchmark` that time the way to model inputs, training and inference beside PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from particle_zoo.cli import PRECISIONS, load_keras, output_options, write_json
from particle_zoo.errors import InputError

Command = Callable[..., Any]


@click.command(context_settings={"show_default": True})
@click.option(
    "--input", "inputs", type=click.Choice(("ccd", "effnet", "frames")), multiple=True,
    help="ccd: 64x64 images; effnet: what the host draws for the EfficientNet family; frames: crops of camera frames. "
    "Repeatable.  [default: all]",
)  # fmt: skip
@click.option("--clusters", type=click.IntRange(100), default=20_000, help="Of each kind.")
@click.option("--batch-size", type=click.IntRange(1), default=128, help="Clusters a batch.")
@click.option("--frames", type=click.IntRange(10, 200), default=16, help="Of the camera.")
@click.option(
    "--shape", type=click.IntRange(64), nargs=2, metavar="ROWS COLS", default=(2304, 2304), help="Of the frames, px."
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of clusters, frames and orders.")
@click.option("--repeats", type=click.IntRange(1), default=3, help="Passes of each way; the fastest counts.")
@click.option(
    "--epochs", type=click.IntRange(4), default=10, help="Epochs from disk whose memory is looked at, from the third."
)
@output_options
def pipeline(inputs: tuple[str, ...], json_path: Path | None, quiet: bool, **options: Any) -> None:
    """Clusters and frames a second from TFDS records to model inputs, beside what one would use instead.

    From records of one cluster and of many, from memory, and from a cache; the rivals, a generator of single examples in NumPy
    and PyTorch's DataLoader where that is installed, give the same arrays, which is checked before anything is timed.
    """
    from particle_zoo.evaluation.pipeline.measure import INPUTS, measure

    result = measure(inputs or INPUTS, **options)
    if json_path:
        write_json(json_path, result)


def _options(command: Command) -> Command:
    for option in reversed(
        (
            click.option(
                "--models", metavar="NAME,...", help="Registered models.  [default: one of every family, see below]"
            ),
            click.option(
                "--precision",
                "precisions",
                type=click.Choice(PRECISIONS),
                multiple=True,
                default=("float32", "mixed_bfloat16"),
                help="Repeatable; the first is that of the comparison.",
            ),
            click.option("--batch-size", type=click.IntRange(1), help="Examples a step.  [default: each recipe's]"),
            click.option("--steps", type=click.IntRange(1), default=20, help="Timed steps of each measurement."),
            click.option(
                "--budget",
                type=click.FloatRange(0, min_open=True),
                default=60.0,
                help="Most seconds of timed steps of each measurement; slow models then do fewer.",
            ),
            click.option(
                "--rounds", type=click.IntRange(1), default=3, help="Turns of what is compared; medians count."
            ),
            click.option("--seed", type=click.IntRange(0), default=0, help="Seed of weights and data."),
        )
    ):
        command = option(command)
    return output_options(command)


@click.command(context_settings={"show_default": True})
@_options
def training(models: str | None, json_path: Path | None, quiet: bool, **options: Any) -> None:
    """Steps a second of the training of a model of every family, beside the same layers in PyTorch, where that is installed.

    Keras as each model is trained, with XLA the other way, with steps called together or one by one; PyTorch eager and compiled;
    each in every precision and in processes of its own. Then the share of the time that steps wait for data. The families: cnn,
    cnn_meta, vae, timepix_cnn, tiny_effnet_ae (effnet_ae_mask25 takes a GPU), pedestal_ae, dec, ae_3d_200.
    """
    _measure("training", models, json_path, options)


@click.command(context_settings={"show_default": True})
@_options
def inference(models: str | None, json_path: Path | None, quiet: bool, **options: Any) -> None:
    """Batches a second from arrays to arrays of a model of every family, beside the same layers in PyTorch.

    Keras as a compiled function, with and without XLA, and with its predict; jets also by the encode and decode of their
    compression; PyTorch eager and compiled. Every output of every batch becomes an array. The families are those of training.
    """
    _measure("inference", models, json_path, options)


def _measure(task: str, models: str | None, json_path: Path | None, options: dict[str, Any]) -> None:
    load_keras()
    from particle_zoo.evaluation.speed import report
    from particle_zoo.evaluation.speed.material import FAMILIES
    from particle_zoo.evaluation.speed.measure import measure

    names = FAMILIES if models is None else tuple(name.strip() for name in models.split(",") if name.strip())
    if not names or len(set(names)) != len(names):
        raise InputError(f"--models takes different names, comma-separated; received {models!r}; give cnn,vae")
    result = measure(task, names, json_path=json_path, tell=lambda model: report.print_model(task, model), **options)
    report.print_missing(result)
    if json_path:
        write_json(json_path, report.with_verdicts(result))
