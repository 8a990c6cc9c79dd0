"""Dark frames of one camera in one run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from particle_zoo.errors import InputError
from particle_zoo.simulation.generate import check_seed
from particle_zoo.simulation.optical_tpc import presets
from particle_zoo.simulation.optical_tpc.camera import Camera
from particle_zoo.simulation.optical_tpc.checks import whole
from particle_zoo.simulation.optical_tpc.empirical_noise import DEPTH, SKIP, EmpiricalNoise
from particle_zoo.simulation.optical_tpc.noise_model import NoiseModel

Rng = np.random.Generator

WAVES = 8
"""Sine waves of random phase that make up the drift of the baseline."""

DRIFT_FRAMES = (20.0, 200.0)
"""Their shortest and longest period."""

BRIGHTEST = 65535


class CameraNoise:
    """The pixels of one camera, and the dark frames they give.

    What belongs to the camera follows from `seed`: the pixels' means and widths and which of them have telegraph noise. What
    belongs to a run follows from `seed` and `run`: its hot pixels and the drift of its baseline. Frame k follows from these
    and k alone, so any part of a run can be made without the rest, one frame in memory at a time.

    `mean` and `sigma` are (rows, cols) float32 maps of the pixels' means and Gaussian widths (of ecdf: what was measured),
    `telegraph` and `hot` the pixels with telegraph noise and those hot for part of the run, as row * columns + column.

    Telegraph noise is drawn anew for each frame: its dwell times are taken to be shorter than the time between frames.

    Args:
        preset: white, ecdf, realistic or a `NoiseModel`.
        level: mild, nominal or hard.
        camera: a `Camera`, or the name of one or of a digitisation.
        shape: rows and columns of a part around the middle of the sensor; all by default.
        seed: of the camera.
        run: its number; another one has other hot pixels on the same camera.
        source: for ecdf, the dark frames to draw from (a stack or an iterator); by default a run of realistic frames of
            the same camera, level, seed and run.

    Raises:
        InputError: an unknown name, a seed or run that is no whole number, or frames of another shape.
    """

    def __init__(
        self,
        preset: str | NoiseModel = "realistic",
        level: str = "nominal",
        *,
        camera: str | Camera = "orca_fusion",
        shape: tuple[int, int] | None = None,
        seed: int = 0,
        run: int = 0,
        source: Iterable[np.ndarray] | None = None,
    ) -> None:
        self.model = preset if isinstance(preset, NoiseModel) else presets.noise_model(preset, level)
        self.camera = presets.camera(camera)
        self.shape, _ = self.camera.crop(shape)
        check_seed(seed)
        self.seed, self.run = int(seed), whole("run", run)
        if source is not None and self.model.kind != "ecdf":
            raise InputError(f"only ecdf noise draws from given frames; received a source for {self.model.kind}")
        self._empirical: EmpiricalNoise | None = None
        if self.model.kind == "ecdf":
            self._empirical = self._from_frames(source)
            self.mean, self.sigma = self._empirical.mean, self._empirical.sigma
            self.telegraph = self.hot = self.hot_counts = np.empty(0, np.int64)
        else:
            self._draw_pixels(self._rng(0))
            self._draw_run(self._rng(1, self.run))

    def _from_frames(self, source: Iterable[np.ndarray] | None) -> EmpiricalNoise:
        if source is None:
            real = CameraNoise(
                "realistic", self.model.level, camera=self.camera, shape=self.shape, seed=self.seed, run=self.run
            )
            source = real.frames(DEPTH + SKIP)
        found = EmpiricalNoise(source, seed=self.seed)
        if found.shape != self.shape:
            raise InputError(
                f"the dark frames must have the {self.shape[0]} x {self.shape[1]} px asked for; received "
                f"{found.shape[0]} x {found.shape[1]}"
            )
        return found

    def _rng(self, *key: int) -> Rng:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))

    def _draw_pixels(self, rng: Rng) -> None:
        model, read = self.model, self.camera.read_noise_counts
        self.mean = np.full(self.shape, self.camera.pedestal_counts, np.float32)
        self.mean += np.float32(model.mean_spread) * rng.standard_normal(self.shape, np.float32)
        # The mode of a lognormal law lies at exp(mu - spread^2).
        spread = np.float32(model.sigma_spread)
        self.sigma = read * np.exp(spread * rng.standard_normal(self.shape, np.float32) + spread**2)
        kind = rng.random(self.shape, np.float32)
        telegraph = kind < model.rtn_share
        noisy = ~telegraph & (kind < model.rtn_share + model.noisy_share)
        self.sigma[noisy] = rng.uniform(*model.noisy_sigma, np.count_nonzero(noisy))
        self.telegraph = np.flatnonzero(telegraph)

    def _draw_run(self, rng: Rng) -> None:
        model = self.model
        pixels = self.shape[0] * self.shape[1]
        count = max(round(model.hot_share * pixels), 1) if model.hot_share > 0 else 0
        self.hot = np.sort(rng.choice(pixels, count, replace=False))
        self.hot_counts = _log_uniform(rng, model.hot_counts, count)
        self._hot_period = rng.integers(model.hot_period[0], model.hot_period[1], count, endpoint=True)
        self._hot_phase = rng.integers(0, self._hot_period)
        self._waves = _log_uniform(rng, DRIFT_FRAMES, WAVES), rng.uniform(0, 2 * np.pi, WAVES)

    def baseline(self, k: int) -> float:
        """Offset of all pixels of frame k, counts."""
        if self.model.drift_sigma == 0 or self._empirical is not None:
            return 0.0
        period, phase = self._waves
        return float(self.model.drift_sigma * np.sqrt(2 / WAVES) * np.sin(2 * np.pi * k / period + phase).sum())

    def hot_in(self, k: int) -> np.ndarray:
        """Pixels that are hot in frame k, as row * columns + column."""
        return self.hot[self._hot_now(k)]

    def _hot_now(self, k: int) -> np.ndarray:
        if not len(self.hot):
            return np.zeros(0, bool)
        now: np.ndarray = (k + self._hot_phase) % self._hot_period < self._hot_period / 2
        return now

    def frame(self, k: int, seed: int = 0, signal: np.ndarray | None = None) -> np.ndarray:
        """Frame k of the run.

        Args:
            k: its number, 0 or more.
            seed: another seed repeats the run with other readout noise.
            signal: (rows, cols) counts of light to add.

        Returns:
            (rows, cols) uint16, cut at 0 and 65535.

        Raises:
            InputError: a number or seed that is no whole number, or a signal of another shape.
        """
        check_seed(seed)
        rng = self._rng(2, self.run, int(seed), whole("the number of a frame", k))
        if signal is not None and signal.shape != self.shape:
            raise InputError(f"the signal must have the shape of the frame, {self.shape}; received {signal.shape}")
        if self._empirical is not None:
            image = self._empirical.draw(rng)
            if signal is None:
                return image
            return np.clip(image + signal.astype(np.int64), 0, BRIGHTEST).astype(np.uint16)
        counts = self._noise(rng, k)
        if signal is not None:
            counts += signal
        np.rint(counts, out=counts)
        return np.clip(counts, 0, BRIGHTEST, out=counts).astype(np.uint16)

    def _noise(self, rng: Rng, k: int) -> np.ndarray:
        model = self.model
        rows = model.row_sigma * rng.standard_normal(self.shape[0], np.float32) + self.baseline(k)
        cols = model.col_sigma * rng.standard_normal(self.shape[1], np.float32)
        upper = rng.random(len(self.telegraph)) < model.rtn_duty
        counts = rng.standard_normal(self.shape, np.float32)
        counts *= self.sigma
        counts += self.mean
        counts += rows.astype(np.float32)[:, None]
        counts += cols.astype(np.float32)
        flat = counts.reshape(-1)
        flat[self.telegraph[upper]] += np.float32(model.rtn_counts)
        now = self._hot_now(k)
        flat[self.hot[now]] += self.hot_counts[now].astype(np.float32)
        return counts

    def frames(self, n: int, seed: int = 0, start: int = 0) -> Iterator[np.ndarray]:
        """Yield frames start, start + 1, ... of the run, one in memory at a time.

        Args:
            n: number of frames.
            seed: as in `frame`.
            start: number of the first one.

        Yields:
            (rows, cols) uint16.

        Raises:
            InputError: a number or seed that is no whole number.
        """
        whole("n", n, 1)
        whole("start", start)
        check_seed(seed)
        return (self.frame(k, seed) for k in range(start, start + n))


def _log_uniform(rng: Rng, limits: tuple[float, float], n: int) -> np.ndarray:
    return np.exp(rng.uniform(math.log(limits[0]), math.log(limits[1]), n))
