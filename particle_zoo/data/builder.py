"""What the TFDS builders of the Timepix data sets share."""

from __future__ import annotations

import dataclasses
import pickle
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from particle_zoo.clusters import Clusters
from particle_zoo.data import files
from particle_zoo.data.flat import FlatSizes
from particle_zoo.data.mix import Flat
from particle_zoo.data.source import Contents, check_fingerprint
from particle_zoo.data.splits import SPLITS
from particle_zoo.data.timepix import FILES, TimepixSource
from particle_zoo.errors import InputError


class TimepixBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Hit lists with id, label, energy sum and, where simulated, the truth; every primary in one split.

    The source is read or simulated once; its clusters wait on disk beside the data set until their split is written,
    so that memory does not grow with their number. With Apache Beam work items (blocks of the simulation, or files)
    run wherever the runner puts them. Both ways give the same examples.

    The prepared data carry the fingerprint of their source. `particle_zoo.data.load` keeps every state of the source in
    a folder of its own; whoever prepares through TFDS alone, in one folder, is refused data of another source.

    Args:
        manual_dir: folder with the files of `files`; by default TFDS's manual directory.
        clusters: how many to simulate, instead of the published number.
        balanced: flatten the sizes of simulated clusters, with these settings or (True) the defaults, or do not (False);
            by default as published.
        beam: prepare with Apache Beam; by default where a Beam runner or Beam options are given.

    Raises:
        InputError: a number of clusters below 1, or settings of the simulation for `files`.
    """

    SOURCE: ClassVar[TimepixSource]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "files: put your own detector files into the folder, in one sub-folder a class if they are labelled, and a "
        "clustering.json beside them if the defaults do not suit. The simulated configurations need nothing."
    )

    def __init__(
        self,
        *,
        manual_dir: Path | None = None,
        clusters: int | None = None,
        balanced: Flat | bool | None = None,
        beam: bool | None = None,
        **kwargs: Any,
    ) -> None:
        self._manual, self._beam = manual_dir, beam
        self._scratch: Path | None = None
        self._changes: dict[str, Any] = {}
        if clusters is not None:
            if clusters < 1:
                raise InputError(f"clusters is the number to simulate, 1 or more; received {clusters}")
            self._changes["clusters"] = clusters
        if balanced is not None:
            self._changes["balanced"] = Flat() if balanced is True else balanced or None
        super().__init__(**kwargs)

    @property
    def source(self) -> TimepixSource:
        """With the settings asked for."""
        config = self.builder_config.name
        if not self._changes:
            return self.SOURCE
        if config == FILES:
            raise InputError(
                f"{' and '.join(self._changes)} set a simulation, not {FILES}; leave them out, and put balanced into "
                f"the {files.CLUSTERING} of your folder"
            )
        mixed = self.SOURCE.mixes[config].model_copy(update=self._changes)
        return dataclasses.replace(self.SOURCE, replaced={config: mixed})

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
        config = self.builder_config.name
        manual = self._manual or (download_config.manual_dir if download_config else None)
        if self.is_prepared() and (manual or config != FILES):
            expected = self.source.fingerprint(config, Path(manual) if manual else None)
            check_fingerprint(self.data_dir, self.fingerprint, expected)
        if self._beam is None and download_config is not None:
            self._beam = bool(download_config.beam_runner or download_config.beam_options)
        # On the disk that has to hold the data set anyway, unless that is a store in a cloud.
        folder = None if "://" in str(self.data_dir) else Path(self.data_dir).parent
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".spool.") as scratch:
            self._scratch = Path(scratch)
            super().download_and_prepare(download_config=download_config, **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        source, config = self.source, self.builder_config.name
        contents = source.contents(config, None)
        number = {
            # As bytes: TFDS keeps plain numbers in single precision, too coarse for times.
            float: tfds.features.Tensor(shape=(), dtype=np.float64, encoding="bytes"),
            int: tfds.features.Scalar(np.int64),
            bool: tfds.features.Scalar(np.bool_),
            str: tfds.features.Text(),
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "hits": tfds.features.Tensor(
                        shape=(None, len(source.columns)), dtype=source.hit_type, encoding="zlib"
                    ),
                    **{name: number[kind] for name, kind in source.table(config).items()},
                    "position": tfds.features.Scalar(np.int64),
                }
            ),
            metadata=tfds.core.MetadataDict(
                columns=list(contents.columns), classes=list(contents.classes), unit=contents.unit, fingerprint=None
            ),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        source, config, manual = self.source, self.builder_config.name, self._manual
        if manual is None and config == FILES:
            manual = Path(dl_manager.manual_dir)
        contents = source.contents(config, manual)
        self.info.metadata.update(
            fingerprint=source.fingerprint(config, manual), unit=contents.unit, classes=list(contents.classes)
        )
        if self._beam:
            return self._beam_examples(config, manual, contents)
        spool = {split: (self._scratch or Path()) / split for split in SPLITS}
        flat = source.flat_sizes(config, manual)
        for part in source.every(config, manual, contents):
            if flat is not None:
                flat.add(part)
            for split in part.table["in_split"].unique():
                with spool[split].open("ab") as file:
                    pickle.dump(part[(part.table["in_split"] == split).to_numpy()], file)
        found = [split for split in SPLITS if spool[split].exists() and (flat is None or flat.splits[split].limits)]
        self._check(found, manual)
        return {split: self._generate_examples(spool[split], flat, contents) for split in found}

    def _beam_examples(self, config: str, manual: Path | None, contents: Contents) -> dict[str, Any]:
        try:
            from particle_zoo.data.beam import SplitExamples
        except ImportError as error:
            raise InputError(
                "preparation with Apache Beam needs the package apache-beam; install particle-zoo[build] or leave Beam out"
            ) from error
        source = self.source
        shared: dict[str, Any] = {}
        found: set[str] = set()
        for part in source.every(config, manual, contents):
            found.update(part.table["in_split"])
            if len(found) == len(SPLITS):
                break
        self._check(found, manual)
        return {
            split: SplitExamples(source, config, manual, contents, split, shared) for split in SPLITS if split in found
        }

    @staticmethod
    def _check(found: Collection[str], manual: Path | None) -> None:
        # TFDS cannot write an empty split, and a handful of clusters does not fill three.
        if not found:
            where = f"in {manual}; lower threshold or min_size in its {files.CLUSTERING}" if manual else "left"
            raise InputError(f"no clusters {where}")

    def _generate_examples(
        self, spool: Path, flat: FlatSizes | None, contents: Contents
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for part in _spooled(spool):
            kept = part if flat is None else flat.keep(part)
            yield from self.SOURCE.examples(kept, self.builder_config.name, contents)


def _spooled(path: Path) -> Iterator[Clusters]:
    with path.open("rb") as file:
        while True:
            try:
                yield pickle.load(file)
            except EOFError:
                return
