"""Fetch the public hand-labelled CCD set where a network is there."""

from __future__ import annotations

import os
from pathlib import Path

from particle_zoo.errors import InputError

ARCHIVE = "https://github.com/AsbjornPreuss/AppMLFinalProject/archive/93395905575293f174f05c305a383256c39c3405.zip"
"""The public repository at the commit of its last `clusters.tar`."""


def labelled_ccd(folder: Path) -> Path:
    """Download into `folder` on first use; returns the folder of the labelled layout.

    The download has no published checksum; the fingerprint of what arrived is kept with the prepared data.

    Raises:
        InputError: no network or none allowed (PARTICLE_ZOO_OFFLINE=1), or an archive without the layout.
    """
    advice = (
        f"get clusters.tar, labels/ and cluster_meta.csv from {ARCHIVE.partition('/archive')[0]} and name their folder "
        "with --manual-dir"
    )
    if os.environ.get("PARTICLE_ZOO_OFFLINE", "0") not in ("", "0"):
        raise InputError(f"PARTICLE_ZOO_OFFLINE forbids to download the public CCD set; {advice}")
    import pooch

    pooch.get_logger().setLevel("WARNING")
    try:
        files = pooch.retrieve(ARCHIVE, known_hash=None, path=folder, fname="ccd_labelled.zip", processor=pooch.Unzip())
    # Every network library raises types of its own; requests' and urllib's are OSErrors.
    except (OSError, ValueError) as error:
        raise InputError(f"the public CCD set cannot be downloaded ({str(error)[:100]}); {advice}") from error
    for file in map(Path, files):
        if file.name == "clusters.tar" and (file.parent / "labels").is_dir():
            return file.parent
    raise InputError(f"{ARCHIVE} holds no clusters.tar beside labels/; name your own folder with --manual-dir")
