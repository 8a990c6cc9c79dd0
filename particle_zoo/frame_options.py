"""Options of `particle_zoo.predict` for camera frames."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from particle_zoo.cli import Command
from particle_zoo.errors import InputError
from particle_zoo.pipelines.patches import SIZE

RATE = 1.0
"""False regions a frame that are asked for by default."""

FRAME_OPTIONS = ("rate", "figures", "most_figures", "redpix", "crop", "skip_saturated")
CLUSTER_OPTIONS = (
    "threshold", "min_size", "connectivity", "window_ns", "edge", "calibration", "thickness_um", "pitch_um"
)  # fmt: skip

NO_FRAMES = "is for camera frames and a model that was trained on their pedestals"
NO_CLUSTERS = "is about clusters of hits, and this model is for camera frames"
"""Why options of one kind are refused where the other kind is at work."""


def frame_options(command: Command) -> Command:
    """Options that say what is done with regions of frames."""
    for option in reversed(
        (
            click.option(
                "--rate",
                type=float,
                default=RATE,
                help="Camera frames: false regions a frame, of frames without light, that the threshold allows.",
            ),
            click.option(
                "--figures",
                type=click.Path(path_type=Path, file_okay=False),
                metavar="DIR",
                help="Camera frames: draw frames with their regions into this folder, all on one colour scale.",
            ),
            click.option(
                "--most-figures", type=click.IntRange(1), default=20, help="Draw the first N frames that have regions."
            ),
            click.option(
                "--redpix",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="ROOT file of a reconstruction whose pixel lists --figures shows, too; events are frame numbers.",
            ),
            click.option(
                "--crop",
                is_flag=True,
                help=f"Camera frames: also cut {SIZE} x {SIZE} px around every region; into an HDF5 file beside the table.",
            ),
            click.option(
                "--skip-saturated", is_flag=True, help="Camera frames: leave out saturated ones instead of stopping."
            ),
        )
    ):
        command = option(command)
    return command


def refuse(context: click.Context, names: Iterable[str], why: str) -> None:
    """Refuse options that were given and mean nothing for a model.

    Raises:
        InputError: names the first one.
    """
    for option in context.command.params:
        source = context.get_parameter_source(str(option.name))
        if option.name in names and source is click.core.ParameterSource.COMMANDLINE:
            raise InputError(f"{option.opts[0]} {why}; leave it out")
