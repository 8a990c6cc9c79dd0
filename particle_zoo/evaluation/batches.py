"""How many clusters a model is shown at a time where nothing is learned."""

from __future__ import annotations

from typing import Any

USUAL_SIZE = 96
"""Side of an image, px, up to which a batch has its full number of clusters."""


def averaged(model: Any, clusters: Any) -> int:
    """How many clusters are larger than the model's image and averaged over blocks; 0 where no model does that."""
    count = getattr(model.preprocessor, "averaged", None)
    return int(count(clusters)) if count else 0


def fitting(model: Any, most: int) -> int:
    """The most clusters whose images need no more memory than `most` of `USUAL_SIZE`, at least 1."""
    return max(1, min(most, most * USUAL_SIZE**2 // model.zoo_config.size**2))
