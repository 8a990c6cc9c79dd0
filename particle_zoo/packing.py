"""Weights files that are smaller than Keras's, which `particle_zoo.load` reads as well.

`halve` keeps Keras's own layout with kernels in float16. `quantise` stores kernels as int8 with a scale for every channel: a
quarter of float32, each weight changed by at most half a scale, 0.4 % of the largest of its channel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

FORMAT = "int8, one scale a channel"
"""Attribute `kernels` of a quantised file."""

LARGEST = 127
"""Codes are symmetric, so that a zero stays a zero."""

COMPRESSED: dict[str, Any] = {"compression": "gzip", "compression_opts": 9}


def halve(source: Path, target: Path) -> None:
    """Copy a weights file of Keras without its optimizer, its kernels (arrays of two axes or more) as compressed float16.

    Kernels change by 0.05 % or 3e-8 at most.
    """
    with h5py.File(source) as full, h5py.File(target, "w") as half:

        def copy(name: str, item: Any) -> None:
            if name.split("/")[0] == "optimizer":
                return
            if isinstance(item, h5py.Group):
                new = half.require_group(name)
            elif item.ndim < 2 or item.dtype.kind != "f":
                new = half.create_dataset(name, data=item[()])
            else:
                # Sign and exponent of all values behind each other: those compress.
                new = half.create_dataset(name, data=item[()].astype(np.float16), shuffle=True, **COMPRESSED)
            new.attrs.update(item.attrs)

        half.attrs.update(full.attrs)
        full.visititems(copy)


def quantise(model: Any, target: Path) -> None:
    """Write the weights of a model with its kernels as int8; vectors, such as biases and statistics, stay float32.

    Args:
        model: a built Keras model.
        target: file to write.
    """
    with h5py.File(target, "w") as file:
        file.attrs["kernels"] = FORMAT
        for i, (variable, value) in enumerate(zip(model.weights, model.get_weights(), strict=True)):
            group = file.create_group(f"{i:05d}")
            group.attrs["path"] = variable.path
            if value.ndim < 2 or value.dtype.kind != "f":
                group["values"] = value
                continue
            codes, scale = encode(value)
            group.create_dataset("codes", data=codes, **COMPRESSED)
            group["scale"] = scale


def encode(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes and scales of a kernel.

    Returns:
        int8 of the shape of the kernel, from -127 to 127, and float32 scales that broadcast against it: one for each index of
        the last axis that is longer than one.
    """
    channel = max((axis for axis in range(value.ndim) if value.shape[axis] > 1), default=value.ndim - 1)
    others = tuple(axis for axis in range(value.ndim) if axis != channel)
    scale = (np.abs(value).max(axis=others, keepdims=True) / LARGEST).astype(np.float32)
    # An empty channel has any scale, and so has one whose scale would lose digits: all of it rounds to nothing.
    scale[scale < np.finfo(np.float32).tiny] = 1
    return np.rint(value / scale).astype(np.int8), scale


def quantised(path: Path) -> bool:
    """Whether a weights file was written by `quantise`.

    Raises:
        OSError: no HDF5 file.
    """
    with h5py.File(path) as file:
        return bool(file.attrs.get("kernels") == FORMAT)


def restore(model: Any, path: Path) -> None:
    """Set the weights of a model from a file of `quantise`.

    Raises:
        ValueError: the file is of another model.
        OSError, KeyError: the file is damaged.
    """
    with h5py.File(path) as file:
        if len(file) != len(model.weights):
            raise ValueError(f"{len(file)} arrays for {len(model.weights)} weights")
        model.set_weights([_read(file[f"{i:05d}"]) for i in range(len(file))])


def _read(group: Any) -> np.ndarray:
    if "values" in group:
        return np.asarray(group["values"][()])
    return np.asarray(group["codes"][()] * group["scale"][()], np.float32)
