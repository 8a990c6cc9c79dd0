"""Camera frames prepared by TFDS, read one by one: a record of its files is found by its place, without tf.data."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from particle_zoo.data.camera_source import FrameSource, announce
from particle_zoo.data.prepared import open_builder, prepare, quiet
from particle_zoo.data.source import check_fingerprint
from particle_zoo.detectors.camera import CameraFrames
from particle_zoo.detectors.camera.source import Source
from particle_zoo.errors import InputError
from particle_zoo.pipelines.ahead import ahead
from particle_zoo.simulation.optical_tpc import EVENT_COLUMNS, SimulatedFrame

TRUTH = ("signal", "drawn", "instance")
"""Stored images of a simulated frame beside its counts; empty in the splits of dark frames."""

AHEAD = 8
"""Most frames that are unpacked before they are asked for."""


def is_prepared(source: FrameSource, split: str, data_dir: str | Path | None) -> bool:
    """Whether the data set is there; it has all splits or none."""
    return bool(_builder(source, data_dir).is_prepared())


def run(source: FrameSource, split: str, data_dir: str | Path | None) -> CameraFrames:
    """The frames of a split; the data set is prepared first where it is not there.

    Raises:
        InputError: unusable source files, or a data set that is damaged or of another source.
    """
    builder = _builder(source, data_dir)
    if not builder.is_prepared():
        announce(source, source.splits, builder.data_dir)
        try:
            prepare(builder)
        except BaseException:
            _clean(Path(builder.data_dir).parents[2])
            raise
    check_fingerprint(builder.data_dir, builder.fingerprint, source.fingerprint)
    reader = partial(_frames, _Records(builder, split))
    return CameraFrames((Source(str(builder.data_dir), source.shape, source.table(split), reader),))


def truth(source: FrameSource, data_dir: str | Path | None) -> Iterator[SimulatedFrame]:
    """Yield the frames of signal of a prepared data set.

    Raises:
        InputError: a data set that is damaged or of another source.
    """
    builder = _builder(source, data_dir)
    check_fingerprint(builder.data_dir, builder.fingerprint, source.fingerprint)
    records = _Records(builder, "signal")
    for example in map(records.read, range(len(records.places))):
        counts, signal, drawn, instance = (example[name].copy() for name in ("frame", *TRUTH))
        events = events_from_json(example["events"])
        yield SimulatedFrame(counts, signal, drawn, instance, events, int(example["number"]))


def events_to_json(events: pd.DataFrame) -> str:
    """A table of events as JSON, {column: values}, in which a time that is not known is null."""
    values = events.astype(object).where(events.notna(), None)
    return json.dumps({str(name): column.tolist() for name, column in values.items()}, allow_nan=False)


def events_from_json(text: str | bytes) -> pd.DataFrame:
    """The inverse of `events_to_json`."""
    events = pd.DataFrame(json.loads(text), columns=list(EVENT_COLUMNS))
    return events.astype({"time_ms": np.float64})


class _Records:
    """The records of a split, by their place in it."""

    def __init__(self, builder: Any, split: str) -> None:
        info = builder.info.splits[split]
        self.folder, self.features = str(builder.data_dir), builder.info.features
        self.places = [(path, *place) for path in map(Path, info.filepaths) for place in _index(path)]
        if len(self.places) != info.num_examples:
            raise InputError(_damaged(self.folder, f"{len(self.places)} of {info.num_examples} frames of {split}"))

    def read(self, position: int, leave_out: Sequence[str] = ()) -> dict[str, Any]:
        """One example, without decoding some of its features."""
        import tensorflow_datasets as tfds

        skip = {name: tfds.decode.SkipDecoding() for name in leave_out if name in self.features}
        path, start, length = self.places[position]
        with path.open("rb") as file:
            file.seek(start)
            record = file.read(length)
        try:
            example: dict[str, Any] = self.features.deserialize_example_np(record, decoders=skip)
        # zlib checks what it unpacks; a parser of changed bytes raises whatever they lead it to.
        except Exception as error:
            raise InputError(_damaged(self.folder, f"frame {position} of {path.name}")) from error
        return example


def _frames(records: _Records, positions: Sequence[int]) -> Generator[np.ndarray, None, None]:
    # zlib works outside of Python's lock: some frames are unpacked while one is used.
    most = min(AHEAD, os.cpu_count() or 1)
    for example in ahead(lambda position: records.read(position, TRUTH), positions, most=most, threads=most):
        yield example["frame"]


def _index(path: Path) -> Iterator[tuple[int, int]]:
    # A TFRecord is its length (8 bytes), a checksum of that (4), its content, and a checksum of that (4).
    end, start = path.stat().st_size, 0
    with path.open("rb") as file:
        while start < end:
            file.seek(start)
            length = int.from_bytes(file.read(8), "little")
            if start + length + 16 > end:
                raise InputError(_damaged(str(path.parent), f"{path.name} ends too early"))
            yield start + 12, length
            start += length + 16


def _damaged(folder: str, what: str) -> str:
    return f"{folder} is damaged ({what}); remove the folder, and it is made anew"


def _builder(source: FrameSource, data_dir: str | Path | None) -> Any:
    with quiet():
        return open_builder("camera_frames", source.config, data_dir, source.fingerprint, source=source)


def _clean(folder: Path) -> None:
    # TFDS removes what it wrote when it fails, but for empty folders and a note about the configuration.
    if not any(path.is_file() and ".config" not in path.relative_to(folder).parts for path in folder.rglob("*")):
        shutil.rmtree(folder, ignore_errors=True)
