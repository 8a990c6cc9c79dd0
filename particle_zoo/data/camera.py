"""Camera frames by name: dark ones to train, calibrate and judge on, and ones with light; simulated, or the user's own."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from particle_zoo.data.camera_files import FILES, UserFiles
from particle_zoo.data.camera_simulated import OVERRIDES, Simulated
from particle_zoo.data.camera_source import SPLITS, FrameSource
from particle_zoo.data.installed import tfds_usable
from particle_zoo.detectors.camera import CameraFrames
from particle_zoo.errors import InputError
from particle_zoo.simulation.optical_tpc import SimulatedFrame
from particle_zoo.simulation.optical_tpc.checks import whole

NAME = "camera_frames"
"""Of the data set."""

CONFIGS = ("simulated_realistic", "simulated_white", "simulated_ecdf", FILES)
"""Names of the configurations; the first is what the name without configuration means."""

__all__ = ["CONFIGS", "NAME", "OVERRIDES", "SPLITS", "fingerprint", "load_frames", "load_truth", "parse", "source"]


def load_frames(
    dataset: str,
    split: str,
    *,
    data_dir: str | Path | None = None,
    manual_dir: str | Path | None = None,
    limit: int | None = None,
    use_tfds: bool | None = None,
    **overrides: Any,
) -> CameraFrames:
    """The frames of a split, in order, read when they are asked for.

    Simulated ones are made once, which takes minutes at full size, and then read from `data_dir`: with TFDS the whole
    set at once, without it one .npy file a split. Both hold the same frames. With a limit, where the set is not there
    yet, only the frames asked for are made.

    The table has `frame` (number in the run of a simulation, or in the file), `source` and `id`, which no two frames of
    a data set share.

    Args:
        dataset: camera_frames or camera_frames/CONFIG.
        split: pedestal_train, pedestal_calibration, pedestal_test or signal.
        data_dir: where prepared data are kept; TFDS's default without it. Every state of a source has a folder of its
            own in it.
        manual_dir: folder with the user's files, of `files`.
        limit: the first so many.
        use_tfds: prepare and read through TFDS; by default where it and TensorFlow are installed. The user's own files are by default
            read where they are.
        overrides: of simulated ones: preset, level, seed, shape (rows, cols), events_per_frame, energies_kev,
            signal_run, and frames, a number of frames for each split that is to have fewer than published.

    Raises:
        InputError: unknown names, a setting that cannot be, unusable files, or no such split in them.
    """
    found = source(dataset, manual_dir=manual_dir, **overrides)
    _check_split(found, dataset, split)
    limit = None if limit is None else whole("limit", limit, 1)
    if isinstance(found, UserFiles) and not use_tfds:
        return found.run(split)[:limit]
    store = _store(use_tfds)
    if limit is not None and isinstance(found, Simulated) and not store.is_prepared(found, split, data_dir):
        found = found.only(split, limit)
    return store.run(found, split, data_dir)[:limit]


def load_truth(
    dataset: str,
    *,
    data_dir: str | Path | None = None,
    manual_dir: str | Path | None = None,
    limit: int | None = None,
    use_tfds: bool | None = None,
    **overrides: Any,
) -> Iterator[SimulatedFrame]:
    """Yield the frames of the split signal with their truth, one in memory at a time.

    They are read where `load_frames` prepared the set through TFDS, and otherwise simulated again, with the same result.

    Args:
        dataset: camera_frames or camera_frames/CONFIG.
        data_dir: as in `load_frames`.
        manual_dir: as in `load_frames`.
        limit: the first so many.
        use_tfds: read what TFDS prepared; by default where it and TensorFlow are installed.
        overrides: as in `load_frames`.

    Raises:
        InputError: as `load_frames`, or files, of which nobody knows the truth.
    """
    found = source(dataset, manual_dir=manual_dir, **overrides)
    limit = None if limit is None else whole("limit", limit, 1)
    if not isinstance(found, Simulated):
        raise InputError(f"{dataset} has no truth, only simulated frames have; take {NAME}/{CONFIGS[0]}")
    _check_split(found, dataset, "signal")
    store = _store(use_tfds)
    if hasattr(store, "truth") and store.is_prepared(found, "signal", data_dir):
        return islice(store.truth(found, data_dir), limit)
    return islice(found.truth(), limit)


def fingerprint(
    dataset: str, *, data_dir: str | Path | None = None, manual_dir: str | Path | None = None, **overrides: Any
) -> str:
    """Hex digest of the source files of a data set, or of everything its simulation depends on.

    Args:
        dataset: camera_frames or camera_frames/CONFIG.
        data_dir: not used; prepared data do not change what their source is.
        manual_dir: as in `load_frames`.
        overrides: as in `load_frames`.

    Raises:
        InputError: as `load_frames`.
    """
    return source(dataset, manual_dir=manual_dir, **overrides).fingerprint


def source(dataset: str, *, manual_dir: str | Path | None = None, **overrides: Any) -> FrameSource:
    """What a data set is made from; says which splits it has, without making or reading any frame.

    Args:
        dataset: camera_frames or camera_frames/CONFIG.
        manual_dir: as in `load_frames`.
        overrides: as in `load_frames`.

    Raises:
        InputError: as `load_frames`.
    """
    config = parse(dataset)
    if config != FILES:
        return Simulated.of(config, **overrides)
    if overrides:
        raise InputError(f"{min(overrides)} sets a simulation, not {NAME}/{FILES}; leave it out")
    return UserFiles.of(None if manual_dir is None else Path(manual_dir))


def parse(dataset: str) -> str:
    """The configuration that NAME or NAME/CONFIG means.

    Raises:
        InputError: an unknown data set or configuration.
    """
    name, _, config = dataset.partition("/")
    if name != NAME:
        raise InputError(f"unknown data set of camera frames {name!r}; there is {NAME}")
    config = config or CONFIGS[0]
    if config not in CONFIGS:
        raise InputError(f"{NAME} has no configuration {config!r}; there is {', '.join(CONFIGS)}")
    return config


def _check_split(found: FrameSource, dataset: str, split: str) -> None:
    if split not in SPLITS:
        raise InputError(f"{NAME} has no split {split!r}; there is {', '.join(SPLITS)}")
    if split not in found.splits:
        raise InputError(f"{dataset} has no frames in {split}, only in {', '.join(found.splits)}; give it some")


def _store(use_tfds: bool | None) -> ModuleType:
    if use_tfds is None:
        use_tfds = tfds_usable()
    # The one imports TensorFlow.
    return importlib.import_module(f"particle_zoo.data.camera_{'prepared' if use_tfds else 'spool'}")
