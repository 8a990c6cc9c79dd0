"""Whether a frame is a pedestal: no sparks, no light everywhere, no tracks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from particle_zoo.detectors.camera.common_mode import remove_common_mode
from particle_zoo.detectors.camera.frames import CameraFrames
from particle_zoo.errors import InputError

if TYPE_CHECKING:
    from particle_zoo.detectors.camera.pedestal import PedestalModel

SPARK = 9e6 / 2304**2
"""Counts a pixel by which a frame may exceed twice the pedestal: the veto of the CYGNO reconstruction, sum > 200 npix +
9e6 at a pedestal of 100 counts on 2304 x 2304 px, for any pedestal and size."""

BLUR_PX = 4.0

SIGNAL = 8.0

HEIGHT = 10.0
"""Standard deviations at which pixels are cut off before blurring: one that flares up alone is no track."""


def signal_like(
    model: PedestalModel, frame: npt.ArrayLike, *, blur_px: float = BLUR_PX, signal: float = SIGNAL, level: float = 5.0
) -> str:
    """Why a frame is no pedestal.

    A spark: its sum exceeds twice the pedestal by more than 1.7 counts a pixel. Light: its median differs by more than `level`
    times the camera's noise. A track: without common level, medians of rows and columns, and masked pixels, its blurred
    image has a maximum beyond `signal` times its own scatter (from the median absolute deviation, so that correlated
    noise counts as noise). White noise on 2304 x 2304 px reaches 4.5.

    Args:
        model: the pedestal.
        frame: (rows, cols) counts.
        blur_px: width of the Gaussian, px.
        signal: largest maximum of a blurred pedestal, in its scatter.
        level: largest shift of a pedestal, in the camera's median noise.

    Returns:
        The reason, "" for a pedestal.

    Raises:
        InputError: a frame of another size.
    """
    image = np.asarray(frame)
    model.check(image.shape)
    total, veto = float(image.sum(dtype=np.float64)), 2 * float(model.mean.sum(dtype=np.float64)) + SPARK * image.size
    if total > veto:
        return f"a spark, with {total:.4g} counts in all, where {veto:.4g} are allowed"
    residual = model.subtract(image, common_mode=False)
    noise = max(model.noise, 12**-0.5)
    shift = float(np.median(residual))
    if abs(shift) > level * noise:
        return f"a level {shift:+.1f} counts off the pedestal, where {level * noise:.1f} are allowed"
    residual = remove_common_mode(residual)
    residual[model.masked] = 0
    height = np.float32(HEIGHT) * np.maximum(model.sigma, np.float32(noise))
    # Nothing beyond the border: repeated pixels there would count, and scatter, twice.
    blurred = gaussian_filter(np.clip(residual, -height, height), blur_px, mode="constant")
    blurred -= np.median(blurred)
    scatter = max(1.4826 * float(np.median(np.abs(blurred))), 1e-6)
    peak = int(blurred.argmax())
    if blurred.flat[peak] > signal * scatter:
        row, col = divmod(peak, image.shape[1])
        return (
            f"light around row {row}, col {col}, {blurred.flat[peak] / scatter:.1f} times the scatter of the blurred frame, "
            f"where {signal:g} are allowed"
        )
    return ""


def check_pedestals(model: PedestalModel, frames: CameraFrames | Iterable[npt.ArrayLike], **limits: float) -> None:
    """Refuse frames that are no pedestals.

    Args:
        model: the pedestal, also one fitted, robustly, to these frames.
        frames: frames, or (rows, cols) or (k, rows, cols) arrays of them.
        limits: of `signal_like`.

    Raises:
        InputError: names the first such frame, and why.
    """
    table = frames.table if isinstance(frames, CameraFrames) else None
    number = 0
    for part in frames:
        stack = np.asarray(part)
        for image in stack[None] if stack.ndim == 2 else stack:
            reason = signal_like(model, image, **limits)
            if reason:
                name = (
                    f"frame {number}" if table is None else f"{table['source'][number]}, frame {table['frame'][number]}"
                )
                raise InputError(f"{name} is no pedestal: it has {reason}; leave it out or take another run")
            number += 1
