"""What turns clusters into the inputs of a model, whatever the detector."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, Self

from particle_zoo.clusters import Clusters


class Preprocessor(Protocol):
    """Preprocessing that travels with the weights of a model."""

    LEARNED: ClassVar[frozenset[str]]
    """Fields that `fit` sets; all others follow from the model's configuration."""

    FIXED_SHAPE: ClassVar[bool]
    """Whether every batch has images of the same size."""

    def fit(self, clusters: Clusters) -> Self:
        """A copy with the statistics of these clusters, and of no others."""
        ...

    def __call__(self, clusters: Clusters) -> Any:
        """Model inputs: an array or a dict of arrays, first axis n."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        ...

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        ...
