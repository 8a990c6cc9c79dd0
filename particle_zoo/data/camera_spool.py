"""Simulated camera frames without TFDS: one .npy file a split, mapped into memory when frames are asked for."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from particle_zoo.cli import replacing
from particle_zoo.data.camera_source import FrameSource, announce, counts_of, told
from particle_zoo.detectors.camera import CameraFrames
from particle_zoo.detectors.camera.formats.numpy_files import npy_sources
from particle_zoo.errors import InputError


def is_prepared(source: FrameSource, split: str, data_dir: str | Path | None) -> bool:
    """Whether the file of a split is there."""
    return _path(source, split, data_dir).exists()


def run(source: FrameSource, split: str, data_dir: str | Path | None) -> CameraFrames:
    """The frames of a split, from its file, which is written first where there is none.

    Raises:
        InputError: a damaged file.
    """
    path = _path(source, split, data_dir)
    table = source.table(split)
    if not path.exists():
        _write(path, source, split)
    try:
        (stored,) = npy_sources(path)
        if stored.shape != source.shape or len(stored.table) != len(table):
            raise InputError(f"{path} holds other frames than those of {source.config}")
    except InputError as error:
        raise InputError(f"{error}; remove the file, and it is made anew") from error
    return CameraFrames((replace(stored, table=table),))


def _path(source: FrameSource, split: str, data_dir: str | Path | None) -> Path:
    root = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets")
    return root / f"source-{source.fingerprint}" / "camera_frames" / f"{source.config}-{split}.npy"


def _write(path: Path, source: FrameSource, split: str) -> None:
    shape = (len(source.table(split)), *source.shape)
    announce(source, (split,), path)
    # Written, not mapped: a full disk is then an error and no crash.
    with replacing(path) as temporary, temporary.open("wb") as file:
        header = {"descr": "<u2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for frame in told(source.frames(split), split, shape[0]):
            file.write(counts_of(frame).astype("<u2").tobytes())
