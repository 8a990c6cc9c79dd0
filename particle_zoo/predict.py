"""`python -m particle_zoo.predict NAME_OR_RUN FILE...`: classes or latent vectors for a user's own files.

Of camera frames, with a model that was trained on pedestals: the regions with light, see `particle_zoo.predict_frames`.
Of jets, with an autoencoder of them: what it makes of each, see `particle_zoo.predict_jets`.
With `--features FILE...` and no model: the features and morphological classes of the clusters.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from particle_zoo.cli import (
    chain_options,
    clustering_options,
    load_keras,
    output_options,
    progress,
    replacing,
    run,
    tell_averaged,
    write_json,
)
from particle_zoo.errors import InputError
from particle_zoo.evaluation.batches import averaged
from particle_zoo.frame_options import CLUSTER_OPTIONS, FRAME_OPTIONS, NO_CLUSTERS, NO_FRAMES, frame_options, refuse
from particle_zoo.predict_frames import predict_frames
from particle_zoo.predict_jets import predict_jets
from particle_zoo.predict_patches import predict_patches
from particle_zoo.table_file import appending, check_table

NO_JET_CLUSTERS = "is about clusters of hits, and this model is for jets"

CHUNK = 4096
"""Clusters predicted at a time; bounds the memory of a directory of files."""


@click.command(context_settings={"show_default": True})
@click.argument("names", metavar="[NAME_OR_RUN] FILE...", nargs=-1, required=True)
@click.option(
    "--features",
    "features_only",
    is_flag=True,
    help="No model, only FILE...: shape and energy features and the morphological class of every cluster.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Table to write: .csv or .parquet.  [default: predictions.csv, features.csv; regions.csv of camera frames, clusters.csv of patches]",
)
@clustering_options
@frame_options
@click.option("--thickness-um", type=float, default=300.0, help="Of the sensor, for elevation and LET in --features.")
@click.option("--pitch-um", type=float, default=55.0, help="Of its pixels, for the same.")
@click.option("--force", is_flag=True, help="Replace an existing table.")
@output_options
def predict(
    names: tuple[str, ...],
    features_only: bool,
    output: Path | None,
    thickness_um: float,
    pitch_um: float,
    force: bool,
    json_path: Path | None,
    quiet: bool,
    **settings: Any,
) -> None:
    """Predict on the files `particle_zoo.read` understands; one row a cluster.

    Hit streams and frames are clustered. Files are read, clustered and predicted a part at a time. A model that was
    trained on pedestals of a camera takes camera frames (HIS, ROOT, HDF5, NumPy, TIFF, FITS) and gives one row a region
    with light; --set then takes transpose, rotate, dataset and partial_run. A clustering of patches takes the files of
    --crop and gives one row a patch. An autoencoder of jets takes files of jets (parquet, HDF5, CSV, ROOT) and gives one row a
    jet; --set then takes unit, tree, event, trust_unit, skip_bad and the column of a variable, as pt=Jet_pt.
    """
    context, of_frames = click.get_current_context(), {name: settings.pop(name) for name in FRAME_OPTIONS}
    if output is not None:
        check_table(output, force=force)
    files = names if features_only else names[1:]
    rows_of: Callable[[Any], Any] = functools.partial(table_of_features, thickness_um=thickness_um, pitch_um=pitch_um)
    loaded, column = None, "class"
    if not features_only:
        model = names[0]
        if not files:
            raise InputError(
                f"predict takes a model and files; received only {model}; for features alone add --features"
            )
        load_keras()
        from particle_zoo.weights import load_run, locate, task_of

        folder = locate(model)
        task = task_of(folder)
        if task in ("anomaly", "deep_clustering", "compression"):
            refuse(context, CLUSTER_OPTIONS, NO_JET_CLUSTERS if task == "compression" else NO_CLUSTERS)
            if task == "anomaly":
                own = {"reading": settings["reading"], **of_frames}
                found = predict_frames(folder, files, output, force=force, quiet=quiet, **own)
            elif task == "compression":
                refuse(context, FRAME_OPTIONS, NO_FRAMES)
                found = predict_jets(folder, files, output, reading=settings["reading"], force=force, quiet=quiet)
            else:
                refuse(context, ("reading", *FRAME_OPTIONS), "is for models that find regions; this one sorts patches")
                found = predict_patches(folder, files, output, force=force, quiet=quiet)
            if json_path:
                write_json(json_path, found)
            return
        refuse(context, FRAME_OPTIONS, NO_FRAMES)
        loaded, config = load_run(folder)
        rows_of, column = functools.partial(predictions, loaded, config), "predicted"
    else:
        refuse(context, FRAME_OPTIONS, NO_FRAMES)
    output = output or check_table(Path("features.csv" if features_only else "predictions.csv"), force=force)
    options = chain_options(settings)
    counts: dict[str, int] = {}
    total, coarser = 0, 0
    with replacing(output) as temporary:
        with appending(temporary) as write:
            for part in progress(_chunks(files, options), "chunks", quiet=quiet):
                rows = rows_of(part)
                write(rows)
                total += len(rows)
                coarser += averaged(loaded, part) if loaded else 0
                for name, count in rows.get(column, rows["id"].iloc[:0]).value_counts().items():
                    counts[str(name) or "no prediction"] = counts.get(str(name) or "no prediction", 0) + int(count)
        if not total:
            raise InputError(f"no cluster found in {', '.join(map(str, files))}; lower --threshold or --min-size")
    summary = {"clusters": total, column: counts, "averaged_over_blocks": coarser, "output": str(output)}
    if json_path:
        write_json(json_path, summary)
    click.echo(
        f"{total:,} clusters: " + ", ".join(f"{k} {v:,}" for k, v in counts.items())
        if counts
        else f"{total:,} clusters"
    )
    tell_averaged(coarser)
    click.echo(f"table: {output}")


def table_of_features(clusters: Any, *, thickness_um: float = 300.0, pitch_um: float = 55.0) -> Any:
    """A DataFrame with one row a cluster: what its table says, position, unit, all features, morphological class."""
    import pandas as pd

    from particle_zoo.detectors.holy import classify
    from particle_zoo.detectors.morphology import ALL_FEATURES, features
    from particle_zoo.pipelines.rasterise import bounding_boxes

    row0, col0, _, _ = bounding_boxes(clusters)
    place = pd.DataFrame({"row0": row0, "col0": col0, "unit": clusters.unit, "class": classify(clusters)})
    shape = features(clusters, ALL_FEATURES, thickness_um=thickness_um, pitch_um=pitch_um)
    own = clusters.table.drop(columns=[name for name in clusters.table if name in place or name in shape])
    return pd.concat([own, place, shape], axis=1)


def predictions(model: Any, config: dict[str, Any], clusters: Any) -> Any:
    """A DataFrame with one row a cluster: id, source, position, features and what the model says.

    A Timepix model leaves clusters that it cannot draw (no energy, or times that are not finite) without prediction.
    Classifiers give `predicted` and one `p_CLASS` each; autoencoders the latent mean as `z0`, `z1`, ...
    """
    import pandas as pd

    from particle_zoo.pipelines.rasterise import bounding_boxes

    row0, col0, _, _ = bounding_boxes(clusters)
    # Clusters a user wrote to parquet need not say where they come from.
    source = clusters.table["source"].astype(str) if "source" in clusters.table else [""] * len(clusters)
    place = {"id": clusters.ids, "source": source, "row0": row0, "col0": col0}
    rows = pd.concat([pd.DataFrame(place), clusters.features()], axis=1)
    # A stream of millions of clusters must not stop at one that a calibration left without energy.
    sound = np.ones(len(clusters), dtype=bool)
    if hasattr(model.preprocessor, "drawable") and clusters.unit == "keV":
        sound = model.preprocessor.drawable(clusters)
    # Without any, one with energies made up says which columns there are.
    said = _said(model, config, clusters[sound]) if sound.any() else _said(model, config, _lit(clusters[:1])).iloc[:0]
    said = said.set_index(np.flatnonzero(sound)).reindex(rows.index)
    if "predicted" in said:
        said["predicted"] = said["predicted"].fillna("")
    return pd.concat([rows, said], axis=1)


def _lit(clusters: Any) -> Any:
    hits = clusters.hits.copy()
    hits[:, clusters.columns.index("energy") :] = 1
    return type(clusters)(hits, clusters.columns, clusters.offsets, clusters.table, clusters.unit)


def _said(model: Any, config: dict[str, Any], clusters: Any) -> Any:
    """A DataFrame of what the model says of clusters that it can draw."""
    import pandas as pd

    from particle_zoo.evaluation import classifier, latent

    if config["classes"] and hasattr(model.zoo_config, "test_time_average"):
        probability = classifier.probabilities(model, clusters)
        named = {f"p_{name}": probability[:, i] for i, name in enumerate(config["classes"])}
        return pd.DataFrame({"predicted": [config["classes"][i] for i in probability.argmax(1)], **named})
    vectors = latent.latents(model, clusters)
    return pd.DataFrame(vectors, columns=[f"z{i}" for i in range(vectors.shape[1])])


def _chunks(files: Sequence[str], options: dict[str, Any]) -> Iterator[Any]:
    from particle_zoo.detectors.chain import iter_clusters

    for file in files:
        for clusters in iter_clusters(file, ignore_unknown=True, **options):
            for start in range(0, len(clusters), CHUNK):
                yield clusters[start : start + CHUNK]


def main() -> None:
    """Entry point."""
    run(predict)


if __name__ == "__main__":
    main()
