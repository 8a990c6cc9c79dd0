"""Jets by name: simulated, or the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from particle_zoo.data.installed import tfds_usable
from particle_zoo.data.jets_source import FILES, SIMULATED, JetSource, Simulated, UserFiles, in_split
from particle_zoo.data.splits import SPLITS
from particle_zoo.errors import InputError
from particle_zoo.jets import Jets

NAME = "jets"
"""Of the data set."""

CONFIGS = (SIMULATED, FILES)
"""Names of the configurations; the first is what the name without configuration means."""

__all__ = ["CONFIGS", "NAME", "SPLITS", "fingerprint", "load_jets", "parse", "source"]


def load_jets(
    dataset: str = NAME,
    split: str = "train",
    *,
    data_dir: str | Path | None = None,
    manual_dir: str | Path | None = None,
    limit: int | None = None,
    allow_empty: bool = False,
    use_tfds: bool | None = None,
    want: Sequence[str] | None = None,
) -> Jets:
    """Load a split.

    Args:
        dataset: jets or jets/CONFIG.
        split: train, validation, test, or all for their union. All jets of an event are in one split; each simulated jet is
            an event.
        data_dir: where prepared data are kept; TFDS's default without it. Every state of a source has a folder of its own
            in it.
        manual_dir: folder with the user's files, of `files`.
        limit: keep the first so many.
        allow_empty: return an empty set instead of raising.
        use_tfds: prepare and read through TFDS; by default where it and TensorFlow are installed. Both ways give the same jets in the same
            order.
        want: the variables to have, energy and mass from one another where need be; without it all there are: pt, eta, phi,
            m, E, or of files that have them the 27 or 25 of the xAOD study and E.

    Returns:
        Jets with their events; energies in GeV.

    Raises:
        InputError: unknown names, unusable files, variables that the files do not have, or nothing left.
    """
    found = source(dataset, manual_dir=manual_dir)
    if split not in (*SPLITS, "all"):
        raise InputError(f"--split must be {', '.join(SPLITS)} or all; received {split!r}")
    if limit is not None and limit < 1:
        raise InputError(f"limit must be a whole number of 1 or more; received {limit!r}")
    if want is not None:
        found.check(want)
    splits = SPLITS if split == "all" else (split,)
    if use_tfds is None:
        use_tfds = tfds_usable()
    if use_tfds:
        # It imports TensorFlow.
        from particle_zoo.data import jets_prepared

        jets = jets_prepared.read(found, splits, data_dir)
    else:
        jets = direct(found, splits)
    if limit is not None:
        jets = jets[:limit]
    if not len(jets) and not allow_empty:
        raise InputError(f"{dataset} has no jets in split {split}; try --split all")
    return jets if want is None else jets.select(want)


def direct(found: JetSource, splits: Sequence[str]) -> Jets:
    """Jets of the splits straight from the source: what the prepared set holds, without TFDS."""
    jets = found.jets
    names = in_split(jets)
    return jets[np.concatenate([np.flatnonzero(names == name) for name in splits])]


def fingerprint(dataset: str, *, data_dir: str | Path | None = None, manual_dir: str | Path | None = None) -> str:
    """Hex digest of the source files of a data set, or of everything its simulation depends on.

    Args:
        dataset: jets or jets/CONFIG.
        data_dir: not used; prepared data do not change what their source is.
        manual_dir: as in `load_jets`.

    Raises:
        InputError: as `load_jets`.
    """
    return source(dataset, manual_dir=manual_dir).fingerprint


def source(dataset: str, *, manual_dir: str | Path | None = None) -> JetSource:
    """What a data set is made from, without making or reading any jet.

    Args:
        dataset: jets or jets/CONFIG.
        manual_dir: as in `load_jets`.

    Raises:
        InputError: as `load_jets`.
    """
    if parse(dataset) == SIMULATED:
        return Simulated()
    return UserFiles.of(None if manual_dir is None else Path(manual_dir))


def parse(dataset: str) -> str:
    """The configuration that NAME or NAME/CONFIG means.

    Raises:
        InputError: an unknown data set or configuration.
    """
    name, _, config = dataset.partition("/")
    if name != NAME:
        raise InputError(f"unknown data set of jets {name!r}; there is {NAME}")
    config = config or CONFIGS[0]
    if config not in CONFIGS:
        raise InputError(f"{NAME} has no configuration {config!r}; there is {', '.join(CONFIGS)}")
    return config
