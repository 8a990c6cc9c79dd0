"""Cluster sizes before and after they are flattened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from particle_zoo.pipelines.balance import size_bins
from particle_zoo.plots import figure


def before_and_after(
    before: npt.ArrayLike, after: npt.ArrayLike, path: Path, *, per_octave: int = 1
) -> dict[str, np.ndarray]:
    """Draw how many clusters each interval of sizes has, before and after down-sampling.

    Args:
        before: (n,) sizes, px; at least one.
        after: (m,) sizes of what was kept.
        path: PNG to write.
        per_octave: as in `particle_zoo.pipelines.balance.flatten`.

    Returns:
        The counts that were drawn: `before` and `after`, one value an interval from the smallest size on.
    """
    bins = {"before": size_bins(before, per_octave), "after": size_bins(after, per_octave)}
    last = int(bins["before"].max())
    edges = 2 ** (np.arange(last + 2) / per_octave)
    counts = {name: np.bincount(numbers, minlength=last + 1) for name, numbers in bins.items()}
    with figure(path, figsize=(6, 4.2)) as (_, axes):
        axis = axes[0, 0]
        for name, values in counts.items():
            axis.stairs(values, edges, label=f"{name}, {values.sum():,} clusters", fill=name == "after", alpha=0.7)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel("cluster size (px)")
        axis.set_ylabel("clusters an interval")
        axis.legend()
    return counts
