"""`timepix3_clusters`: hit lists of Timepix3 clusters."""

from __future__ import annotations

import tensorflow_datasets as tfds

from particle_zoo.data.builder import TimepixBuilder
from particle_zoo.data.timepix3 import SOURCE


class Builder(TimepixBuilder):
    """See `particle_zoo.data.builder.TimepixBuilder`."""

    SOURCE = SOURCE
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}  # noqa: RUF012
    BUILDER_CONFIGS = [  # noqa: RUF012
        *(tfds.core.BuilderConfig(name=name, description=mix.description) for name, mix in SOURCE.mixes.items()),
        tfds.core.BuilderConfig(name="files", description="clusters of the user's own files of any format"),
    ]
