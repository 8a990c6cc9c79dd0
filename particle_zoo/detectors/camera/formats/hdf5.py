"""Frames in HDF5: one file a frame (dataset `Image`), one dataset a frame (`pic` in its name), or one dataset `images`."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.detectors.camera.source import Source, check_size, frame_table, reading
from particle_zoo.detectors.readers.format import Format
from particle_zoo.errors import InputError

MAGIC = b"\x89HDF\r\n\x1a\n"

STACKS = ("Image", "images")

Entry = tuple[str, int | None]
"""Dataset and, in one of three dimensions, the image in it."""


def sources(path: Path, *, dataset: str | None = None) -> Iterator[Source]:
    """Yield the frames of a file.

    Args:
        path: the file.
        dataset: name of the dataset with the frames, (rows, cols) or (n, rows, cols); by default `Image`, `images`, or
            all with `pic` in their names, in the order of the last number in it (the event).

    Raises:
        InputError: damaged, without such a dataset, or with datasets of another dimension.
    """
    import h5py

    with reading(path, "HDF5"), h5py.File(path, "r") as file:
        names = list(file)
        wanted = [dataset] if dataset is not None else [name for name in STACKS if name in names][:1]
        if dataset is not None and dataset not in file:
            raise InputError(f"{path} has no dataset {dataset!r}; there is {', '.join(names[:8]) or 'nothing'}")
        events = sorted((_event(name), name) for name in names if "pic" in name.lower() and re.search(r"\d", name))
        listed = not wanted and bool(events)
        if listed:
            wanted = [name for _, name in events]
        if not wanted:
            raise InputError(
                f"{path} holds no frame; expected a dataset Image or images, or one a frame with pic in its name, "
                f"found {', '.join(names[:8]) or 'nothing'}"
            )
        entries: list[Entry] = []
        shape: tuple[int, int] | None = None
        for name in wanted:
            found = file[name]
            if not isinstance(found, h5py.Dataset):
                raise InputError(f"{path}: {name} is no dataset; give dataset=NAME of the frames")
            here, own = _entries(path, name, found)
            shape = shape or here
            if here != shape:
                raise InputError(
                    f"{path}: {name} has {here[0]} x {here[1]} px, {wanted[0]} {shape[0]} x {shape[1]} px; keep frames "
                    f"of different sizes in separate files"
                )
            entries += own
    if shape is None or not entries:
        raise InputError(f"{path} holds no frame: {wanted[0]} is empty")
    numbers = [event for event, _ in events] if listed and len(entries) == len(events) else range(len(entries))
    yield Source(str(path), shape, frame_table(path, list(numbers)), partial(_images, path, tuple(entries)))


def _event(name: str) -> int:
    return int(re.findall(r"\d+", name)[-1])


def _entries(path: Path, name: str, dataset: Any) -> tuple[tuple[int, int], list[Entry]]:
    shape: tuple[int, ...] = dataset.shape or ()
    place = f"{path}: {name}"
    if len(shape) == 3:
        return check_size(place, shape[1:]), [(name, i) for i in range(shape[0])]
    return check_size(place, shape), [(name, None)]


def _images(path: Path, entries: tuple[Entry, ...], positions: Sequence[int]) -> Generator[np.ndarray, None, None]:
    import h5py

    with reading(path, "HDF5"), h5py.File(path, "r") as file:
        for position in positions:
            name, number = entries[position]
            dataset = file[name]
            yield np.asarray(dataset[:, :] if number is None else dataset[number])


FORMAT = Format("HDF5", (".h5", ".hdf5", ".hdf"), lambda start: start.startswith(MAGIC), sources, ("dataset",))
