"""The source of `timepix3_clusters`."""

from __future__ import annotations

from pathlib import Path

from particle_zoo.data.timepix import TimepixSource

SOURCE = TimepixSource("timepix3_clusters", ("row", "col", "energy", "toa"), Path(__file__).with_suffix(".yaml"))
