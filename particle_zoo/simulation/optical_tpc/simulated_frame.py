"""A camera frame with its truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from particle_zoo.errors import InputError

EVENT_COLUMNS = (
    "id",
    "class",
    "energy_kev",
    "x_mm",
    "y_mm",
    "z_mm",
    "row",
    "col",
    "electrons",
    "time_ms",
    "integral_before",
    "integral_after",
    "cut",
)
"""Columns of `SimulatedFrame.events`.

`id` counts from 1 in each frame; `energy_kev` is that of all deposits; `x_mm`, `y_mm` (from the middle of the sensor),
`z_mm` (drift) and `row`, `col` (pixel 0 is 0..1) are their mean, weighted by energy; `electrons` reached the first GEM;
`time_ms` counts from the start of the first row, NaN without shutter; the integrals are drawn counts before and after the
shutter, and `cut` says that it took some.
"""


@dataclass(frozen=True, eq=False)
class SimulatedFrame:
    """One frame and what is in it, after the rolling shutter.

    Args:
        counts: (rows, cols) uint16, what the camera gives.
        signal: (rows, cols) float32, mean counts of light without pedestal: of the electrons that were drawn, before photons
            are drawn and counts are cut to whole numbers. Where few photons arrive the cut takes up to a count of a pixel, so
            `drawn` is smaller by some per cent.
        drawn: (rows, cols) int32, counts of light in `counts`.
        instance: (rows, cols) int32, id of the event with the most light (`signal`) in a pixel, 0 where there is none.
            It reaches to the last electron; combine it with a mask.
        events: one row an event; `EVENT_COLUMNS`.
        number: of the frame in its run.
    """

    counts: np.ndarray
    signal: np.ndarray
    drawn: np.ndarray
    instance: np.ndarray
    events: pd.DataFrame
    number: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.counts.shape[0], self.counts.shape[1]

    def mask(self, sigma: npt.ArrayLike, factor: float = 0.5) -> np.ndarray:
        """Truth as pixels that stand out: the signal is above half a width of the pixel's noise.

        Args:
            sigma: width of the noise, one number or (rows, cols) counts.
            factor: in widths.

        Returns:
            (rows, cols) bool.

        Raises:
            InputError: a width that is not above 0, or of another shape.
        """
        width = np.asarray(sigma, np.float32)
        if width.shape not in ((), self.shape) or not (width > 0).all():
            raise InputError(f"sigma must be counts above 0, one or {self.shape}; received shape {width.shape}")
        above: np.ndarray = self.signal > factor * width
        return above

    def any_count(self) -> np.ndarray:
        """Truth as in `redpix` of CYGNUS-RD/digitizationpp: (rows, cols) bool, a photon was counted."""
        lit: np.ndarray = self.drawn > 0
        return lit
