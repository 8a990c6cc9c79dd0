"""A trained clustering on patches: what is in its clusters, and how simpler methods sort the same patches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from particle_zoo.cli import table
from particle_zoo.data.patches import TEST_SEED, Patches, load_patches
from particle_zoo.errors import InputError
from particle_zoo.evaluation.deep_clustering.hand_features import cluster, hand_features
from particle_zoo.evaluation.deep_clustering.scores import MEASURES, scores

UNKNOWN = "unknown"


def on_run(source: str | Path, options: dict[str, Any]) -> dict[str, Any]:
    """Sort patches with a run folder or a published model, print tables and draw `clusters_evaluated.png`.

    Simulated patches are others than those of the training, of the same mix and number; files are taken as they are.

    Args:
        source: run folder or model name.
        options: those of `evaluate`; `dataset`, `data_dir`, `manual_dir`, `limit`, `seed` and `output` count, all may lack.

    Returns:
        `n`, `clusters` (one dict a cluster), `alarms` and, of labelled patches, the measures of `scores` and the same of the
        `baselines`, each with as many clusters as the model and, where that is another number, with one a kind.

    Raises:
        InputError: a run that has not come to its end, or patches that cannot be used.
    """
    from particle_zoo.training.cluster_checks import alarms
    from particle_zoo.training.deep_clustering import CLUSTERS
    from particle_zoo.weights import load_run, locate

    folder = locate(source)
    if (folder / "checkpoint.npz").exists() and not (folder / CLUSTERS).exists():
        raise InputError(f"{folder} has not been clustered yet; finish the training with --resume --output {folder}")
    model, config = load_run(folder)
    c = model.zoo_config
    dataset = options.get("dataset") or config["dataset"]
    where = {key: options.get(key) for key in ("data_dir", "manual_dir", "limit")}
    patches = load_patches(dataset, n=c.patches, mix=c.mix, size=c.size, seed=TEST_SEED, **where)
    patches = patches if c.several else patches[~patches.several]
    if not len(patches):
        raise InputError(
            f"other regions reach into all patches of {dataset}; this model was trained without such patches"
        )
    embedding, soft = model.assign(model.preprocess(patches.images))
    labels = soft.argmax(1)
    features = hand_features(patches.images, model.preprocessor.noise)
    found: dict[str, Any] = {"n": len(patches), "clusters": _clusters(labels, soft, features, patches)}
    table(
        f"{len(patches):,} patches of {dataset}; medians of the features",
        ("cluster", "patches", "share", *features.columns, "mostly", "sure"),
        [_row(row) for row in found["clusters"]],
    )
    found["alarms"] = alarms(labels, model.centroids)
    for sentence in found["alarms"]:
        click.echo(f"collapse: {sentence}")
    if patches.labelled and len(patches) >= 2 * c.clusters:
        found |= scores(patches.kinds, labels)
        found["baselines"] = _baselines(features, patches.kinds, c.clusters, options.get("seed") or 0)
        rows = {model.zoo_name: found, **found["baselines"]}
        table(
            "agreement with the kinds (best assignment, one cluster a kind)",
            ("method", *MEASURES, *(f"recall {kind}" for kind in found["recall"])),
            [(name, *(row[m] for m in MEASURES), *row["recall"].values()) for name, row in rows.items()],
        )
    elif patches.labelled:
        click.echo(f"{len(patches)} patches are too few to compare {c.clusters} clusters with their kinds")
    else:
        click.echo("the kinds of these patches are unknown: nothing to compare the clusters with")
    _draw(patches, labels, soft, embedding, model, _plots(source, folder, options))
    return found


def _baselines(features: pd.DataFrame, kinds: np.ndarray, clusters: int, seed: int) -> dict[str, dict[str, Any]]:
    counts = {"": clusters}
    # Of more clusters than kinds some count as wrong: rivals that know the number show how much that costs.
    if (known := len(set(kinds))) != clusters:
        counts[f", {known} clusters"] = known
    return {
        f"{name}{note}": scores(kinds, labels)
        for note, k in counts.items()
        for name, labels in cluster(features, k, seed).items()
    }


def _clusters(labels: np.ndarray, soft: np.ndarray, features: pd.DataFrame, patches: Patches) -> list[dict[str, Any]]:
    rows = []
    for number in range(soft.shape[1]):
        members = labels == number
        kinds = pd.Series(np.where(patches.kinds == "", UNKNOWN, patches.kinds)[members]).value_counts()
        rows.append(
            {
                "cluster": number,
                "patches": int(members.sum()),
                "share": float(members.mean()),
                **{name: float(value) for name, value in features[members].median().items()},
                "mostly": f"{kinds.index[0]} ({kinds.iloc[0] / members.sum():.0%})" if members.any() else "",
                "sure": float(np.mean(soft[members].max(1) > 0.9)) if members.any() else float("nan"),
            }
        )
    return rows


def _row(row: dict[str, Any]) -> tuple[Any, ...]:
    wide = {"share": ".1%", "integral": ",.0f", "pixels": ",.0f", "delta": ".1f", "slimness": ".2f", "length": ".0f"}
    wide["sure"] = ".0%"
    return tuple(format(value, wide[name]) if name in wide else value for name, value in row.items())


def _plots(source: str | Path, folder: Path, options: dict[str, Any]) -> Path:
    from particle_zoo.weights import results_dir

    return Path(options.get("output") or results_dir(source, folder) / "plots")


def _draw(
    patches: Patches, labels: np.ndarray, soft: np.ndarray, embedding: np.ndarray, model: Any, plots: Path
) -> None:
    from particle_zoo.plots import clusters

    clusters.examples(patches.images, labels, soft, model.preprocessor.noise, plots / "clusters_evaluated.png")
    colours = {"cluster": labels} | ({"kind": patches.kinds} if patches.labelled else {})
    clusters.maps(embedding, colours, plots / "latent_evaluated.png")
    click.echo(f"figure: {plots / 'clusters_evaluated.png'}\nfigure: {plots / 'latent_evaluated.png'}")
