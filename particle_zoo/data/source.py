"""What the source of a data set offers; it knows nothing of TFDS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from particle_zoo.clusters import Clusters
from particle_zoo.errors import InputError


@dataclass(frozen=True)
class Contents:
    """What the stored clusters of one state of a source have in common.

    Args:
        columns: of the hits.
        unit: of the energies.
        classes: names in the order of their codes.
    """

    columns: tuple[str, ...]
    unit: str
    classes: tuple[str, ...]


def check_fingerprint(place: Any, found: str | None, expected: str, *, other: str = "another source") -> None:
    """Refuse prepared data of another source.

    Args:
        place: folder of the data.
        found: fingerprint they carry.
        expected: that of the source at hand.
        other: what they then come from, for the error sentence.

    Raises:
        InputError: the two differ.
    """
    if found != expected:
        raise InputError(
            f"{place} was prepared from {other} (fingerprint {found}, expected {expected}); choose another data_dir or "
            "remove that folder"
        )


class Source(Protocol):
    """The source of a data set: a module or an object."""

    @property
    def CONFIGS(self) -> tuple[str, ...]:  # noqa: N802
        """Names of the configurations; the first is what a data set without configuration means."""
        ...

    def labelled(self, config: str) -> bool:
        """Whether the clusters may have labels."""
        ...

    def contents(self, config: str, manual_dir: Path | None) -> Contents:
        """What the clusters have in common."""
        ...

    def clusters(self, config: str, manual_dir: Path | None) -> Iterator[Clusters]:
        """Yield all clusters in an order that never changes, with a column `in_split`, in pieces that fit into memory."""
        ...

    def fingerprint(self, config: str, manual_dir: Path | None) -> str:
        """Hex digest of the source files, or of the parameters of the simulation."""
        ...

    def fetch(self, config: str, data_dir: str | Path | None) -> Path | None:
        """The folder to read without a manual one, downloaded where it can be; None where there is none."""
        ...

    def rows(self, part: Clusters, config: str, contents: Contents) -> list[dict[str, Any]]:
        """The stored examples of some clusters: hits and table columns, labels as codes (-1 where unknown)."""
        ...

    def from_columns(
        self, contents: Contents, hits: np.ndarray, offsets: np.ndarray, table: dict[str, list[Any]]
    ) -> Clusters:
        """The inverse of `rows` for many examples."""
        ...
