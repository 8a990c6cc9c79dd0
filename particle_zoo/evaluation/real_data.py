"""The simulation against real files: tables, figures and what a classifier trained on simulation alone is worth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from particle_zoo.cli import table
from particle_zoo.clusters import Clusters
from particle_zoo.errors import InputError
from particle_zoo.evaluation import mixes, overlay, transfer

CLASSES = ("xray", "electron", "muon")

TIMEPIX = {
    "gamma": ("gammaRadiation*.yml.gz", mixes.GAMMA),
    "stone": ("BlackForestStone_clusters*.yml.gz", mixes.STONE),
}
"""Pattern of the file in `timepix1/` and the particles of its source."""


def compare(folder: Path, output: Path, *, n: int, seed: int) -> dict[str, Any]:
    """Compare with everything that is in the folder, print the tables and write the figures.

    Args:
        folder: with `timepix1/*.yml.gz` (mPIXdaq) and `ccd/` (the labelled layout); one of them is enough.
        output: folder of the figures.
        n: clusters simulated a component.
        seed: of everything random.

    Returns:
        The numbers of the tables.

    Raises:
        InputError: nothing to compare with.
    """
    result: dict[str, Any] = {}
    for name, path, components in _timepix_files(folder):
        result[name] = _timepix(name, path, components, output, n, seed)
    if (folder / "ccd" / "labels").is_dir():
        result["ccd"] = _ccd(folder / "ccd", output, seed)
    if not result:
        raise InputError(
            f"{folder} holds neither timepix1/*.yml.gz nor ccd/labels; name the folder with the real files by --data"
        )
    return result


def _timepix_files(folder: Path) -> Iterator[tuple[str, Path, tuple[mixes.Component, ...]]]:
    for name, (pattern, components) in TIMEPIX.items():
        for path in sorted((folder / "timepix1").glob(pattern))[:1]:
            yield name, path, components


def _timepix(
    name: str, path: Path, components: tuple[mixes.Component, ...], output: Path, n: int, seed: int
) -> dict[str, Any]:
    from particle_zoo.detectors.chain import iter_clusters

    real = Clusters.concat(iter_clusters(path))
    simulated, shares = mixes.mixture(real, components, preset="timepix_300um", n=n, seed=seed)
    table(
        f"{path.name}: shares of clusters fitted to its energy spectrum",
        ("component", "share"),
        [(component, share) for component, share in shares.items()],
    )
    found = _overlay(name, path.name, simulated, real, output)
    return {"shares": shares, "distances": found.to_dict("records")}


def _overlay(
    name: str, title: str, simulated: Clusters, real: Clusters, output: Path, unit: str = "keV"
) -> pd.DataFrame:
    from particle_zoo.plots.overlay import histograms

    ours, theirs = overlay.quantities(simulated), overlay.quantities(real)
    found = overlay.distances(ours, theirs)
    table(
        f"{title}: {len(simulated):,} simulated, {len(real):,} real",
        ("quantity", "KS distance", "by chance (95 %)", "median simulated", "median real"),
        list(found[["quantity", "ks", "chance", "median_simulated", "median_real"]].itertuples(index=False, name=None)),
    )
    path = output / f"overlay_{name}.png"
    histograms(ours, theirs, found, path, title=title, unit=unit)
    click.echo(f"figure: {path}")
    return found


def _ccd(folder: Path, output: Path, seed: int) -> dict[str, Any]:
    from particle_zoo import data
    from particle_zoo.detectors.readers import ccd
    from particle_zoo.plots.overlay import histograms

    real = ccd.read_labelled(folder)
    simulated = overlay.as_masks(data.load("ccd_clusters/simulated", "all", use_tfds=False))
    result: dict[str, Any] = {}
    mixed = _in_the_shares_of(simulated, real, np.random.default_rng(seed))
    title = "CCD, in the class shares of the labels"
    result["distances"] = _overlay("ccd", title, mixed, real, output, "ADU").to_dict("records")

    by_class = transfer.shape_distances(simulated, real, CLASSES)
    columns = ["label", "quantity", "ks", "chance", "median_simulated", "median_real"]
    table(
        "shape of CCD clusters, class by class",
        ("class", "feature", "KS distance", "by chance (95 %)", "median simulated", "median real"),
        list(by_class[columns].itertuples(index=False, name=None)),
    )
    result["by_class"] = by_class.to_dict("records")
    for name in CLASSES:
        ours, theirs = (overlay.quantities(part[part.labels == name], overlay.SHAPES) for part in (simulated, real))
        path = output / f"overlay_ccd_{name}.png"
        histograms(ours, theirs, by_class[by_class["label"] == name], path, title=f"CCD: {name}")
        click.echo(f"figure: {path}")

    result["transfer"] = transfer.scores(simulated, real, CLASSES, seed)
    table(
        f"scored on {next(iter(result['transfer'].values()))['n']} real CCD clusters of three classes",
        ("method, chosen on", "accuracy", "balanced accuracy", *(f"recall {name}" for name in CLASSES)),
        [
            (method, found["accuracy"], found["balanced_accuracy"], *(found["recall"][name] for name in CLASSES))
            for method, found in result["transfer"].items()
        ],
    )
    return result


def _in_the_shares_of(simulated: Clusters, real: Clusters, rng: np.random.Generator) -> Clusters:
    """As many simulated clusters as possible with the class shares of the real ones."""
    names, counts = np.unique(real.labels, return_counts=True)
    members = {name: np.flatnonzero(simulated.labels == name) for name in names}
    scale = min(len(members[name]) / count for name, count in zip(names, counts, strict=True) if len(members[name]))
    chosen = [
        rng.choice(members[name], int(scale * count), replace=False)
        for name, count in zip(names, counts, strict=True)
        if len(members[name])
    ]
    return simulated[np.sort(np.concatenate(chosen))]
