"""Patches of camera frames by name: simulated ones, or those that `predict --crop` has cut out of the user's frames."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from particle_zoo.cli import replacing, sentence
from particle_zoo.data.camera import CONFIGS, NAME
from particle_zoo.errors import InputError
from particle_zoo.simulation.optical_tpc.patches import PATCHES_VERSION, labelled_patches

SUFFIXES = (".npz", ".h5", ".hdf5")
"""Of files with patches."""

SIMULATED = tuple(config for config in CONFIGS if config.startswith("simulated_"))
FILES = "files"

TRAIN_SEED, TEST_SEED = 0, 1
"""Of the simulated patches to train on, and of others to judge on."""


@dataclass(frozen=True, eq=False)
class Patches:
    """n patches of one set.

    Args:
        images: (n, size, size) float32 counts above the pedestal.
        several: (n,) bool, whether another region reaches into a patch.
        kinds: (n,) names of what a patch shows, "" where that is unknown.
        ids: (n,) names of the patches, all different.
        fingerprint: of what they come from.
    """

    images: np.ndarray
    several: np.ndarray
    kinds: np.ndarray
    ids: np.ndarray
    fingerprint: str

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, chosen: Any) -> Patches:
        """Some of them: a slice, numbers or a mask."""
        images, several, kinds, ids = (part[chosen] for part in (self.images, self.several, self.kinds, self.ids))
        return Patches(images, several, kinds, ids, self.fingerprint)

    @property
    def labelled(self) -> bool:
        """Whether it is known what every patch shows."""
        return bool(len(self.kinds)) and bool((self.kinds != "").all())


def load_patches(
    dataset: str,
    *,
    n: int = 5_000,
    mix: str = "balanced",
    size: int = 100,
    seed: int = TRAIN_SEED,
    data_dir: str | Path | None = None,
    manual_dir: str | Path | None = None,
    limit: int | None = None,
) -> Patches:
    """The patches of a data set.

    Args:
        dataset: camera_frames/simulated_realistic, simulated_white or simulated_ecdf: labelled patches, made once and
            then read from `data_dir`. Or a .npz, .h5 or .hdf5 file with `patches` (n, size, size), counts above the pedestal, and, if
            known, `several` (n,) and `kind` (n,); `predict --crop` writes such files. Or camera_frames/files: all such
            files of `manual_dir`, in the order of their names.
        n: number of simulated patches.
        mix: of their kinds, balanced or unbalanced.
        size: side of simulated patches, px; those of files have their own.
        seed: of simulated patches.
        data_dir: where simulated patches are kept; TFDS's default without it.
        manual_dir: folder with the user's files.
        limit: the first so many.

    Raises:
        InputError: an unknown name, files that are none of patches, or a number that cannot be.
    """
    if Path(dataset).suffix in SUFFIXES:
        return _of_files([Path(dataset)])[:limit]
    name, _, config = dataset.partition("/")
    config = config or SIMULATED[0]
    if name != NAME or config not in (*SIMULATED, FILES):
        known = ", ".join(f"{NAME}/{c}" for c in (*SIMULATED, FILES))
        raise InputError(
            f"--dataset of patches is one of {known}, or a {', '.join(SUFFIXES)} file with patches; received {dataset!r}"
        )
    if config == FILES:
        return _of_files(_listed(manual_dir))[:limit]
    if manual_dir is not None:
        raise InputError(f"{dataset} is simulated and takes no --manual-dir; give --dataset {NAME}/{FILES} with it")
    return _simulated(config.removeprefix("simulated_"), n, mix, size, seed, data_dir)[:limit]


def _simulated(noise: str, n: int, mix: str, size: int, seed: int, data_dir: str | Path | None) -> Patches:
    settings = {"version": PATCHES_VERSION, "noise": noise, "n": n, "mix": mix, "size": size, "seed": seed}
    fingerprint = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
    root = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets")
    path = root / f"source-{fingerprint}" / "camera_patches" / f"{noise}-{mix}-{n}.npz"
    if not path.exists():
        click.echo(f"making {n} patches once, for {path}", err=True)
        made = labelled_patches(n, seed=seed, mix=mix, size=size, noise=noise)
        with replacing(path) as temporary:
            np.savez(temporary, patches=made.images, kind=made.kinds)
    try:
        found = _read(path)
    except InputError as error:
        raise InputError(f"{error}; remove the file, and it is made anew") from error
    ids = np.array([f"{noise}-{mix}-{seed}-{i}" for i in range(len(found["patches"]))])
    return Patches(found["patches"], found["several"], found["kind"], ids, fingerprint)


def _listed(folder: str | Path | None) -> list[Path]:
    if folder is None:
        raise InputError(
            f"{NAME}/{FILES} needs --manual-dir, a folder with the {', '.join(SUFFIXES)} files of predict --crop"
        )
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"no folder {folder}; name one with {', '.join(SUFFIXES)} files of patches")
    paths = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and not path.name.startswith("."))
    if not paths:
        raise InputError(f"{folder} holds no {', '.join(SUFFIXES)} files; write them with predict --crop")
    return paths


def _of_files(paths: Sequence[Path]) -> Patches:
    digest = hashlib.sha256()
    parts: list[dict[str, np.ndarray]] = []
    ids: list[str] = []
    for path in paths:
        found = _read(path)
        if parts and found["patches"].shape[1:] != parts[0]["patches"].shape[1:]:
            raise InputError(
                f"{path} has patches of {found['patches'].shape[1]} px, {paths[0]} of {parts[0]['patches'].shape[1]}; give "
                "files of one size"
            )
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
        ids += [f"{path.name}-{i}" for i in range(len(found["patches"]))]
        parts.append(found)
    images, several, kinds = (np.concatenate([part[key] for part in parts]) for key in ("patches", "several", "kind"))
    return Patches(images, several, kinds, np.array(ids, str), digest.hexdigest()[:16])


def _read(path: Path) -> dict[str, np.ndarray]:
    """Patches of a file with `several` and `kind`.

    Raises:
        InputError: it is missing, damaged or holds no patches.
    """
    try:
        with _opened(path) as file:
            if "patches" not in file:
                raise InputError(
                    f"{path} holds no patches but {', '.join(file) or 'nothing'}; write it with predict --crop"
                )
            found = {key: np.asarray(file[key]) for key in ("patches", "several", "kind") if key in file}
    except OSError as error:
        raise InputError(f"{path} cannot be read ({sentence(str(error))[:120]}); give a file of patches") from error
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is damaged ({sentence(str(error))[:120]}); write it again with predict --crop"
        ) from error
    images = found["patches"]
    if images.ndim != 3 or images.shape[1] != images.shape[2] or images.dtype.kind not in "fiu":
        raise InputError(
            f"{path} must hold patches of (n, size, size) counts; received {images.dtype} of shape {images.shape}"
        )
    n = len(images)
    if not n:
        raise InputError(f"{path} holds no patches, an empty array; give frames in which regions were found")
    kind = found.get("kind", np.full(n, ""))
    kind = kind.astype(str) if kind.dtype.kind != "O" else np.array([_text(value) for value in kind], str)
    several = found.get("several", np.zeros(n)).astype(np.bool_)
    if kind.shape != (n,) or several.shape != (n,):
        raise InputError(
            f"{path} must hold one kind and several a patch; received {kind.shape} and {several.shape} of {n}"
        )
    return {"patches": images.astype(np.float32), "several": several, "kind": kind}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if path.suffix != ".npz":
        import h5py

        with h5py.File(path) as file:
            yield file
        return
    # NumPy leaves a file open that it cannot understand; this one closes with the block.
    with path.open("rb") as stream:
        if stream.read(2) != b"PK":
            raise OSError("it is no .npz file")
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as file:
            yield file
