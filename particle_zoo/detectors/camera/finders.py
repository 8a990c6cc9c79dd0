"""All kinds of finders, by the names that files know them by."""

from __future__ import annotations

from typing import Any

from particle_zoo.detectors.camera.finder import Finder
from particle_zoo.detectors.camera.matched_filter import MatchedFilter
from particle_zoo.detectors.camera.region_finder import RegionFinder
from particle_zoo.detectors.camera.trigger import OnlineTrigger
from particle_zoo.errors import InputError

FINDERS: dict[str, type[Finder]] = {kind.__name__: kind for kind in (MatchedFilter, RegionFinder, OnlineTrigger)}


def finder_from_dict(described: dict[str, Any]) -> Finder:
    """The finder that `describe` or a `Calibration` tells of.

    Args:
        described: its `kind`, a name of `FINDERS`, and its settings; those left out are the defaults.

    Raises:
        InputError: an unknown kind, or a setting that does not exist or cannot be.
    """
    if not isinstance(described, dict) or described.get("kind") not in FINDERS:
        raise InputError(f"a finder has a kind, one of {', '.join(FINDERS)}; received {described!r}")
    return FINDERS[described["kind"]].from_dict({key: value for key, value in described.items() if key != "kind"})
