"""Crops of dark frames by step number: the same in every run and after every resume, with few frames in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from particle_zoo.detectors.camera import CameraFrames, PedestalModel
from particle_zoo.pipelines.ahead import ahead
from particle_zoo.training.injection import EventBank, synthetic

if TYPE_CHECKING:
    from particle_zoo.models.pedestal_ae import PedestalAEConfig

GROUP = 8
"""Frames whose crops are mixed with each other; one of them is in memory at a time, and all crops of two groups."""

Batch = tuple[np.ndarray, np.ndarray]


class FrameCrops:
    """Batches of (inputs, targets), both (n, side, side, 1) float32, as a pure function of the global step.

    An epoch takes every frame once, in a new order, and `crops` random squares of it. Places and light are drawn from
    (seed, epoch, frame) by streams of their own: both objectives see the same squares of the same frames.

    Args:
        frames: dark frames.
        pedestal: of their camera.
        config: of the model.
        seed: of order, places and light.
        crops: squares of each frame an epoch; those of the configuration by default.
        bank: simulated events, where the configuration asks for them.
    """

    def __init__(
        self,
        frames: CameraFrames,
        pedestal: PedestalModel,
        config: PedestalAEConfig,
        *,
        seed: int,
        crops: int | None = None,
        bank: EventBank | None = None,
    ) -> None:
        self.frames, self.pedestal, self.config, self.seed, self.bank = frames, pedestal, config, seed, bank
        self.crops = crops or config.crops
        rows, cols = pedestal.shape
        self.shape = min(config.crop, rows), min(config.crop, cols)
        self.group = min(GROUP, len(frames))
        self.batch_size = min(config.batch_size, self.group * self.crops)
        # Counts of light to sigmas of each pixel; none on pixels that are masked.
        self._gain = np.where(pedestal.masked, np.float32(0), 1 / pedestal.scale)

    def __len__(self) -> int:
        """Steps an epoch."""
        return -(-len(self.frames) // self.group) * self._steps

    @property
    def _steps(self) -> int:
        """Steps a group."""
        return self.group * self.crops // self.batch_size

    def batch(self, step: int) -> Batch:
        """(inputs, targets) of the global step, counted over epochs; `between` cuts each group once for all of its steps."""
        group, position = divmod(int(step), self._steps)
        return self._part(self._take(group), position)

    def _part(self, group: Batch, position: int) -> Batch:
        part = slice(position * self.batch_size, (position + 1) * self.batch_size)
        inputs, targets = group
        return inputs[part], targets[part]

    def between(self, first: int, epochs: int) -> Iterator[Batch]:
        """Yield every batch from the start of epoch `first` to the end of epoch `epochs`, while the next group is cut."""
        groups = len(self) // self._steps
        with contextlib.closing(ahead(self._take, range(first * groups, epochs * groups), most=1)) as taken:
            for group in taken:
                for position in range(self._steps):
                    yield self._part(group, position)

    def _take(self, group: int) -> Batch:
        """All crops of a group of frames, mixed."""
        epoch, number = divmod(group, len(self) // self._steps)
        order = np.random.default_rng((self.seed, 0, epoch)).permutation(len(self.frames))
        inputs = np.empty((self.group, self.crops, *self.shape), np.float32)
        targets = np.empty_like(inputs)
        for i in range(self.group):
            # The last group of an epoch is filled up with frames of the first.
            index = int(order[(number * self.group + i) % len(order)])
            self._cut(self.frames[index], (epoch, number, i), inputs[i], targets[i])
        mixed = np.random.default_rng((self.seed, 1, epoch, number)).permutation(self.group * self.crops)
        return tuple(a.reshape(-1, *self.shape)[mixed][..., None] for a in (inputs, targets))  # type: ignore[return-value]

    def _cut(self, frame: np.ndarray, key: tuple[int, ...], inputs: np.ndarray, targets: np.ndarray) -> None:
        image = self.pedestal.normalise(frame, clip=self.config.clip)
        places = np.random.default_rng((self.seed, 2, *key))
        room = [whole - side + 1 for whole, side in zip(image.shape, self.shape, strict=True)]
        for k in range(self.crops):
            row, col = places.integers(0, room)
            window = slice(row, row + self.shape[0]), slice(col, col + self.shape[1])
            inputs[k] = targets[k] = image[window]
            self._lighten(inputs[k], targets[k], self._gain[window], np.random.default_rng((self.seed, 3, *key, k)))

    def _lighten(self, inputs: np.ndarray, targets: np.ndarray, gain: np.ndarray, rng: np.random.Generator) -> None:
        """Add light to an input, and to its target if the model is to draw it."""
        denoise = self.config.objective == "denoise"
        if self.bank is not None and rng.random() < self.config.monte_carlo:
            light = self.bank.paste(self.shape, rng)
        elif denoise:
            light = np.float32(self.pedestal.noise) * synthetic(self.shape, rng)
        else:
            return
        np.clip(inputs + light * gain, -self.config.clip, self.config.clip, out=inputs)
        if not denoise:
            targets[...] = inputs
