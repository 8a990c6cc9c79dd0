"""The command of `particle_zoo.benchmark` that compares precisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from particle_zoo.cli import PRECISIONS, load_keras, output_options, parse_settings, write_json


@click.command(context_settings={"show_default": True})
@click.argument("name")
@click.option(
    "--precision", "precisions", type=click.Choice(PRECISIONS[1:]), multiple=True, default=PRECISIONS[1:],
    help="Beside float32; repeatable.",
)  # fmt: skip
@click.option("--seeds", type=click.IntRange(2), default=3, help="Trainings with each precision.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One setting of the model; repeatable.")
@click.option("--limit", type=click.IntRange(1), help="Use the first N training clusters, frames or jets only.")
@click.option("--dataset", help="NAME[/CONFIG] of the data set.  [default: the model's simulated one]")
@click.option("--classes", help="Comma-separated class names in order, or 'all'.  [default: as train]")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where data sets are kept.  [default: TFDS's]")
@click.option("--manual-dir", type=click.Path(path_type=Path), help="Folder with your own source files.")
@output_options
def precision(name: str, settings: tuple[str, ...], json_path: Path | None, **options: Any) -> None:
    """Final loss and metrics of the model NAME trained in float32 and in mixed precision, with several seeds.

    The verdict compares the difference of the mean losses with its noise, that between further trainings in float32. It is
    'too noisy to say' where a quarter of what is learned would not show, neither above the noise nor in a difference of one
    seed from itself. Learned is the drop of the loss from that of the untrained network, for which every seed takes one
    epoch more.
    """
    load_keras()
    from particle_zoo.evaluation.precision.compare import compare

    result = compare(name, parse_settings(settings), **options)
    if json_path:
        write_json(json_path, result)
