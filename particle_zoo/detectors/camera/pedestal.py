"""The pedestal of a camera: level and noise of every pixel without light."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from particle_zoo.cli import replacing, sentence
from particle_zoo.detectors.camera.bands import in_bands
from particle_zoo.detectors.camera.common_mode import remove_common_mode
from particle_zoo.detectors.camera.frames import CameraFrames
from particle_zoo.detectors.camera.source import size
from particle_zoo.errors import InputError

VERSION = 1
"""Of the file format of `PedestalModel.save`."""

STEP = 12**-0.5
"""Noise of rounding to whole counts: no pixel is less noisy than this."""

ARRAYS = ("mean", "sigma", "hot", "rtn", "level")


@dataclass(frozen=True, eq=False, repr=False)
class PedestalModel:
    """Level and noise of every pixel of a camera, from frames without light.

    Args:
        mean: (rows, cols) float32 mean, counts.
        sigma: (rows, cols) float32 standard deviation (n - 1), counts.
        hot: (rows, cols) isolated pixels that are far brighter than their neighbours.
        rtn: (rows, cols) pixels whose noise is not Gaussian, as random telegraph noise is not.
        level: (n,) float32 median of each fitted frame against the median frame, counts: the drift of the run.
        common_mode: whether medians of rows and columns were removed before the fit; then they are by default in
            `subtract` and `normalise` too.

    Raises:
        InputError: parts of different shapes, or values that are no numbers.
    """

    mean: np.ndarray
    sigma: np.ndarray
    hot: np.ndarray
    rtn: np.ndarray
    level: np.ndarray
    common_mode: bool = False

    def __post_init__(self) -> None:
        kinds = {"mean": np.float32, "sigma": np.float32, "hot": np.bool_, "rtn": np.bool_, "level": np.float32}
        for name, dtype in kinds.items():
            value: np.ndarray = np.array(getattr(self, name), dtype)
            if value.ndim != (1 if name == "level" else 2) or not value.size:
                raise InputError(f"{name} of a pedestal has the shape {value.shape}; expected rows and columns")
            if name != "level" and value.shape != np.shape(self.mean):
                raise InputError(f"{name} of a pedestal has {size(value.shape)}, its mean {size(np.shape(self.mean))}")
            if not np.isfinite(value).all() or (name == "sigma" and value.min() < 0):
                raise InputError(f"{name} of a pedestal holds values that are no counts; fit it again")
            value.flags.writeable = False
            object.__setattr__(self, name, value)

    @classmethod
    def fit(
        cls,
        frames: CameraFrames | Iterable[npt.ArrayLike],
        *,
        skip_first: int = 0,
        robust: bool = True,
        common_mode: bool = False,
        clip: float = 5.0,
        minimum: int = 10,
        max_saturated: float = 1e-3,
        hot_sigma: float = 10.0,
        rtn_chance: float = 1e-6,
    ) -> PedestalModel:
        """Fit frames one after the other; memory does not grow with their number.

        The first frames, at most 15, give the median of each pixel and a scale, from the range of the sorted values
        without the outer fifths on both sides, but at least the median scale of the camera. Then all frames are summed once. If
        robust, a value further than `clip` scales from the median, after the shift of its frame, stays out of mean and
        sigma: rare signal and pixels that flare up. Where 3 % of the frames, and at least three, are that far out, it is the pixel's
        noise: they are taken in and the pixel is `rtn`. So is one whose skewness and kurtosis are not those of a normal
        distribution (D'Agostino and Pearson's test, from 20 frames on), beyond the shifts of the frames.

        Args:
            frames: frames, or (rows, cols) or (k, rows, cols) arrays of them; each is taken once.
            skip_first: frames to leave out at the start, where cameras settle.
            robust: leave out outliers.
            common_mode: remove the medians of rows and columns from every frame first.
            clip: outliers are further out than this many scales.
            minimum: fewest frames to accept.
            max_saturated: largest share of a frame's pixels at 65535.
            hot_sigma: pixels this many times the camera's median noise above the median of 3 x 3 are `hot`.
            rtn_chance: chance that the test takes a normal pixel for `rtn`; a thousand times that where sigma is 1.5 times
                the camera's median. The test only comes close to it: 1e-4 of the pixels of 100 white frames are taken.

        Raises:
            InputError: too few frames, different sizes, values that are no counts, or a saturated frame.
        """
        from particle_zoo.detectors.camera.pedestal_fit import fit

        return fit(
            frames,
            skip_first=skip_first,
            robust=robust,
            common_mode=common_mode,
            clip=clip,
            minimum=minimum,
            max_saturated=max_saturated,
            hot_sigma=hot_sigma,
            rtn_chance=rtn_chance,
        )

    def __repr__(self) -> str:
        return (
            f"PedestalModel({size(self.shape)}, {self.n_frames} frames, noise {self.noise:.2f} counts, "
            f"{int(self.hot.sum())} hot and {int(self.rtn.sum())} RTN pixels)"
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.mean.shape[0], self.mean.shape[1]

    @property
    def n_frames(self) -> int:
        """Number of frames that were fitted."""
        return len(self.level)

    @property
    def noise(self) -> float:
        """Median sigma, counts."""
        return float(np.median(self.sigma))

    @cached_property
    def scale(self) -> np.ndarray:
        """(rows, cols) float32 counts that `normalise` takes for one sigma: at least the noise of rounding."""
        found: np.ndarray = np.maximum(self.sigma, np.float32(STEP))
        found.flags.writeable = False
        return found

    @cached_property
    def masked(self) -> np.ndarray:
        """(rows, cols) pixels that are hot or have telegraph noise."""
        found: np.ndarray = self.hot | self.rtn
        found.flags.writeable = False
        return found

    def check(self, shape: Sequence[int]) -> None:
        """Check the size of frames; only the last two numbers count.

        Raises:
            InputError: another size; names both.
        """
        if tuple(shape[-2:]) != self.shape:
            raise InputError(
                f"the frames have {size(tuple(shape[-2:]))}, the pedestal {size(self.shape)}; give frames and pedestal of one "
                f"camera and orientation"
            )

    def subtract(self, frame: npt.ArrayLike, *, common_mode: bool | None = None) -> np.ndarray:
        """Counts above the pedestal.

        Args:
            frame: (rows, cols) or (n, rows, cols) counts.
            common_mode: remove the medians of rows and columns; by default as in the fit.

        Returns:
            float32 of the same shape.

        Raises:
            InputError: frames of another size.
        """
        images = np.asarray(frame)
        if images.ndim not in (2, 3):
            raise InputError(f"frames have rows and columns; received an array of shape {images.shape}")
        self.check(images.shape)
        residual: np.ndarray = np.empty(images.shape, np.float32)

        def work(first: int, last: int) -> None:
            rows = np.s_[..., first:last, :]
            np.subtract(images[rows], self.mean[first:last], out=residual[rows], dtype=np.float32, casting="same_kind")

        in_bands(work, self.shape[0], images.size // self.shape[0])
        if self.common_mode if common_mode is None else common_mode:
            residual = (
                remove_common_mode(residual)
                if residual.ndim == 2
                else np.stack([remove_common_mode(image) for image in residual])
            )
        return residual

    def normalise(
        self, frame: npt.ArrayLike, *, clip: float | None = 50.0, common_mode: bool | None = None
    ) -> np.ndarray:
        """Counts above the pedestal in units of each pixel's noise; 0 where the pixel is hot or has telegraph noise.

        Args:
            frame: (rows, cols) or (n, rows, cols) counts.
            clip: values end at plus and minus this; None leaves them.
            common_mode: remove the medians of rows and columns; by default as in the fit.

        Returns:
            float32 of the same shape. Noise below that of rounding, as of dead pixels, counts as 0.29.

        Raises:
            InputError: frames of another size, or a clip that is not positive.
        """
        return self.in_sigmas(self.subtract(frame, common_mode=common_mode), clip=clip)

    def in_sigmas(self, residual: np.ndarray, *, clip: float | None = 50.0) -> np.ndarray:
        """`normalise` for counts that `subtract` gave.

        Raises:
            InputError: frames of another size, or a clip that is not positive.
        """
        if clip is not None and not clip > 0:
            raise InputError(f"clip must be positive or None; received {clip!r}")
        self.check(np.shape(residual))
        counts = np.asarray(residual, np.float32)
        scaled: np.ndarray = np.empty_like(counts)

        def work(first: int, last: int) -> None:
            rows = np.s_[..., first:last, :]
            np.divide(counts[rows], self.scale[first:last], out=scaled[rows])
            np.copyto(scaled[rows], 0, where=self.masked[first:last])
            if clip is not None:
                np.clip(scaled[rows], -clip, clip, out=scaled[rows])

        in_bands(work, self.shape[0], counts.size // self.shape[0])
        return scaled

    def signal_like(self, frame: npt.ArrayLike, **limits: float) -> str:
        """Why a frame is no pedestal, "" if it is one; see `particle_zoo.detectors.camera.pedestal_quality`."""
        from particle_zoo.detectors.camera.pedestal_quality import signal_like

        return signal_like(self, frame, **limits)

    def check_pedestals(self, frames: CameraFrames | Iterable[npt.ArrayLike], **limits: float) -> None:
        """Refuse frames with tracks or sparks; see `particle_zoo.detectors.camera.pedestal_quality`.

        Raises:
            InputError: names the first frame that is no pedestal, and why.
        """
        from particle_zoo.detectors.camera.pedestal_quality import check_pedestals

        check_pedestals(self, frames, **limits)

    def rounded(self) -> PedestalModel:
        """The same pedestal with mean and sigma in steps: a third of the file, and at most 4 % more error of the mean.

        The step is the largest power of two, in counts, that is at most the standard error of the mean of a pixel of median
        noise. No sigma becomes less than a step.
        """
        step = 2.0 ** np.floor(np.log2(max(self.noise, STEP) / np.sqrt(self.n_frames)))
        mean, sigma = (np.round(values / step) * step for values in (self.mean, self.sigma))
        return replace(self, mean=mean, sigma=np.where(self.sigma > 0, np.maximum(sigma, step), 0))

    def save(self, path: str | Path) -> Path:
        """Write a .npz file, through a temporary one.

        Raises:
            InputError: a name with another ending.
        """
        path = Path(path)
        if path.suffix != ".npz":
            raise InputError(f"pedestals are .npz files; received the name {path.name}")
        arrays: dict[str, Any] = {name: getattr(self, name) for name in ARRAYS}
        with replacing(path) as temporary:
            np.savez_compressed(temporary, version=VERSION, common_mode=self.common_mode, **arrays)
        return path

    @classmethod
    def load(cls, path: str | Path) -> PedestalModel:
        """Read what `save` wrote.

        Raises:
            InputError: missing, damaged, or of another version.
        """
        path = Path(path)
        try:
            # NumPy leaves a file it cannot understand open; this one closes with the block.
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                version = file["version"].item()
                if version != VERSION:
                    raise InputError(
                        f"{path} has version {version} of pedestal files, this library reads {VERSION}; fit the pedestal again"
                    )
                return cls(**{name: file[name] for name in ARRAYS}, common_mode=bool(file["common_mode"].item()))
        except OSError as error:
            if error.strerror is None:
                raise _damaged(path, error) from error
            raise InputError(f"{path} cannot be read ({error.strerror}); give a file written by save") from error
        except InputError as error:
            raise error if str(path) in str(error) else _damaged(path, error) from error
        # NumPy and zipfile raise whatever a wrong byte leads them to.
        except Exception as error:
            raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> InputError:
    said = sentence(str(error))[:120] or type(error).__name__
    return InputError(f"{path} is no intact pedestal file ({said}); fit the pedestal again and save it")
