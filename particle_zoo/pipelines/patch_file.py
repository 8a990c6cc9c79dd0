"""Patches of camera frames in an HDF5 file that grows frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from particle_zoo.cli import replacing
from particle_zoo.pipelines.patches import SIZE, cut_patches


@contextmanager
def patch_file(path: Path, size: int = SIZE) -> Iterator[Callable[[np.ndarray, pd.DataFrame], None]]:
    """Yield a function that appends the patches of one frame, with the arguments of `cut_patches`.

    The file holds `patches` (n, size, size) float32 counts above the pedestal, 0 beyond the border of the frame, `row` (n,)
    int64, which numbers the regions as they are given, and `several` (n,) bool, whether the box of another region
    overlaps the patch. It has its name only once the block ends well.

    Args:
        path: .h5 file to write.
        size: side of a patch, px.
    """
    import h5py

    shapes = {"patches": ((size, size), np.float32), "row": ((), np.int64), "several": ((), np.bool_)}
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        for name, (shape, dtype) in shapes.items():
            # A chunk of one patch is read alone; of one number it would be tiny.
            chunk = (1, *shape) if shape else (4096,)
            packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if shape else {}
            file.create_dataset(name, (0, *shape), dtype, maxshape=(None, *shape), chunks=chunk, **packed)
        file["patches"].attrs["unit"] = "counts above the pedestal"

        def append(counts: np.ndarray, regions: pd.DataFrame) -> None:
            patches, several = cut_patches(counts, regions, size)
            first = len(file["row"])
            rows = np.arange(first, first + len(patches))
            for name, values in (("patches", patches), ("row", rows), ("several", several)):
                file[name].resize(first + len(patches), axis=0)
                file[name][first:] = values

        yield append
