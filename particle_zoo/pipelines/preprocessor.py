"""What turns clusters, or frames, into the inputs of a model, whatever the detector."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, Self


class Preprocessor(Protocol):
    """Preprocessing that travels with the weights of a model.

    One of clusters may name the table columns that its call reads beside `id` and `label`, in a class variable `TABLE`, so that
    a reader of stored clusters may leave out the others.
    """

    LEARNED: ClassVar[frozenset[str]]
    """Fields that `fit` sets; all others follow from the model's configuration."""

    FIXED_SHAPE: ClassVar[bool]
    """Whether every batch has images of the same size."""

    def fit(self, examples: Any, /) -> Self:
        """A copy with the statistics of these clusters or frames, and of no others."""
        ...

    def __call__(self, examples: Any, /) -> Any:
        """Model inputs: an array or a dict of arrays, first axis n."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        ...

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        ...
