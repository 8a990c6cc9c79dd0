"""Square patches of camera frames around regions of interest, and their preprocessing."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from particle_zoo.errors import InputError

SIZE = 100
"""Side of a patch, px: that of the patches CYGNO's first trials of deep clustering were made on."""

SCALINGS = ("sqrt", "log")

LIMIT = 400.0
"""Pixels count as so many widths of the noise at most: light of a track stays below, hot pixels do not."""

BOX = ["row0", "row1", "col0", "col1"]


def cut_patches(image: npt.ArrayLike, table: pd.DataFrame, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Patches around the centroids of the regions of one frame.

    The pixel of the centroid lies in row and column `size // 2` of its patch. What lies beyond the border of the frame is 0,
    which is the pedestal.

    Args:
        image: (rows, cols) counts above the pedestal; set pixels that do not count, such as hot ones, to 0 before.
        table: n regions as in `Regions.table`: centroids `row`, `col` (pixel 0 is 0..1) and boxes `row0:row1`, `col0:col1`.
        size: side of a patch, px.

    Returns:
        (n, size, size) float32 counts, and (n,) bool: the box of another region overlaps the patch.

    Raises:
        InputError: a missing column, a centroid outside the image, or a size that is no whole number above 0.
    """
    counts = np.asarray(image, np.float32)
    if counts.ndim != 2:
        raise InputError(f"patches are cut out of rows and columns; received an array of shape {counts.shape}")
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise InputError(f"the side of a patch must be a whole number of 1 or more px; received {size!r}")
    missing = [name for name in ("row", "col", *BOX) if name not in table]
    if missing:
        raise InputError(f"a table of regions has the columns row, col, {', '.join(BOX)}; received no {missing[0]}")
    centre = table[["row", "col"]].to_numpy(np.float64)
    inside = np.isfinite(centre).all(1) & (centre >= 0).all(1) & (centre <= counts.shape).all(1)
    if not inside.all():
        bad = centre[~inside][0]
        raise InputError(
            f"the centroid (row {bad[0]:g}, col {bad[1]:g}) lies outside the {counts.shape[0]} x {counts.shape[1]} px of the "
            "image; give the regions of this frame"
        )
    # A centroid on the far border belongs to the last pixel.
    first = np.minimum(centre.astype(np.int64), np.array(counts.shape) - 1) - size // 2
    padded = np.pad(counts, size)
    patches = np.zeros((len(table), size, size), np.float32)
    for patch, (row, col) in zip(patches, first + size, strict=True):
        patch[:] = padded[row : row + size, col : col + size]
    return patches, _several(first, size, table[BOX].to_numpy())


def _several(first: np.ndarray, size: int, boxes: np.ndarray) -> np.ndarray:
    """(n,) whether a patch overlaps the box of another region."""
    if not len(first):
        return np.zeros(0, np.bool_)
    row, col = first[:, :1], first[:, 1:]
    row0, row1, col0, col1 = boxes.T
    overlap = (row0 < row + size) & (row1 > row) & (col0 < col + size) & (col1 > col)
    np.fill_diagonal(overlap, False)
    found: np.ndarray = overlap.any(1)
    return found


@dataclass(frozen=True)
class PatchPreprocessor:
    """Turn patches in counts into images for a network; travels with the weights.

    A pixel of x widths of the noise becomes

        sqrt: sign(x) (sqrt(1 + |x|) - 1)
        log:  sign(x) ln(1 + |x|)

    with |x| up to `LIMIT`. Both compress the range of the light, keep negative fluctuations negative, so that noise
    averages out, and have a finite slope at 0, so that they do not blow it up.

    Args:
        size: side of a patch, px.
        scaling: "sqrt" or "log".
        noise: width of the noise of a pixel, counts.
    """

    LEARNED: ClassVar[frozenset[str]] = frozenset({"noise"})
    FIXED_SHAPE: ClassVar[bool] = True

    size: int = SIZE
    scaling: str = "log"
    noise: float = 1.0

    def fit(self, patches: np.ndarray) -> PatchPreprocessor:
        """A copy with the noise of these patches: 1.4826 times the median size of their pixels that are not 0.

        Most pixels of a patch are dark, and those beyond the border or masked are 0.

        Raises:
            InputError: as the call, or patches without noise.
        """
        patches = self.check(patches)
        lit = np.abs(patches[patches != 0])
        if not lit.size:
            raise InputError("all pixels of the patches are 0; give counts above the pedestal, with their noise")
        return replace(self, noise=float(1.4826 * np.median(lit)))

    def __call__(self, patches: np.ndarray) -> np.ndarray:
        """Images of n patches.

        Args:
            patches: (n, size, size) counts above the pedestal.

        Returns:
            (n, size, size, 1) float32; -19.02 to 19.02 with sqrt, -5.99 to 5.99 with log.

        Raises:
            InputError: no patches, patches of another size, or pixels that are no finite numbers.
        """
        patches = self.check(patches)
        x = np.minimum(np.abs(patches) / np.float32(self.noise), np.float32(LIMIT))
        scaled = np.log1p(x) if self.scaling == "log" else np.sqrt(1 + x) - 1
        return np.copysign(scaled, patches)[..., None]

    def check(self, patches: np.ndarray) -> np.ndarray:
        """The patches as float32, if they can be used.

        Raises:
            InputError: as the call.
        """
        patches = np.asarray(patches, np.float32)
        if patches.ndim != 3 or patches.shape[1:] != (self.size, self.size):
            raise InputError(
                f"the model takes patches of {self.size} x {self.size} px; received an array of shape {patches.shape}; cut "
                f"them with size={self.size}"
            )
        if not len(patches):
            raise InputError("no patches: received an empty array; give frames in which regions were found")
        sound = np.isfinite(patches).all((1, 2))
        if not sound.all():
            bad = int(np.flatnonzero(~sound)[0])
            raise InputError(
                f"patch {bad} holds pixels that are no finite numbers, as do {(~sound).sum() - 1} more of {len(patches)}; set "
                "dead pixels to 0 before cutting"
            )
        return patches

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PatchPreprocessor:
        """The inverse of `to_dict`."""
        return cls(**values)
