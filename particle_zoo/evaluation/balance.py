"""Cluster sizes of a data set before and after they are flattened."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from particle_zoo.cli import table
from particle_zoo.data.flat import FlatSizes
from particle_zoo.data.load import SOURCES
from particle_zoo.data.mix import Flat
from particle_zoo.data.timepix import FILES, TimepixSource
from particle_zoo.errors import InputError
from particle_zoo.pipelines.balance import size_bins
from particle_zoo.plots.sizes import before_and_after


def measure(dataset: str, output: Path, *, clusters: int | None, manual_dir: Path | None) -> dict[str, Any]:
    """Flatten a Timepix data set, print and draw the counts by size, and test that they are flat.

    Args:
        dataset: NAME/CONFIG of a Timepix data set; one that is not published flat is flattened by the defaults.
        output: PNG to write.
        clusters: number to simulate instead of the published one.
        manual_dir: the user's files, for `files`.

    Returns:
        Counts before and after by size interval, and the p-value of the chi-square test over the training split.

    Raises:
        InputError: another data set, or nothing left of it.
    """
    name, _, config = dataset.partition("/")
    source = SOURCES.get(name)
    if not isinstance(source, TimepixSource) or config not in source.CONFIGS:
        known = [f"{n}/{c}" for n, s in SOURCES.items() if isinstance(s, TimepixSource) for c in s.CONFIGS]
        raise InputError(f"sizes are flattened of {', '.join(known)}; received {dataset!r}")
    if config != FILES:
        mixed = source.mixes[config]
        changes: dict[str, Any] = {"clusters": clusters or mixed.clusters, "balanced": mixed.balanced or Flat()}
        source = dataclasses.replace(source, replaced={config: mixed.model_copy(update=changes)})
    contents = source.contents(config, manual_dir)
    flat = source.flat_sizes(config, manual_dir) or FlatSizes(Flat(), 0)
    before, after, train = [], [], []
    for part in source.every(config, manual_dir, contents):
        before.append(part.sizes)
        flat.add(part)
    for part in source.every(config, manual_dir, contents):
        kept = flat.keep(part)
        after.append(kept.sizes)
        train.append(kept.sizes[(kept.table["in_split"] == "train").to_numpy()])
    if not sum(map(len, after)):
        raise InputError(f"no interval of sizes of {dataset} has enough clusters; simulate more with --clusters")
    counts = before_and_after(np.concatenate(before), np.concatenate(after), output)
    _, in_training = np.unique(size_bins(np.concatenate(train)), return_counts=True)
    probability = float(stats.chisquare(in_training).pvalue) if len(in_training) > 1 else 1.0
    rows = [
        (f"{2**i}-{2 ** (i + 1) - 1} px", f"{a:,}", f"{b:,}")
        for i, (a, b) in enumerate(zip(counts["before"], counts["after"], strict=True))
    ]
    table(f"{dataset}: clusters by size", ("size", "before", "after"), rows)
    return {
        "dataset": dataset,
        "before": counts["before"],
        "after": counts["after"],
        "chi_square_p": probability,
        "output": str(output),
    }
