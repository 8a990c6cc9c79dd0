"""Regions of interest in one camera frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from particle_zoo.detectors.camera.source import size
from particle_zoo.errors import InputError

REGION_COLUMNS = {
    "row0": np.int64,
    "row1": np.int64,
    "col0": np.int64,
    "col1": np.int64,
    "n_pixels": np.int64,
    "peak": np.float64,
    "peak_row": np.int64,
    "peak_col": np.int64,
    "integral": np.float64,
    "row": np.float64,
    "col": np.float64,
}
"""Columns of `Regions.table`, all in pixels of the frame.

`row0:row1`, `col0:col1` is the smallest box around the region and `n_pixels` the size of its mask; `peak` is its highest
score, at `peak_row`, `peak_col` (the middle of a block where scores are those of blocks); `integral` is the sum of the
intensity in the mask, counts; `row`, `col` its centroid, weighted by intensity above 0 (pixel 0 is 0..1).
"""


@dataclass(frozen=True, eq=False, repr=False)
class Regions:
    """The n regions of a frame, those with most light first; there may be none.

    Args:
        table: n rows; `REGION_COLUMNS`.
        labels: (rows, cols) int32, 1 + row of the table where a pixel belongs to a region, 0 elsewhere. The mask of a
            region may have gaps, up to the merge distance of its finder.

    Raises:
        InputError: columns are missing, or labels that are not those of the table.
    """

    table: pd.DataFrame
    labels: np.ndarray

    def __post_init__(self) -> None:
        missing = [name for name in REGION_COLUMNS if name not in self.table]
        if missing:
            raise InputError(
                f"a table of regions has the columns {', '.join(REGION_COLUMNS)}; received none of the name {missing[0]}"
            )
        labels = np.asarray(self.labels, np.int32)
        if labels.ndim != 2 or not labels.size or labels.min() < 0 or labels.max() > len(self.table):
            raise InputError(
                f"labels must be rows and columns of 0..{len(self.table)}, one number a region; received {labels.shape}"
            )
        labels = labels.view()
        labels.flags.writeable = False
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "table", self.table.reset_index(drop=True))

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        return f"Regions({len(self)} in {size(self.shape)}, {1 - self.mask.mean():.2%} discarded)"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the frame."""
        return self.labels.shape[0], self.labels.shape[1]

    @property
    def mask(self) -> np.ndarray:
        """(rows, cols) bool, pixels of any region."""
        return self.labels > 0

    @property
    def boxes(self) -> np.ndarray:
        """(rows, cols) bool, pixels of any region's box."""
        inside = np.zeros(self.shape, np.bool_)
        for row0, row1, col0, col1 in self.table[["row0", "row1", "col0", "col1"]].to_numpy():
            inside[row0:row1, col0:col1] = True
        return inside
