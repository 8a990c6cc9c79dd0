"""`camera_frames`: frames of a scientific CMOS camera on an optical time projection chamber."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from particle_zoo.data import camera
from particle_zoo.data.camera_files import EXPECTED, FILES
from particle_zoo.data.camera_prepared import TRUTH, events_to_json
from particle_zoo.data.camera_source import FrameSource, counts_of, told
from particle_zoo.data.source import check_fingerprint
from particle_zoo.simulation.optical_tpc import SimulatedFrame

KEYS = 2**128
"""TFDS sorts each 1/1000 of this range of keys by itself, so that keys spread over it need little memory."""


class Builder(tfds.core.GeneratorBasedBuilder):
    """Frames with number and id; simulated ones with light have their truth too.

    The prepared data carry the fingerprint of their source. `particle_zoo.data.camera.load_frames` keeps every state of
    the source in a folder of its own; whoever prepares through TFDS alone, in one folder, is refused data of another
    source. Memory does not grow with the number of frames, beyond the gigabyte that TFDS collects before it uses the disk.

    Args:
        manual_dir: folder with the files of `files`; by default TFDS's manual directory.
        source: what to store, in place of all other settings.
        kwargs: those of TFDS, and of simulated frames preset, level, seed, shape, events_per_frame, energies_kev,
            signal_run and frames; see `particle_zoo.data.camera.load_frames`.

    Raises:
        InputError: a setting that cannot be, or one of the simulation for `files`.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}  # noqa: RUF012
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"files: {EXPECTED}. The simulated configurations need nothing."
    BUILDER_CONFIGS = [  # noqa: RUF012
        tfds.core.BuilderConfig(name="simulated_realistic", description="with the noise and the shutter of a camera"),
        tfds.core.BuilderConfig(name="simulated_white", description="with Gaussian noise alone"),
        tfds.core.BuilderConfig(name="simulated_ecdf", description="with noise drawn pixel by pixel from a dark run"),
        tfds.core.BuilderConfig(name=FILES, description="the user's own frames of any format"),
    ]

    def __init__(self, *, manual_dir: Path | None = None, source: FrameSource | None = None, **kwargs: Any) -> None:
        self._manual, self._source = manual_dir, source
        self._overrides = {name: kwargs.pop(name) for name in camera.OVERRIDES if name in kwargs}
        super().__init__(**kwargs)

    @property
    def fingerprint(self) -> str | None:
        """Of the source the data were prepared from; None before."""
        return (self.info.metadata or {}).get("fingerprint")

    def source(self, manual_dir: Path | None = None) -> FrameSource:
        """What is stored; the folder is that of `files`, where the builder was not told one.

        Raises:
            InputError: unusable files.
        """
        if self._source is None:
            folder = self._manual or manual_dir
            self._source = camera.source(
                f"{camera.NAME}/{self.builder_config.name}", manual_dir=folder, **self._overrides
            )
        return self._source

    def download_and_prepare(
        self, *, download_config: tfds.download.DownloadConfig | None = None, **kwargs: Any
    ) -> None:
        """As in TFDS, but data prepared from another source are not taken for these.

        Raises:
            InputError: the folder holds data of another source.
        """
        manual = self._manual or (download_config.manual_dir if download_config else None)
        if self.is_prepared() and (self._source or manual or self.builder_config.name != FILES):
            expected = self.source(Path(manual) if manual else None).fingerprint
            check_fingerprint(self.data_dir, self.fingerprint, expected)
        super().download_and_prepare(download_config=download_config, **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        simulated = self.builder_config.name != FILES
        # Settings of a simulation are refused here too.
        shape = self.source().shape if simulated or self._overrides else (None, None)
        features: dict[str, Any] = {
            "frame": _packed(shape, np.uint16),
            "number": tfds.features.Scalar(np.int64),
            "id": tfds.features.Text(),
            "source": tfds.features.Text(),
        }
        if simulated:
            kinds = dict(zip(TRUTH, (np.float32, np.int32, np.int32), strict=True))
            # Of no size in dark frames: all splits have the same features.
            features |= {name: _packed((None, None), kind) for name, kind in kinds.items()}
            features["events"] = tfds.features.Text()
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(fingerprint=None),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        known = self._source or self._manual or self.builder_config.name != FILES
        source = self.source(None if known else Path(dl_manager.manual_dir))
        self.info.metadata["fingerprint"] = source.fingerprint
        return {split: self._generate_examples(source, split) for split in source.splits}

    def _generate_examples(self, source: FrameSource, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        rows: list[dict[str, Any]] = source.table(split).to_dict("records")  # type: ignore[assignment]
        frames = told(source.frames(split), split, len(rows))
        for place, (row, frame) in enumerate(zip(rows, frames, strict=True)):
            example = {"frame": counts_of(frame), "number": row["frame"], "id": row["id"], "source": row["source"]}
            if "events" in self.info.features:
                example |= _truth(frame)
            yield place * (KEYS // len(rows)), example


def _truth(frame: np.ndarray | SimulatedFrame) -> dict[str, Any]:
    if isinstance(frame, SimulatedFrame):
        return {name: getattr(frame, name) for name in TRUTH} | {"events": events_to_json(frame.events)}
    return {name: np.zeros((0, 0)) for name in TRUTH} | {"events": "{}"}


def _packed(shape: tuple[int | None, ...], dtype: Any) -> tfds.features.Tensor:
    feature = tfds.features.Tensor(shape=shape, dtype=dtype, encoding="zlib")

    def encode(image: np.ndarray) -> Any:
        # TFDS packs at zlib's level 6: on noise 18 times slower than at level 1, for 6 % less.
        value = zlib.compress(image.astype(dtype).tobytes(), 1)
        return {"shape": image.shape, "value": value} if shape.count(None) > 1 else value

    # On the object, not in a class of its own: the description in the data set then names what TFDS itself can read.
    feature.encode_example = encode
    return feature
