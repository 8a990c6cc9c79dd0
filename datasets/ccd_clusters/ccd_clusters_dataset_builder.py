"""`ccd_clusters`: hit lists of CCD clusters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from particle_zoo.data import ccd
from particle_zoo.data.splits import SPLITS


class Builder(tfds.core.GeneratorBasedBuilder):
    """Hit lists (row, col, energy) with id, label and energy sum; splits by cluster id.

    Args:
        manual_dir: folder with the source files of `damic_labelled` and `fits`.
        fingerprint: of these files; stored with the data. Computed where it is not given.

    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version: simulated, damic_labelled and fits."}  # noqa: RUF012
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"damic_labelled: put clusters.tar, labels/*.npy and cluster_meta.csv of {ccd.REPOSITORY} into the folder. "
        "fits: put your own *.fits frames there. simulated: needs nothing."
    )
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name="simulated", description="simulated clusters of five classes, ADU"),
        tfds.core.BuilderConfig(name="damic_labelled", description="the public hand-labelled clusters, masks"),
        tfds.core.BuilderConfig(name="fits", description="unlabelled clusters of the user's FITS frames, ADU"),
    ]

    def __init__(self, *, manual_dir: Path | None = None, fingerprint: str | None = None, **kwargs: Any) -> None:
        self._manual = manual_dir
        self._fingerprint = fingerprint
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config.name
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "hits": tfds.features.Tensor(shape=(None, 3), dtype=np.float32, encoding="zlib"),
                    "id": tfds.features.Text(),
                    # -1 where unknown, else the position in the metadata's `classes`: ClassLabel has no "unknown".
                    "label": tfds.features.Scalar(np.int64),
                    "energy_sum": tfds.features.Scalar(np.float32),
                    "source": tfds.features.Text(),
                    "position": tfds.features.Scalar(np.int64),
                }
            ),
            homepage=ccd.REPOSITORY,
            metadata=tfds.core.MetadataDict(
                columns=["row", "col", "energy"],
                classes=list(ccd.CLASSES),
                unit=ccd.UNITS[config],
                fingerprint=self._fingerprint,
            ),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        config = self.builder_config.name
        manual = self._manual
        if manual is None and config != "simulated":
            manual = Path(dl_manager.manual_dir)
        return {split: self._generate_examples(config, manual, split) for split in self._present(config, manual)}

    @staticmethod
    def _present(config: str, manual: Path | None) -> list[str]:
        # TFDS cannot write an empty split, and a handful of clusters does not fill three.
        if config == "fits":
            return list(SPLITS)
        found = {split for part in ccd.clusters(config, manual) for split in part.table["split"]}
        return [split for split in SPLITS if split in found]

    def _generate_examples(self, config: str, manual: Path | None, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        position = 0
        for part in ccd.clusters(config, manual):
            for i in np.flatnonzero((part.table["split"] == split).to_numpy()):
                row = ccd.as_row(part, int(i))
                yield str(row["id"]), {**row, "position": position + int(i)}
            position += len(part)
