"""The rolling shutter: which rows of a frame see an event."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from particle_zoo.simulation.optical_tpc.camera import Camera
from particle_zoo.simulation.optical_tpc.checks import check_shape, positive


@dataclass(frozen=True)
class RollingShutter:
    """Rows start one after the other and are all exposed equally long.

    An event is short; it is seen by the rows that are exposed at its time. Events come at any time between the start of the
    first row and the end of the last one. Row 0 starts first, as in CYGNUS-RD/digitizationpp, which handles the case of
    an exposure longer than the readout; here it may be shorter, too.

    Args:
        exposure_ms: of a row.
        readout_ms: between the start of the first row and that of the last.
        rows: of the sensor.

    Raises:
        InputError: a time not above 0, or no rows.
    """

    exposure_ms: float
    readout_ms: float
    rows: int

    def __post_init__(self) -> None:
        positive("exposure_ms", self.exposure_ms)
        positive("readout_ms", self.readout_ms)
        check_shape((self.rows, 1), 1)

    @classmethod
    def of(cls, camera: Camera) -> RollingShutter:
        """The shutter of a camera."""
        return cls(camera.exposure_ms, camera.readout_ms, camera.shape[0])

    @property
    def duration_ms(self) -> float:
        """From the start of the first row to the end of the last one."""
        return self.exposure_ms + self.readout_ms

    def time_ms(self, rng: np.random.Generator) -> float:
        """Draw when an event happens."""
        return float(rng.uniform(0, self.duration_ms))

    def exposed(self, time_ms: float) -> tuple[int, int]:
        """The first row that is exposed at a time, and the first one after those; all of them in between."""
        per_ms = self.rows / self.readout_ms
        first = max(0, math.floor((time_ms - self.exposure_ms) * per_ms) + 1)
        stop = min(self.rows, math.floor(time_ms * per_ms) + 1)
        return min(first, self.rows), max(stop, 0)

    def is_partial(self, time_ms: float) -> bool:
        """Whether some rows are not exposed at a time."""
        return self.exposed(time_ms) != (0, self.rows)
