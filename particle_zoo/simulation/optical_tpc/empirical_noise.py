"""Dark frames drawn from each pixel's own distribution."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np

from particle_zoo.errors import InputError
from particle_zoo.simulation.optical_tpc.checks import whole

DEPTH = 32
SKIP = 5


class EmpiricalNoise:
    """The empirical cumulative distribution of each pixel over the dark frames of a run.

    A new frame is an independent draw of each pixel from the values it had, which is the inverse of its empirical
    distribution at a uniform number, as in ranobr/cygno-noise-simulation. Telegraph noise and hot pixels stay; everything
    pixels or frames have in common - rows, columns, drift - is lost.

    Memory is `depth` times a frame of 16 bits (340 MB at 2304 x 2304 and 32), however long the run is: of longer runs a
    random sample of frames is kept. A share p of frames in an upper level is then known to sqrt(p (1 - p) / depth), and no
    value rarer than about 1 / depth of the frames is drawn from every pixel.

    Args:
        frames: (rows, cols) uint16 dark frames, a stack or anything that yields them.
        depth: frames that are kept, 2 to 256.
        skip: frames at the start of the run that are left out.
        seed: of the sample.

    Raises:
        InputError: fewer than two frames after those skipped, or frames of different shapes or no whole numbers.
    """

    def __init__(self, frames: Iterable[np.ndarray], *, depth: int = DEPTH, skip: int = SKIP, seed: int = 0) -> None:
        if whole("depth", depth, 2) > 256:
            raise InputError(f"depth must be 256 frames at most; received {depth}")
        whole("skip", skip)
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(4,)))
        kept: list[np.ndarray] = []
        for number, frame in enumerate(itertools.islice(frames, skip, None)):
            image = _dark(frame, kept[0].shape if kept else None)
            if len(kept) < depth:
                kept.append(image)
            elif (slot := int(rng.integers(number + 1))) < depth:
                kept[slot] = image
        if len(kept) < 2:
            raise InputError(
                f"an empirical distribution needs two dark frames after the {skip} skipped; received {len(kept)}"
            )
        self.shape: tuple[int, int] = (kept[0].shape[0], kept[0].shape[1])
        # The values of one pixel side by side, so that a draw reads one line of the processor's cache.
        self._values = np.empty((kept[0].size, len(kept)), np.uint16)
        for i, image in enumerate(kept):
            self._values[:, i] = image.ravel()

    @property
    def depth(self) -> int:
        """Frames that are kept."""
        return self._values.shape[1]

    def _over_frames(self, name: str) -> np.ndarray:
        # A part of the pixels at a time: numpy would make a float64 copy of all.
        found = np.empty(len(self._values), np.float32)
        for start in range(0, len(found), 2**18):
            part = self._values[start : start + 2**18].astype(np.float32)
            found[start : start + 2**18] = part.mean(1) if name == "mean" else part.std(1, ddof=1)
        return found.reshape(self.shape)

    @property
    def mean(self) -> np.ndarray:
        """(rows, cols) float32 mean of each pixel."""
        return self._over_frames("mean")

    @property
    def sigma(self) -> np.ndarray:
        """(rows, cols) float32 RMS of each pixel."""
        return self._over_frames("sigma")

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """A new dark frame, (rows, cols) uint16."""
        choice = rng.integers(0, self.depth, len(self._values), np.uint8 if self.depth < 256 else np.uint16)
        return np.take_along_axis(self._values, choice[:, None].astype(np.intp), 1).reshape(self.shape)


def _dark(frame: np.ndarray, shape: tuple[int, ...] | None) -> np.ndarray:
    image = np.asarray(frame)
    if image.ndim != 2 or not image.size or image.dtype.kind not in "iu" or image.min() < 0 or image.max() > 65535:
        raise InputError(
            f"a dark frame has rows, columns and whole numbers of 0..65535; received {image.dtype} of shape {image.shape}"
        )
    if shape is not None and image.shape != shape:
        raise InputError(f"dark frames of one run have one shape; received {image.shape} after {shape}")
    return image.astype(np.uint16)
