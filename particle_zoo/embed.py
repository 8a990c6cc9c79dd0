"""`python -m particle_zoo.embed NAME_OR_RUN`: latent vectors, their UMAP, and what lies where on the map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from particle_zoo.cli import (
    dataset_options,
    load_keras,
    output_options,
    precision_option,
    replacing,
    run,
    table,
    write_json,
)
from particle_zoo.errors import InputError


@click.command(context_settings={"show_default": True})
@click.argument("model", metavar="NAME_OR_RUN")
@dataset_options
@click.option("--split", default="all", help="train, validation, test, or all for their union.")
@click.option("--limit", type=click.IntRange(4), help="Use the first N clusters of the split only.")
@click.option("--groups", type=click.IntRange(2), default=6, help="Number of k-means groups.")
@click.option(
    "--neighbors", type=click.IntRange(2), default=15, help="Neighbours of UMAP: small for detail, large for the whole."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for latent.parquet and embedding.png.  [default: embed/ of the run]",
)
@precision_option
@output_options
def embed(
    model: str, groups: int, neighbors: int, output: Path | None, json_path: Path | None, quiet: bool, **options: Any
) -> None:
    """Embed clusters: latent vectors (parquet), UMAP, k-means, DBSCAN, and a figure with example tracks of each group."""
    load_keras(options["precision"])
    from particle_zoo import data
    from particle_zoo.evaluation import embedding, latent
    from particle_zoo.plots import embedding as picture
    from particle_zoo.training.session import parse_classes, pick_data
    from particle_zoo.weights import load_run, locate, results_dir

    folder = locate(model)
    zoo_model, config = load_run(folder)
    if not hasattr(zoo_model, "encode"):
        raise InputError(f"{config['model']} has no latent vector; embed an autoencoder")
    choice = pick_data(options)
    dataset = choice.pop("dataset") or config["dataset"]
    text = choice.pop("classes")
    classes = parse_classes(text, dataset, choice["manual_dir"]) if text else None
    clusters = data.load(dataset, choice.pop("split"), classes=classes, **choice)
    vectors = latent.latents(zoo_model, clusters)
    rows = embedding.embed(vectors, clusters, groups=groups, neighbors=neighbors, seed=options["seed"])
    target = output or results_dir(model, folder) / "embed"
    with replacing(target / "latent.parquet") as temporary:
        rows.to_parquet(temporary, index=False)
    picture.overview(rows, clusters, target / "embedding.png")
    summary = embedding.summary(rows)
    if json_path:
        write_json(json_path, summary)
    if not quiet:
        table(
            f"{len(rows)} clusters of {dataset}",
            ("k-means group", "clusters", "median size", "median direction (deg)", "most frequent label"),
            [tuple(group.values()) for group in summary["groups"]],
        )
        click.echo(f"DBSCAN on the map: {summary['dbscan_groups']} groups, {summary['dbscan_noise']} clusters in none")
    click.echo(f"table: {target / 'latent.parquet'}\nfigure: {target / 'embedding.png'}")


def main() -> None:
    """Entry point."""
    run(embed)


if __name__ == "__main__":
    main()
