"""The commands of `particle_zoo.benchmark` that are about jets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from particle_zoo.cli import load_keras, output_options, write_json


@click.command(context_settings={"show_default": True})
@click.option("--run", "run", metavar="RUN", help="Run folder or published name.  [default: ae_3d_200, random weights]")
@click.option("--repeats", type=click.IntRange(1), default=15, help="Timed turns of each.")
@click.option("--torch-compile", is_flag=True, help="Also time what torch.compile makes of the net; it takes minutes.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of weights and jets.")
@output_options
def jets(json_path: Path | None, quiet: bool, **options: Any) -> None:
    """Microseconds a jet and memory of encoding and decoding, beside the seed's times and PyTorch.

    With 1, 256 and 27,945 jets a call. PyTorch, where it is installed, has the same layers and weights and takes turns with the
    zoo, each in a process of its own.
    """
    from particle_zoo.evaluation.jets import speed

    result = speed.measure(**options)
    if json_path:
        write_json(json_path, result)


@click.command("jet_variants", context_settings={"show_default": True})
@click.option("--epochs", type=click.IntRange(1), default=30, help="Of every training.")
@click.option("--jets", type=click.IntRange(10), metavar="N", help="Use the first N training jets.  [default: all]")
@click.option("--seeds", type=click.IntRange(1), default=1, help="Trainings of every variant.")
@click.option("--seed", type=click.IntRange(0), default=0, help="The first seed, of weights and order.")
@click.option(
    "--variables", type=click.Choice(("pt_eta_phi_e", "m_pt_phi_eta")), default="pt_eta_phi_e",
    help="Scores of one set say nothing about the other.",
)  # fmt: skip
@output_options
def jet_variants(json_path: Path | None, quiet: bool, **options: Any) -> None:
    """Residual blocks, dropout and convolution, which the seed proposes, beside ae_3d_200 at equal epochs on simulated jets."""
    load_keras()
    from particle_zoo.evaluation.jets import variants

    result = variants.compare(quiet=quiet, **options)
    if json_path:
        write_json(json_path, result)
