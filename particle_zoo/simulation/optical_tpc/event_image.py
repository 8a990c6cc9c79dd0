"""The light of one event on the sensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class EventImage:
    """The part of a frame that an event reaches.

    Args:
        first: its first row and column in the frame.
        expected: (rows, cols) float32, mean counts of the drawn electrons of this event.
        drawn: (rows, cols) int32, counts of the photons that were drawn.
        shape: rows and columns of the whole frame.
        electrons: number of primary electrons that reached the first GEM.
    """

    first: tuple[int, int]
    expected: np.ndarray
    drawn: np.ndarray
    shape: tuple[int, int]
    electrons: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Where the part lies in the frame."""
        (row, col), (rows, cols) = self.first, self.expected.shape
        return slice(row, row + rows), slice(col, col + cols)

    @property
    def integral(self) -> int:
        """Drawn counts."""
        return int(self.drawn.sum())

    def exposed(self, rows: tuple[int, int]) -> EventImage:
        """What is left of it where only some rows of the frame were exposed.

        Args:
            rows: the first one, and the first one after them.
        """
        number = np.arange(self.first[0], self.first[0] + len(self.expected))
        seen = ((number >= rows[0]) & (number < rows[1]))[:, None]
        return EventImage(self.first, self.expected * seen, self.drawn * seen, self.shape, self.electrons)

    def frame(self) -> tuple[np.ndarray, np.ndarray]:
        """Whole frames, (rows, cols) float32 of `expected` and int32 of `drawn`."""
        expected, drawn = np.zeros(self.shape, np.float32), np.zeros(self.shape, np.int32)
        expected[self.window], drawn[self.window] = self.expected, self.drawn
        return expected, drawn
