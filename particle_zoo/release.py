"""`python -m particle_zoo.release RUN`: from a run of a committed recipe to the weights that come with the package."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from particle_zoo.cli import load_keras, run

LARGE = 4_000_000
"""Bytes of a published folder from which on it belongs into the companion distribution."""


@click.command(context_settings={"show_default": True})
@click.argument("folders", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--into", type=click.Path(path_type=Path),
    help="particle_zoo/zoo in the repository, or weights/particle_zoo_weights for folders of 4 MB and more.",
)  # fmt: skip
@click.option(
    "--kernels", type=click.Choice(("float32", "float16", "int8")), default="int8", help="How kernels are stored."
)
@click.option(
    "--pictures", type=click.Path(path_type=Path), help="Folder for a figure of the scored examples, NAME.png."
)
@click.option("--limit", type=click.IntRange(1), help="Score N test examples at most.")
@click.option(
    "--measure",
    is_flag=True,
    help="RUN are released models: only take their times and those of their exports anew, on a machine that does nothing else.",
)
def release(
    folders: tuple[Path, ...],
    into: Path | None,
    kernels: str,
    pictures: Path | None,
    limit: int | None,
    measure: bool,
) -> None:
    """Publish RUN with its weights packed, golden values, scores beside rivals, speed and a card; then verify it."""
    given = click.get_current_context().get_parameter_source
    chosen = [key for key in ("into", "kernels", "pictures", "limit") if given(key) == ParameterSource.COMMANDLINE]
    if measure and chosen:
        raise click.UsageError(f"--measure writes nothing but times; leave --{chosen[0]} out")
    load_keras()
    from particle_zoo.publication import build
    from particle_zoo.verification import verify

    if measure:
        for folder in build.measure(folders):
            click.echo(f"{folder}: measured")
        return
    if into is None:
        raise click.UsageError("a run is released --into a folder, and a released model takes --measure")
    for folder in folders:
        target = build.build(folder, into, kernels, limit=limit, pictures=pictures)  # type: ignore[arg-type]
        found = verify(target)
        size = sum(path.stat().st_size for path in target.iterdir())
        click.echo(f"{target}: {size / 1e6:.2f} MB, verified to {found.outputs:.1e}")
        if size >= LARGE and into.name != "particle_zoo_weights":
            click.echo(f"that is {LARGE / 1e6:.0f} MB or more; release it into weights/particle_zoo_weights instead")


if __name__ == "__main__":
    run(release)
