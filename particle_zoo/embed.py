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
    tell_averaged,
    write_json,
)
from particle_zoo.errors import InputError

Table = tuple[str, tuple[str, ...], list[tuple[Any, ...]]]
"""Title, columns and rows."""

MOST = 20_000
"""Clusters of a map without --limit: UMAP takes minutes for them, and a picture shows no more."""


@click.command(context_settings={"show_default": True})
@click.argument("model", metavar="NAME_OR_RUN")
@dataset_options
@click.option("--split", default="all", help="train, validation, test, or all for their union.")
@click.option(
    "--limit",
    type=click.IntRange(4),
    help="Use the first N clusters of the split only.  [default: at most 20,000, spread evenly]",
)
@click.option("--groups", type=click.IntRange(2), default=6, help="Number of k-means groups.")
@click.option(
    "--neighbors", type=click.IntRange(2), default=15, help="Neighbours of UMAP: small for detail, large for the whole."
)
@click.option(
    "--before",
    metavar="RUN",
    help="Also map the same clusters by this run, such as the pretrained encoder that NAME_OR_RUN was fine-tuned from.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for latent.parquet and embedding.png.  [default: embed/ of the run]",
)
@click.option(
    "--html",
    is_flag=True,
    help="Also write embedding.html: the map to walk through in a browser, without a network. Hover shows a cluster, "
    "any column colours, a lasso lists ids.",
)
@precision_option
@output_options
def embed(
    model: str,
    groups: int,
    neighbors: int,
    before: str | None,
    output: Path | None,
    html: bool,
    json_path: Path | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Embed clusters: latent vectors (parquet), UMAP, k-means, DBSCAN, and a figure with example tracks of each group.

    Where energies are in keV also: which axes of the latent space and of the map follow length, angle, energy and size
    of the tracks. With --before: maps and separation of the labels before and after, on the same clusters.
    """
    load_keras(options["precision"])
    from particle_zoo import data
    from particle_zoo.evaluation import correlations, embedding, latent
    from particle_zoo.evaluation.batches import averaged
    from particle_zoo.evaluation.report import evenly
    from particle_zoo.plots import embedding as picture
    from particle_zoo.training.session import parse_classes, pick_data
    from particle_zoo.weights import load_run, locate, results_dir, task_of

    folder = locate(model)
    if task_of(folder) == "compression":
        raise InputError(
            f"{model} compresses jets: its latent vectors are what particle_zoo.compress and particle_zoo.predict write; "
            "use one of these"
        )
    zoo_model, config = load_run(folder)
    if not hasattr(zoo_model, "encode"):
        raise InputError(f"{config['model']} has no latent vector; embed an autoencoder")
    earlier = _earlier(before, zoo_model) if before else None
    choice = pick_data(options)
    dataset = choice.pop("dataset") or config["dataset"]
    text = choice.pop("classes")
    classes = parse_classes(text, dataset, choice["manual_dir"]) if text else None
    clusters = data.load(dataset, choice.pop("split"), classes=classes, **choice)
    if options["limit"] is None and len(clusters) > MOST:
        click.echo(f"{MOST:,} of {len(clusters):,} clusters, spread evenly; --limit N takes the first N instead")
        clusters = evenly(clusters, MOST)
    if earlier is not None and not latent.probeable(clusters.labels[clusters.labels != ""]):
        raise InputError(
            f"--before compares how labels separate, which takes two classes of two clusters each; {dataset} has fewer "
            "here; choose another --dataset or --split"
        )
    coarser = averaged(zoo_model, clusters)
    vectors = latent.latents(zoo_model, clusters)
    rows = embedding.embed(vectors, clusters, groups=groups, neighbors=neighbors, seed=options["seed"])
    summary = {**embedding.summary(rows), "averaged_over_blocks": coarser}
    target = output or results_dir(model, folder) / "embed"
    if earlier is not None:
        parts = {"before": latent.latents(earlier, clusters), "after": vectors}
        rows, summary["separation"] = _separation(rows, parts, neighbors, options["seed"])
    with replacing(target / "latent.parquet") as temporary:
        rows.to_parquet(temporary, index=False)
    picture.overview(rows, clusters, target / "embedding.png")
    if earlier is not None:
        _draw_both(rows, summary["separation"], target / "before_and_after.png")
    if html:
        from particle_zoo.plots.atlas import atlas

        atlas(rows, clusters, target / "embedding.html", title=f"{config['model']} on {dataset}")
    if clusters.unit == "keV":
        axes = correlations.strongest(rows, correlations.track_truth(clusters, rows["direction"].to_numpy()))
        summary["correlations"] = correlations.as_dict(axes)
    if json_path:
        write_json(json_path, summary)
    if not quiet:
        table(
            f"{len(rows)} clusters of {dataset}",
            ("k-means group", "clusters", "median size", "median direction (deg)", "most frequent label"),
            [tuple(group.values()) for group in summary["groups"]],
        )
        tell_averaged(coarser)
        click.echo(f"DBSCAN on the map: {summary['dbscan_groups']} groups, {summary['dbscan_noise']} clusters in none")
        for title, columns, cells in _tables(summary):
            table(title, columns, cells)
    click.echo(f"table: {target / 'latent.parquet'}\nfigure: {target / 'embedding.png'}")
    if earlier is not None:
        click.echo(f"figure: {target / 'before_and_after.png'}")
    if html:
        click.echo(f"page: {target / 'embedding.html'}")


def _earlier(source: str, model: Any) -> Any:
    """The model of `--before`.

    Raises:
        InputError: there is no such run, or its encoder is of another kind than the model's.
    """
    from particle_zoo.weights import load_run, locate

    earlier, config = load_run(locate(source))
    if not hasattr(earlier, "encode"):
        raise InputError(
            f"--before {source} holds a {config['model']}, which has no latent vector; give an autoencoder"
        )
    if _shapes(earlier) != _shapes(model):
        raise InputError(
            f"--before {source} holds a {config['model']} whose encoder is of another kind than that of "
            f"{model.zoo_name}; give the run it was fine-tuned from"
        )
    return earlier


def _shapes(model: Any) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in model.encoder.weights]


def _separation(rows: Any, vectors: dict[str, Any], neighbors: int, seed: int) -> tuple[Any, dict[str, Any]]:
    """The rows with the map before, and how well the labels separate in each latent space."""
    from sklearn.preprocessing import StandardScaler

    from particle_zoo.evaluation import embedding, latent

    plane = embedding.umap_of(StandardScaler().fit_transform(vectors["before"]), neighbors=neighbors, seed=seed)
    labels = rows["label"].to_numpy(str)
    known = labels != ""
    found = {name: latent.probe(values[known], labels[known], seed) for name, values in vectors.items()}
    return rows.assign(umap_x_before=plane[:, 0], umap_y_before=plane[:, 1]), found


def _draw_both(rows: Any, separation: dict[str, Any], path: Path) -> None:
    from particle_zoo.plots.embedding import before_and_after

    earlier = rows[["label"]].assign(umap_x=rows["umap_x_before"], umap_y=rows["umap_y_before"])
    titles = {name: f"{name}: 5-NN accuracy {found['knn_accuracy']:.3f}" for name, found in separation.items()}
    before_and_after({"before": earlier, "after": rows}, titles, path)


def _tables(summary: dict[str, Any]) -> list[Table]:
    """What a summary has beyond the groups."""
    found: list[Table] = []
    if "correlations" in summary:
        found.append(
            (
                "correlation of axes and tracks (Spearman; circular-linear for the angle modulo 180 degrees)",
                ("axis", "length", "angle", "energy", "size"),
                [
                    (axis, *("-" if v != v else v for v in row.values()))
                    for axis, row in summary["correlations"].items()
                ],
            )
        )
    if "separation" in summary:
        found.append(
            (
                "what the latent vector knows of the label",
                ("run", "5-NN accuracy", "linear accuracy", "k-means ARI", "k-means NMI"),
                [(name, *row.values()) for name, row in summary["separation"].items()],
            )
        )
    return found


def main() -> None:
    """Entry point."""
    run(embed)


if __name__ == "__main__":
    main()
