"""`python -m particle_zoo.plot FILE...`: what is in a detector file, of any format, at a glance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from particle_zoo.cli import chain_options, clustering_options, output_options, progress, run, table, write_json
from particle_zoo.errors import InputError

FIGURES = ("overview.png", "gallery.png")
SUFFIXES = (".png", ".pdf", ".svg")


@click.command(context_settings={"show_default": True})
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of the figures, or NAME.png (.pdf, .svg) for NAME.png and NAME-gallery.png.  [default: FILE-plots]",
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of the sample of typical clusters.")
@clustering_options
@click.option("--force", is_flag=True, help="Replace existing figures.")
@output_options
def plot(
    files: tuple[Path, ...],
    output: Path | None,
    seed: int,
    force: bool,
    json_path: Path | None,
    quiet: bool,
    **settings: Any,
) -> None:
    """Draw FILE: the integrated image, energy and size spectra, and clusters of each morphological class.

    Several files make one picture. Hit streams and frames are clustered; the typical clusters of a class are those
    nearest to its median size and energy.
    """
    from particle_zoo.detectors.chain import iter_clusters
    from particle_zoo.detectors.holy import classify
    from particle_zoo.evaluation.overview import Overview
    from particle_zoo.plots import overview as figures

    output = output or Path(f"{files[0].name.split('.')[0] or files[0].name}-plots")
    places = [output / name for name in FIGURES]
    if output.suffix.lower() in SUFFIXES:
        places = [output, output.with_name(f"{output.stem}-gallery{output.suffix}")]
    taken = next((place for place in places if place.exists()), None)
    if taken is not None and not force:
        raise InputError(f"{taken} exists; replace it with --force or choose another --output")
    found = Overview(classify, seed)
    options = chain_options(settings)
    for file in files:
        for part in progress(iter_clusters(file, ignore_unknown=True, **options), "parts", quiet=quiet):
            found.add(part)
    if not found.counts:
        raise InputError(f"no cluster found in {', '.join(map(str, files))}; lower --threshold or --min-size")
    total = sum(found.counts.values())
    title = f"{', '.join(file.name for file in files[:3])}{', ...' if len(files) > 3 else ''}: {total:,} clusters"
    figures.summary(found, places[0], title=title)
    figures.gallery(found, places[1], title=title)
    rows = [(name, f"{count:,}", f"{share:.1%}") for name, count, share in found.table().itertuples(index=False)]
    table(title, ("class", "clusters", "share"), rows)
    if json_path:
        write_json(json_path, {"clusters": total, "unit": found.unit, "classes": found.counts, "output": str(output)})
    click.echo(f"figures: {places[0]}, {places[1]}")


def main() -> None:
    """Entry point."""
    run(plot)


if __name__ == "__main__":
    main()
