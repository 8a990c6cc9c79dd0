"""Read detector files; the format is recognised by content first, by name second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from particle_zoo.clusters import Clusters
from particle_zoo.detectors.readers import ccd, fits
from particle_zoo.errors import InputError


def read(path: str | Path, **options: Any) -> Clusters:
    """Read clusters from a file or folder.

    Understood: one cluster as a CSV grid, a folder or tar archive of those (with `labels/*.npy` beside them: the
    labelled CCD layout), FITS frames and folders of them. Options of frames go to
    `particle_zoo.detectors.clustering.cluster`.

    Raises:
        InputError: missing, damaged or unknown content, named with file and place.
    """
    parts = list(iter_clusters(path, **options))
    return Clusters.concat(parts) if parts else Clusters.empty(unit="ADU")


def iter_clusters(path: str | Path, **options: Any) -> Iterator[Clusters]:
    """`read` in pieces: one FITS frame or one folder of clusters at a time."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; give a cluster CSV, a FITS frame or a folder of them")
    if path.is_dir():
        frames = fits.find(path)
        if frames:
            for frame in frames:
                yield from fits.clusters(frame, **options)
        elif (path / "labels").is_dir():
            yield ccd.read_labelled(path)
        else:
            yield ccd.read_folder(path)
    elif fits.is_fits(path):
        yield from fits.clusters(path, **options)
    elif ccd.is_tar(path):
        yield ccd.read_folder(path)
    else:
        yield ccd.read_cluster_csv(path)
