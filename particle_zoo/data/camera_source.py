"""What the source of camera frames offers; it knows nothing of TFDS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

import click
import numpy as np
import pandas as pd

from particle_zoo.simulation.optical_tpc import SimulatedFrame

SPLITS = ("pedestal_train", "pedestal_calibration", "pedestal_test", "signal")
"""Dark frames to fit, to set thresholds and to count false alarms with, and frames with light."""

Frame = np.ndarray | SimulatedFrame
"""(rows, cols) uint16, with the truth where it is known."""

Part = TypeVar("Part")

EVERY_S = 15.0
"""Time between two lines about progress."""


MANY = 10**8
"""Pixels that take noticeably long to make."""


class FrameSource(Protocol):
    """One state of a source: a simulation, or a folder of files."""

    @property
    def config(self) -> str:
        """Name of the configuration."""
        ...

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have frames, in order."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of every frame."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hex digest of the source files, or of everything a simulation depends on."""
        ...

    def table(self, split: str) -> pd.DataFrame:
        """One row a frame: `frame` (its number), `source`, `id` (unique over all splits) and what else is known."""
        ...

    def frames(self, split: str) -> Iterator[Frame]:
        """Yield the frames of a split in the order of its table, one in memory at a time."""
        ...


def counts_of(frame: Frame) -> np.ndarray:
    """The (rows, cols) uint16 counts of a frame with or without truth."""
    return frame.counts if isinstance(frame, SimulatedFrame) else frame


def announce(source: FrameSource, splits: tuple[str, ...], place: Any) -> None:
    """Say on stderr that many frames are made and where they are kept; nothing about few or small ones."""
    count = sum(len(source.table(split)) for split in splits)
    if count * source.shape[0] * source.shape[1] >= MANY:
        click.echo(f"making {count} frames of camera_frames/{source.config} once, in {place}", err=True)


def told(parts: Iterator[Part], what: str, count: int) -> Iterator[Part]:
    """The same parts; a line on stderr now and then says how many there were, so that hours do not pass in silence."""
    started = last = time.monotonic()
    for number, part in enumerate(parts, 1):
        yield part
        now = time.monotonic()
        if now - last >= EVERY_S and number < count:
            last = now
            left = (now - started) / number * (count - number)
            click.echo(f"{what}: {number} of {count} frames, some {left:.0f} s to go", err=True)
