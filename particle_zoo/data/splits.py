"""The one rule by which clusters are split."""

from __future__ import annotations

import numpy as np

SPLITS = ("train", "validation", "test")
SHARES = (0.70, 0.15, 0.15)
SEED = 20240613


def assign(ids: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Split of each cluster, stratified by label; depends on nothing but the set of (id, label) pairs.

    Args:
        ids: (n,) unique strings.
        labels: (n,) class names.

    Returns:
        (n,) strings out of `SPLITS`. Every class gives its first cluster to train; small sets may have empty splits.
    """
    split = np.empty(len(ids), dtype="<U10")
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        # By id first, so that the order in which files were read does not matter.
        members = members[np.argsort(ids[members], kind="stable")]
        members = np.random.default_rng(SEED).permutation(members)
        ends = np.round(np.cumsum(SHARES) * len(members)).astype(int)
        ends[0] = max(ends[0], 1)
        for name, part in zip(SPLITS, np.split(members, np.maximum.accumulate(ends)[:-1]), strict=True):
            split[part] = name
    return split


def assign_one(name: str) -> str:
    """Split of one unlabelled cluster by the hash of its id: for streams, where no list of all ids exists."""
    import hashlib

    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    return SPLITS[int(np.searchsorted(np.cumsum(SHARES)[:-1], share, side="right"))]


def assign_groups(groups: np.ndarray, seed: int) -> np.ndarray:
    """Split of clusters of which those of one group, such as a primary, stay together.

    Args:
        groups: (n,) group of each cluster.
        seed: equal groups and seeds give equal splits.

    Returns:
        (n,) strings out of `SPLITS`; the shares hold as closely as whole groups allow.
    """
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng((SEED, seed)).permutation(len(counts))
    # A group belongs where its middle lies when the shuffled groups are laid end to end.
    middle = np.cumsum(counts[order]) - counts[order] / 2
    of_group = np.empty(len(counts), dtype=int)
    of_group[order] = np.searchsorted(np.cumsum(SHARES)[:-1] * len(groups), middle, side="right")
    return np.array(SPLITS)[of_group[inverse]]
