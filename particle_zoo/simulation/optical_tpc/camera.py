"""A scientific CMOS camera that looks at the GEM plane of an optical TPC."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from particle_zoo.errors import InputError
from particle_zoo.simulation.optical_tpc.checks import check_shape, positive

SMALLEST = 8
"""Least rows and columns of a frame; the narrowest spots are wider than a third of it."""


@dataclass(frozen=True)
class Camera:
    """Sensor, optics and readout.

    Coordinates on the GEM plane are mm from the middle of the sensor, x along columns and y along rows, both growing with
    the index; pixel (row, col) covers [row, row + 1) x [col, col + 1).

    Args:
        name: as in `presets.yaml`.
        shape: rows and columns.
        field_height_mm: what all rows see of the GEM plane.
        sensor_height_mm: height of the sensor itself.
        electrons_per_count: photo-electrons of one count.
        quantum_efficiency: photo-electrons a photon, above 0 to 1.
        pedestal_counts: mean of a dark pixel.
        read_noise_counts: most frequent RMS of a dark pixel.
        exposure_ms: of a row.
        readout_ms: between the start of the first row and that of the last.
        corner: light that vignetting leaves in the corners, above 0 to 1.

    Raises:
        InputError: a value without physical meaning.
    """

    name: str
    shape: tuple[int, int]
    field_height_mm: float
    sensor_height_mm: float
    electrons_per_count: float
    quantum_efficiency: float
    pedestal_counts: float
    read_noise_counts: float
    exposure_ms: float
    readout_ms: float
    corner: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", check_shape(self.shape, SMALLEST))
        for name in (
            "field_height_mm",
            "sensor_height_mm",
            "electrons_per_count",
            "quantum_efficiency",
            "pedestal_counts",
            "read_noise_counts",
            "exposure_ms",
            "readout_ms",
            "corner",
        ):
            positive(name, getattr(self, name), 1.0 if name in ("quantum_efficiency", "corner") else 1e6)

    @property
    def pitch_mm(self) -> float:
        """Side of a pixel on the GEM plane."""
        return self.field_height_mm / self.shape[0]

    @property
    def demagnification(self) -> float:
        """Field over sensor."""
        return self.field_height_mm / self.sensor_height_mm

    def crop(self, shape: tuple[int, int] | None) -> tuple[tuple[int, int], tuple[int, int]]:
        """A part of the sensor around its middle.

        Args:
            shape: rows and columns, or None for all.

        Returns:
            Rows and columns of the part, and the row and column of the sensor where it begins.

        Raises:
            InputError: a part that is tiny or larger than the sensor.
        """
        if shape is None:
            return self.shape, (0, 0)
        rows, cols = check_shape(shape, SMALLEST)
        if rows > self.shape[0] or cols > self.shape[1]:
            raise InputError(
                f"shape must fit into the {self.shape[0]} x {self.shape[1]} px of {self.name}; received {rows} x {cols}"
            )
        return (rows, cols), ((self.shape[0] - rows) // 2, (self.shape[1] - cols) // 2)

    def vignetting(self, shape: tuple[int, int] | None = None) -> np.ndarray:
        """Share of the light that reaches each pixel.

        1 - (1 - corner) (r / half diagonal)^2 goes through the three values of LIME's map (runs 3930-3932 of
        CYGNUS-RD/digitizationpp): 1.00 in the middle, 0.63 at the middle of an edge, 0.26 in a corner.

        Args:
            shape: of a part around the middle; all by default.

        Returns:
            (rows, cols) float32.
        """
        (rows, cols), (row, col) = self.crop(shape)
        y = (np.arange(row, row + rows) + 0.5 - self.shape[0] / 2)[:, None]
        x = (np.arange(col, col + cols) + 0.5 - self.shape[1] / 2)[None]
        half = (self.shape[0] ** 2 + self.shape[1] ** 2) / 4
        return (1 - (1 - self.corner) * (x**2 + y**2) / half).astype(np.float32)
