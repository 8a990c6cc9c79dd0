"""Some clusters of a set, chosen as often as batches are."""

from __future__ import annotations

from functools import cached_property

import numba
import numpy as np
import pandas as pd

from particle_zoo.clusters import Clusters


class Chosen(Clusters):
    """The clusters at some places of a set; what `whole[index]` is, without looking at the table.

    Choosing rows of a table takes longer than drawing the clusters, and few preprocessors read it. It is chosen when
    somebody asks for it, so the set is kept until then: hand this on to a preprocessor, and keep `whole[index]`.

    Args:
        whole: the set.
        index: (m,) places, from 0 on, in any order.
    """

    def __init__(self, whole: Clusters, index: np.ndarray) -> None:
        hits, offsets = _gather(whole.hits, whole.offsets, index)
        hits.flags.writeable = offsets.flags.writeable = False
        own = {"hits": hits, "columns": whole.columns, "offsets": offsets, "unit": whole.unit, "_from": (whole, index)}
        self.__dict__.update(own)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a cluster."""
        whole, index = self.__dict__["_from"]
        return whole.table.iloc[index].reset_index(drop=True)


@numba.njit(cache=True, nogil=True)
def _gather(hits: np.ndarray, offsets: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hits and offsets of the clusters at some places."""
    chosen = np.empty(len(index) + 1, np.int64)
    chosen[0] = 0
    for i in range(len(index)):
        chosen[i + 1] = chosen[i] + offsets[index[i] + 1] - offsets[index[i]]
    found = np.empty((chosen[-1], hits.shape[1]), hits.dtype)
    for i in range(len(index)):
        found[chosen[i] : chosen[i + 1]] = hits[offsets[index[i]] : offsets[index[i] + 1]]
    return found, chosen
