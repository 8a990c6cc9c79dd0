"""`jets`: variables of reconstructed jets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from particle_zoo.data import jets as data
from particle_zoo.data.jets_source import FILES, SIMULATED, JetSource, Simulated, in_split
from particle_zoo.data.source import check_fingerprint
from particle_zoo.errors import InputError
from particle_zoo.jets import Jets
from particle_zoo.simulation.jets import COLUMNS


class Builder(tfds.core.GeneratorBasedBuilder):
    """One example a jet: its variables, its event, and its position in the source; splits by event.

    The prepared data carry the fingerprint of their source. `particle_zoo.data.jets.load_jets` keeps every state of the
    source in a folder of its own; whoever prepares through TFDS alone, in one folder, is refused data of another source.

    Args:
        manual_dir: folder with the files of `files`; by default TFDS's manual directory.
        jets: how many to simulate, instead of the published number.
        source: what to store, in place of all other settings.

    Raises:
        InputError: a number of jets below 1, or one for `files`.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version: simulated and files."}  # noqa: RUF012
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "files: put your own files of jets into the folder, and a jets.json beside them if their columns need to be named. "
        "simulated: needs nothing."
    )
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name=SIMULATED, description="simulated QCD-like jets: pt, eta, phi, m, E"),
        tfds.core.BuilderConfig(name=FILES, description="the user's own jets"),
    ]

    def __init__(
        self,
        *,
        manual_dir: Path | None = None,
        jets: int | None = None,
        source: JetSource | None = None,
        **kwargs: Any,
    ) -> None:
        self._manual, self._source = manual_dir, source
        super().__init__(**kwargs)
        if self.builder_config.name == SIMULATED and source is None:
            self._source = Simulated() if jets is None else Simulated(jets)
        elif jets is not None:
            raise InputError(f"jets sets a simulation, not {FILES}; leave it out")

    @property
    def fingerprint(self) -> str | None:
        """Of the source the data were prepared from; None before."""
        return (self.info.metadata or {}).get("fingerprint")

    def download_and_prepare(
        self, *, download_config: tfds.download.DownloadConfig | None = None, **kwargs: Any
    ) -> None:
        """As in TFDS, but data prepared from another source are not taken for these.

        Raises:
            InputError: the folder holds data of another source.
        """
        manual = download_config.manual_dir if download_config else None
        if self.is_prepared() and (self._source or self._manual or manual):
            check_fingerprint(self.data_dir, self.fingerprint, self._found(manual).fingerprint)
        super().download_and_prepare(download_config=download_config, **kwargs)

    def _found(self, manual_dir: str | Path | None) -> JetSource:
        if self._source is None:
            folder = self._manual or manual_dir
            self._source = data.source(f"{data.NAME}/{self.builder_config.name}", manual_dir=folder)
        return self._source

    def _info(self) -> tfds.core.DatasetInfo:
        columns = COLUMNS if self.builder_config.name == SIMULATED else ()
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    # As bytes: TFDS keeps plain numbers in single precision. How many variables files have, they tell later.
                    "jet": tfds.features.Tensor(shape=(len(columns) or None,), dtype=np.float64, encoding="bytes"),
                    "event": tfds.features.Scalar(np.int64),
                    "position": tfds.features.Scalar(np.int64),
                }
            ),
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(columns=list(columns), fingerprint=None),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        found = self._found(None if self._source or self._manual else dl_manager.manual_dir)
        jets = found.jets
        self.info.metadata.update(fingerprint=found.fingerprint, columns=list(jets.columns))
        names = in_split(jets)
        # TFDS cannot write an empty split, and a handful of jets does not fill three.
        return {
            split: self._generate_examples(jets, np.flatnonzero(names == split))
            for split in data.SPLITS
            if (names == split).any()
        }

    def _generate_examples(self, jets: Jets, positions: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
        assert jets.events is not None
        events = jets.events.tolist()
        for position in positions.tolist():
            yield position, {"jet": jets.values[position], "event": events[position], "position": position}
