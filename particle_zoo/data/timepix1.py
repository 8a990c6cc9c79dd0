"""The source of `timepix1_clusters`."""

from __future__ import annotations

from pathlib import Path

from particle_zoo.data.timepix import TimepixSource

SOURCE = TimepixSource("timepix1_clusters", ("row", "col", "energy"), Path(__file__).with_suffix(".yaml"))
