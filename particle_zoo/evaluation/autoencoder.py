"""Everything `python -m particle_zoo.evaluate` says of an autoencoder of Timepix clusters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from particle_zoo.cli import table, tell_averaged
from particle_zoo.clusters import Clusters
from particle_zoo.detectors.holy import classify
from particle_zoo.evaluation import latent, probe_tracks, reconstruction
from particle_zoo.evaluation.batches import averaged
from particle_zoo.evaluation.correlations import LONGER_PX, track_truth
from particle_zoo.evaluation.embedding import direction
from particle_zoo.evaluation.image_pca import ImagePCA, enlarged
from particle_zoo.plots.reconstruction import by_track_type

MEASURES = {
    "error": "energy error",
    "iou": "mask IoU",
    "enlarged_iou": "enlarged mask IoU",
    "over_iou": "over-threshold IoU",
    "sharpness": "sharpness",
    "sharpness_masked": "sharpness inside the mask",
}
"""Names of the measures of `reconstruction.score` on the terminal."""

STRAIGHT = ("straight track", "heavy track")

PROBED = 2000
"""Most tracks probed: their latent vectors are computed by three models."""


def report(
    model: Any, clusters: Clusters, train: Clusters, untrained: Any, plots: Path, seed: int = 0
) -> dict[str, Any]:
    """Score reconstructions beside PCA and an empty image, probe the latent vector, draw the figure; prints tables.

    Args:
        model: an autoencoder.
        clusters: held-out clusters.
        train: training clusters, for the PCA.
        untrained: the same model with random weights; None leaves it out of the probe.
        plots: folder of the figure.
        seed: of the clusters the PCA sees and of the folds.
    """
    kinds = classify(clusters)
    width = np.asarray(model.encode(model.preprocess(clusters[:1]))).shape[1]
    pca = ImagePCA.of(model, train, width, seed=seed)
    found = reconstruction.rows(model, clusters, pca)
    methods = {name: reconstruction.summary(rows, kinds) for name, rows in found.items()}
    seen = _decoder_sees(model, width)
    _print(methods, pca, width, seen)
    tell_averaged(averaged(model, clusters))
    by_track_type(model, clusters, kinds, plots / "reconstructions_by_type.png")
    click.echo(f"figure: {plots / 'reconstructions_by_type.png'}")
    return {
        "methods": methods,
        "latent": width,
        "decoder_sees": seen,
        "pca": {"components": pca.components, "clusters": pca.clusters},
        "probe": _probe(model, untrained, pca, clusters, seed),
    }


def compare(
    model: Any, other: Any, names: tuple[str, str], clusters: Clusters, ours: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Score two autoencoders on the same clusters and print them side by side; returns a summary by name.

    Args:
        model: an autoencoder.
        other: another one, for instance without mask heads.
        names: what to call them.
        clusters: held-out clusters.
        ours: summary of the first where it is known already.
    """
    kinds = classify(clusters)
    pair = []
    for one, known in ((model, ours), (other, None)):
        if known is None:
            (rows,) = reconstruction.rows(one, clusters).values()
            known = reconstruction.summary(rows, kinds)
        pair.append(known)
    table(
        f"the same {len(clusters)} clusters, {pair[0]['thin_tracks']} and {pair[1]['thin_tracks']} thin tracks",
        ("measure", *names),
        [(title, *(_cell(part[key]) for part in pair)) for key, title in MEASURES.items()],
    )
    table(
        "mask IoU by track type",
        ("track type", "clusters", *names),
        [
            (kind, part["n"], _cell(part["iou"]), _cell(pair[1]["by_type"][kind]["iou"]))
            for kind, part in pair[0]["by_type"].items()
        ],
    )
    return dict(zip(("first", "second"), ({"run": n, **p} for n, p in zip(names, pair, strict=True)), strict=True))


def _decoder_sees(model: Any, latent_size: int) -> int:
    """Values between encoder and decoder: the latent vector, or with latent=pool the whole map it is the mean of."""
    if getattr(model.zoo_config, "latent", None) != "pool":
        return latent_size
    return int(np.prod(model.encoder.output.shape[1:]))


def _print(methods: dict[str, dict[str, Any]], pca: ImagePCA, width: int, seen: int) -> None:
    first = next(iter(methods.values()))
    table(
        f"reconstruction of {first['n']} clusters, sharpness of {first['thin_tracks']} thin straight tracks",
        ("method", *MEASURES.values()),
        [(name, *(_cell(part[key]) for key in MEASURES)) for name, part in methods.items()],
    )
    columns = [(name, key) for key in ("error", "iou") for name in methods if name != "all zero"]
    table(
        "by track type",
        ("track type", "clusters", *(f"{name}: {MEASURES[key]}" for name, key in columns)),
        [
            (kind, part["n"], *(_cell(methods[name]["by_type"][kind][key]) for name, key in columns))
            for kind, part in first["by_type"].items()
        ],
    )
    click.echo(f"PCA: {pca.components} components of {pca.clusters} training clusters, on the pixels the encoder sees")
    if seen != width:
        click.echo(
            f"the decoder sees {seen:,} values, of which the latent vector keeps {width:,} means; PCA has those only"
        )


def _probe(model: Any, untrained: Any, pca: ImagePCA, clusters: Clusters, seed: int) -> dict[str, Any] | None:
    truth = track_truth(clusters, direction(clusters))
    chosen = np.flatnonzero(probe_tracks.tracks(clusters, truth, LONGER_PX))
    if len(chosen) > PROBED:
        chosen = np.sort(np.random.default_rng(seed).permutation(chosen)[:PROBED])
    if len(chosen) < probe_tracks.FEWEST:
        click.echo(f"{len(chosen)} tracks of more than {LONGER_PX} px: too few to probe the latent vector with")
        return None
    some = clusters[chosen]
    vectors = {model.zoo_name: latent.latents(model, some)}
    if untrained is not None:
        vectors[f"{model.zoo_name}, random weights"] = latent.latents(untrained, some)
    vectors["PCA"] = np.concatenate([pca.encode(images) for _, _, images in enlarged(model, some)])
    factors = np.asarray(model.factors(some), float)
    found = probe_tracks.compare(vectors, truth.iloc[chosen], factors, seed)
    columns = ["representation", "length R2", "beyond the enlargement", "angle, median error (deg)", "mean (deg)"]
    if "phi" in some.table:
        # Straight tracks keep the direction of their particle, electrons that scatter do not.
        kept = np.isin(classify(some), STRAIGHT) & truth["angle"].iloc[chosen].notna().to_numpy()
        azimuth = truth.iloc[chosen].assign(angle=np.where(kept, some.table["phi"].to_numpy(float) % 180, np.nan))
        for name, row in probe_tracks.compare(vectors, azimuth, factors, seed).items():
            found[name] |= {f"azimuth_{key}": row[f"angle_{key}"] for key in ("median", "mean", "n")}
        columns += ["simulated azimuth, median", "mean (deg)"]
    one = next(iter(found.values()))
    table(
        f"linear probe of {len(chosen)} tracks of more than {LONGER_PX} px, {one['angle_n']} of them with an angle"
        + (f", {one['azimuth_n']} straight ones" if "azimuth_n" in one else ""),
        tuple(columns),
        [
            (
                name, row["length_r2"], row["length_beyond"],
                *(_cell(row[key]) for key in ("angle_median", "angle_mean", "azimuth_median", "azimuth_mean") if key in row),
            )
            for name, row in found.items()
        ],
    )  # fmt: skip
    return found


def _cell(value: float | None) -> float | str:
    return "-" if value is None or np.isnan(value) else float(value)
