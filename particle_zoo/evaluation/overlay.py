"""Simulated beside real clusters: distributions and Kolmogorov-Smirnov distances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from particle_zoo.clusters import MASK_UNIT, Clusters
from particle_zoo.detectors.morphology import features
from particle_zoo.errors import InputError

QUANTITIES = {
    "size": "size",
    "energy": "energy_sum",
    "energy per pixel": "energy_sum",
    "length": "length",
    "roundness": "roundness",
}
"""What is compared, and the feature it is; the energy per pixel is the energy over the size."""

SHAPES = ("size", "height", "width", "length", "roundness", "elongation", "std_across", "fill", "inner", "border")
"""Features that need no pixel energies: all that clusters known as masks have."""


def quantities(clusters: Clusters, names: Sequence[str] = tuple(QUANTITIES)) -> pd.DataFrame:
    """The compared quantities of n clusters; without energies where none are known.

    Args:
        clusters: n clusters. Masks have the energy their table states.
        names: keys of `QUANTITIES`, or features.

    Returns:
        float64 DataFrame (n, columns).
    """
    found = features(clusters, list(dict.fromkeys(["size", *(QUANTITIES.get(name, name) for name in names)])))
    table = pd.DataFrame({name: found[QUANTITIES.get(name, name)] for name in names})
    if "energy per pixel" in table:
        table["energy per pixel"] /= found["size"]
    return table.dropna(axis="columns", how="all")


def distances(simulated: pd.DataFrame, real: pd.DataFrame) -> pd.DataFrame:
    """Kolmogorov-Smirnov distance of every column both tables have.

    Args:
        simulated: (n, k) values.
        real: (m, l) values.

    Returns:
        One row a quantity, in the order of `real`: `ks`, the largest difference of the two cumulative distributions
        (0..1); `chance`, what two samples of one distribution stay below in 95 % of cases,
        1.358 sqrt(1/n + 1/m) (Smirnov 1948); medians; the counts. Ties make `chance` conservative.

    Raises:
        InputError: one of them has no rows.
    """
    from scipy.stats import ks_2samp

    if not len(simulated) or not len(real):
        raise InputError(
            f"nothing to compare: {len(simulated)} simulated and {len(real)} real clusters; give at least one of each"
        )
    rows = []
    for name in (name for name in real if name in simulated):
        ours, theirs = (table[name].to_numpy(float) for table in (simulated, real))
        ours, theirs = ours[np.isfinite(ours)], theirs[np.isfinite(theirs)]
        if not len(ours) or not len(theirs):
            continue
        rows.append(
            {
                "quantity": name,
                "ks": float(ks_2samp(ours, theirs, method="asymp").statistic),
                "chance": 1.358 * np.sqrt(1 / len(ours) + 1 / len(theirs)),
                "median_simulated": float(np.median(ours)),
                "median_real": float(np.median(theirs)),
                "n_simulated": len(ours),
                "n_real": len(theirs),
            }
        )
    return pd.DataFrame(rows)


def as_masks(clusters: Clusters) -> Clusters:
    """The clusters without their pixel energies, to be compared with clusters that are masks."""
    hits = clusters.hits[:, :3].copy()
    hits[:, 2] = 1
    return Clusters(hits, ("row", "col", "energy"), clusters.offsets, clusters.table, MASK_UNIT)
