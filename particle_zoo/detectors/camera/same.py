"""Arrays as keys of a cache."""

from __future__ import annotations

import numpy as np

LOOKED_AT = 256
"""Numbers of an array that go into its hash; equality looks at all."""


class Same:
    """A key that equals that of any array with the same values.

    The maps of a camera's pedestal are the same object for every frame of a run and cannot be written to: then nothing
    is read at all, where bytes would be copied and hashed.

    Args:
        array: copied where it can be written to, or is part of one that can.
    """

    def __init__(self, array: np.ndarray) -> None:
        self.array = array if not array.flags.writeable and array.base is None else array.copy()
        few = self.array.ravel()[:: max(array.size // LOOKED_AT, 1)]
        self._hash = hash((array.shape, array.dtype.str, few.tobytes()))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and (
            self.array is other.array
            or (self.array.dtype == other.array.dtype and np.array_equal(self.array, other.array))
        )
