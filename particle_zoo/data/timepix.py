"""The source of a Timepix data set: simulated mixtures, and the user's own files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.data import files, mix
from particle_zoo.data.flat import FlatSizes
from particle_zoo.data.source import Contents
from particle_zoo.errors import InputError

FILES = "files"
"""The configuration of the user's own files."""

ITEM = 2**32
"""More clusters than a work item has; `position` counts the items in steps of it."""

COMMON = {"id": str, "label": int, "energy_sum": float, "source": str}
"""Stored table columns of every configuration and their types."""

TRUTH = {
    "primary": int,
    "particle": str,
    "energy_mev": float,
    "entry_energy_mev": float,
    "theta": float,
    "phi": float,
    "entry_row": float,
    "entry_col": float,
    "time_ns": float,
    "deposited_kev": float,
    "n_pixels_before_threshold": int,
    "split": bool,
}
"""Truth columns of the simulated configurations; see `particle_zoo.simulation.generate.TRUTH`."""


@dataclass(frozen=True)
class Item:
    """A piece of work that needs no other: a block of a simulation, or a file.

    Args:
        number: its place among all items.
        name: of the file in the manual directory, "" for a block.
    """

    number: int
    name: str = ""


@dataclass(frozen=True)
class TimepixSource:
    """The source of `timepix1_clusters` or `timepix3_clusters`; see `particle_zoo.data.source.Source`.

    Args:
        name: of the data set.
        columns: of the hits.
        mixes_file: YAML file of the simulated configurations.
        replaced: mixtures that take the place of those of the file, by name; for other counts.
    """

    name: str
    columns: tuple[str, ...]
    mixes_file: Path
    replaced: dict[str, mix.Mix] = field(default_factory=dict)

    @cached_property
    def mixes(self) -> dict[str, mix.Mix]:
        """The simulated configurations."""
        return mix.read(self.mixes_file) | self.replaced

    @property
    def CONFIGS(self) -> tuple[str, ...]:  # noqa: N802
        """Names of the configurations, the default first."""
        return (*self.mixes, FILES)

    def labelled(self, config: str) -> bool:
        """Whether the clusters may have labels; those of `files` do where there are several sub-folders."""
        return config != FILES

    def contents(self, config: str, manual_dir: Path | None) -> Contents:
        """What the clusters have in common; for `files` the first file says it.

        Raises:
            InputError: unusable source files.
        """
        if config != FILES:
            return Contents(self.columns, "keV", tuple(self.mixes[config].particles))
        if manual_dir is None:
            return Contents(self.columns, "keV", ())
        folder = self._folder(manual_dir)
        known = files.classes(folder)
        for path in files.find(folder):
            for part in files.clusters(folder, path, known):
                return Contents(self.columns, part.unit, known)
        raise InputError(f"no clusters in {folder}; lower threshold or min_size in its {files.CLUSTERING}")

    def table(self, config: str) -> dict[str, type]:
        """Stored table columns and their types."""
        if config == FILES:
            return dict(COMMON)
        # Without a time in the hits that of the primary means nothing.
        return COMMON | {name: kind for name, kind in TRUTH.items() if name != "time_ns" or "toa" in self.columns}

    def items(self, config: str, manual_dir: Path | None) -> list[Item]:
        """All work items, in order.

        Raises:
            InputError: no files to read.
        """
        if config != FILES:
            return [Item(number) for number in range(self.mixes[config].blocks)]
        folder = self._folder(manual_dir)
        paths = [path.relative_to(folder).as_posix() for path in files.find(folder)]
        return [Item(number, path) for number, path in enumerate(paths)]

    def of_item(self, config: str, manual_dir: Path | None, item: Item, contents: Contents) -> Iterator[Clusters]:
        """Yield the clusters of one item with their split (`in_split`) and `position`.

        Raises:
            InputError: a damaged file, or one whose clusters differ from the others in unit or columns.
        """
        position = item.number * ITEM
        for part in self._parts(config, manual_dir, item, contents):
            yield part.with_table(position=position + np.arange(len(part)))
            position += len(part)

    def _parts(self, config: str, manual_dir: Path | None, item: Item, contents: Contents) -> Iterator[Clusters]:
        if config != FILES:
            yield mix.simulate(self.mixes[config], item.number)
            return
        folder = self._folder(manual_dir)
        for part in files.clusters(folder, folder / item.name, contents.classes):
            if part.columns != self.columns:
                other = "timepix3" if "toa" in part.columns else "timepix1"
                raise InputError(
                    f"{folder / item.name} has {', '.join(part.columns)} a hit, {self.name} keeps "
                    f"{', '.join(self.columns)}; use {other}_clusters/files"
                )
            if part.unit != contents.unit:
                raise InputError(
                    f"{folder / item.name} is in {part.unit}, the files before it in {contents.unit}; "
                    f"calibrate them or keep them in separate folders"
                )
            yield part

    def every(self, config: str, manual_dir: Path | None, contents: Contents) -> Iterator[Clusters]:
        """Yield the clusters of all items, before sizes are flattened.

        Raises:
            InputError: unusable source files.
        """
        for item in self.items(config, manual_dir):
            yield from self.of_item(config, manual_dir, item, contents)

    def clusters(self, config: str, manual_dir: Path | None) -> Iterator[Clusters]:
        """Yield all clusters, an item or a piece of it at a time; read or simulated twice where sizes are flattened.

        Raises:
            InputError: unusable source files.
        """
        contents = self.contents(config, manual_dir)
        flat = self.flat_sizes(config, manual_dir)
        if flat is not None:
            for part in self.every(config, manual_dir, contents):
                flat.add(part)
        for part in self.every(config, manual_dir, contents):
            yield part if flat is None else flat.keep(part)

    def flat_sizes(self, config: str, manual_dir: Path | None) -> FlatSizes | None:
        """What flattens the sizes of a configuration, before it has seen any; None where nothing does."""
        if config == FILES:
            flat, seed = files.settings(self._folder(manual_dir)).balanced, 0
        else:
            flat, seed = self.mixes[config].balanced, self.mixes[config].seed
        return None if flat is None else FlatSizes(flat, seed)

    def fingerprint(self, config: str, manual_dir: Path | None) -> str:
        """Hex digest of names and contents of the files that are read, or of everything a simulation depends on."""
        digest = hashlib.sha256(config.encode())
        if config != FILES:
            digest.update(json.dumps(mix.published(self.mixes[config]), sort_keys=True).encode())
            return digest.hexdigest()[:16]
        folder = self._folder(manual_dir)
        digest.update(f"{files.VERSION}".encode())
        for path in files.read_with(folder):
            digest.update(f"\0{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()[:16]

    def rows(self, part: Clusters, config: str, contents: Contents) -> list[dict[str, Any]]:
        """The stored examples of some clusters."""
        if not len(part):
            return []
        codes = {name: code for code, name in enumerate(contents.classes)}
        energy = np.add.reduceat(part.column("energy").astype(np.float64), part.offsets[:-1])
        table = part.table.assign(energy_sum=energy, label=[codes.get(name, -1) for name in part.labels])
        kinds = self.table(config)
        values = [[kind(value) for value in table[name]] for name, kind in kinds.items()]
        hits: np.ndarray = part.hits.astype(self.hit_type)
        return [
            {"hits": hits[start:end], **dict(zip(kinds, row, strict=True))}
            for start, end, row in zip(part.offsets, part.offsets[1:], zip(*values, strict=True), strict=False)
        ]

    def examples(self, part: Clusters, config: str, contents: Contents) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the stored examples with their `position`, which is also the key under which TFDS stores them."""
        positions = part.table["position"].tolist()
        for position, row in zip(positions, self.rows(part, config, contents), strict=True):
            yield str(position), {**row, "position": position}

    def from_columns(
        self, contents: Contents, hits: np.ndarray, offsets: np.ndarray, table: dict[str, list[Any]]
    ) -> Clusters:
        """The inverse of `rows` for many examples."""
        import pandas as pd

        frame = pd.DataFrame({name: table[name] for name in (*COMMON, *TRUTH, *table) if name in table})
        frame["label"] = [contents.classes[code] if code >= 0 else "" for code in frame["label"]]
        return Clusters(hits, self.columns, offsets, frame, contents.unit)

    @property
    def hit_type(self) -> type:
        """Of the stored hits: a time needs double precision."""
        return np.float64 if "toa" in self.columns else np.float32

    def fetch(self, config: str, data_dir: str | Path | None) -> Path | None:
        """None: nothing is downloaded."""
        return None

    def _folder(self, manual_dir: Path | None) -> Path:
        if manual_dir is None:
            raise InputError(f"{self.name}/{FILES} reads your own files; name their folder with --manual-dir")
        if not Path(manual_dir).is_dir():
            raise InputError(f"--manual-dir {manual_dir} is no folder; name the folder with your files")
        return Path(manual_dir)
