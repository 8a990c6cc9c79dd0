"""`ccd_clusters`: hit lists of CCD clusters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from particle_zoo.data import ccd
from particle_zoo.data.source import check_fingerprint
from particle_zoo.data.splits import SPLITS
from particle_zoo.errors import InputError


class Builder(tfds.core.GeneratorBasedBuilder):
    """Hit lists (row, col, energy) with id, label and energy sum; splits by cluster id.

    The prepared data carry the fingerprint of their source files. `particle_zoo.data.load` keeps every state of the
    source in a folder of its own; whoever prepares through TFDS alone, in one folder, is refused data of another source.

    Args:
        manual_dir: folder with the source files of `damic_labelled` and `fits`; by default TFDS's manual directory,
            and where that has nothing, `damic_labelled` is downloaded.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version: simulated, damic_labelled and fits."}  # noqa: RUF012
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"damic_labelled: put clusters.tar, labels/*.npy and cluster_meta.csv of {ccd.REPOSITORY} into the folder. "
        "fits: put your own *.fits frames there. simulated: needs nothing."
    )
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name="simulated", description="simulated clusters of five classes, ADU"),
        tfds.core.BuilderConfig(name="simulated_large", description="twelve times as many of them, to train on"),
        tfds.core.BuilderConfig(name="damic_labelled", description="the public hand-labelled clusters, masks"),
        tfds.core.BuilderConfig(name="fits", description="unlabelled clusters of the user's FITS frames, ADU"),
    ]

    def __init__(self, *, manual_dir: Path | None = None, **kwargs: Any) -> None:
        self._manual = manual_dir
        super().__init__(**kwargs)

    @property
    def fingerprint(self) -> str | None:
        """Of the source files the data were prepared from; None before."""
        return (self.info.metadata or {}).get("fingerprint")

    def download_and_prepare(
        self, *, download_config: tfds.download.DownloadConfig | None = None, **kwargs: Any
    ) -> None:
        """As in TFDS, but data prepared from other source files are not taken for these.

        Raises:
            InputError: the folder holds data of another source.
        """
        manual = self._manual or (download_config.manual_dir if download_config else None)
        if manual and self.is_prepared():
            expected = ccd.fingerprint(self.builder_config.name, Path(manual))
            check_fingerprint(self.data_dir, self.fingerprint, expected, other=f"other source files than {manual}")
        super().download_and_prepare(download_config=download_config, **kwargs)

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
                columns=list(ccd.HITS),
                classes=list(ccd.CLASSES),
                unit=ccd.UNITS[config],
                fingerprint=None,
            ),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        config = self.builder_config.name
        manual = self._manual
        if manual is None and config not in ccd.SIMULATED:
            try:
                manual = Path(dl_manager.manual_dir)
            except AssertionError:  # TFDS's way to say that the folder is missing or empty
                if config != "damic_labelled":
                    raise
                manual = ccd.fetch(config, Path(dl_manager.download_dir).parent)
        self.info.metadata["fingerprint"] = ccd.fingerprint(config, manual)
        return {split: self._generate_examples(config, manual, split) for split in self._present(config, manual)}

    @staticmethod
    def _present(config: str, manual: Path | None) -> list[str]:
        # TFDS cannot write an empty split, and a handful of clusters does not fill three.
        found: set[str] = set()
        for part in ccd.clusters(config, manual):
            found.update(part.table["in_split"])
            if len(found) == len(SPLITS):
                break
        if not found:
            raise InputError(f"no clusters in {manual}; lower threshold or min_size in its {ccd.CLUSTERING}")
        return [split for split in SPLITS if split in found]

    def _generate_examples(self, config: str, manual: Path | None, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        contents = ccd.contents(config, manual)
        position = 0
        for part in ccd.clusters(config, manual):
            chosen = np.flatnonzero((part.table["in_split"] == split).to_numpy())
            for i, row in zip(chosen.tolist(), ccd.rows(part[chosen], config, contents), strict=True):
                yield row["id"], {**row, "position": position + i}
            position += len(part)
